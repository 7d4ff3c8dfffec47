//! Reading expectations.

use super::expectation::{Expectation, ExpectedPort, ExpectedRequest};
use crate::parse::{At, ParseError, Reader};
use crate::yaml::{Lines, Value, documents};
use crate::{AuthMode, Protocol, Verdict};

impl Expectation {
    /// Reads a file of expectations. `file` is only a name, for messages.
    ///
    /// ```
    /// use porin_policy::Verdict;
    /// use porin_policy::ask::Expectation;
    /// let read = Expectation::parse("tests.yaml", "
    /// tests:
    /// - {from: web, to: [db, cache], port: 5432, expect: allowed}
    /// ")?;
    /// assert_eq!((read[0].to.len(), read[0].expect), (2, Verdict::Allow));
    /// # Ok::<(), porin_policy::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// What [`parse_documents`](crate::parse_documents) refuses about YAML; unknown fields; fields
    /// that are missing or mean nothing.
    pub fn parse(file: &str, text: &str) -> Result<Vec<Self>, ParseError> {
        let lines = Lines::new(text);
        let mut reader = Reader::new(file.into(), &lines);
        let mut all = Vec::new();
        for tree in documents(text) {
            let node = tree.map_err(|fault| reader.fault(fault))?;
            let root = At::root(&node);
            reader.fields(&root, &["tests"])?;
            all.extend(reader.each(&root, "tests", expectation)?);
        }
        Ok(all)
    }
}

const FIELDS: [&str; 13] = [
    "name",
    "from",
    "to",
    "port",
    "protocol",
    "http",
    "kafka",
    "dns",
    "tls",
    "expect",
    "rule",
    "authentication",
    "staged",
];

fn expectation(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Expectation, ParseError> {
    reader.fields(at, &FIELDS)?;
    let protocol = match reader.text_of(at, "protocol")? {
        None => Protocol::TCP,
        Some(text) => text.parse().map_err(|_| {
            let reason = format!("unknown protocol `{text}`; use TCP, UDP, SCTP, ICMP or ICMPv6");
            reader.invalid(at, reason)
        })?,
    };
    let Some(expect) = verdict(reader, at, "expect")? else {
        let reason = "`expect` is missing; write allowed, denied or redirected";
        return Err(reader.invalid(at, reason));
    };
    let (from, to) = (names(reader, at, "from")?, names(reader, at, "to")?);
    let port = port(reader, at, protocol)?;
    let request = request(reader, at)?;
    let name = match reader.text_of(at, "name")? {
        Some(name) => name.to_owned(),
        None => {
            let sends = request.as_ref().map(|request| format!(" {request}"));
            format!(
                "{} -> {} {protocol}/{port}{}: {expect}",
                from.join(", "),
                to.join(", "),
                sends.unwrap_or_default()
            )
        }
    };
    Ok(Expectation {
        name,
        from,
        to,
        protocol,
        port,
        request,
        expect,
        rule: reader.text_of(at, "rule")?.map(str::to_owned),
        auth: auth(reader, at)?,
        staged: verdict(reader, at, "staged")?,
        location: reader.location(at),
    })
}

/// One name or a list of them.
fn names(reader: &mut Reader<'_>, at: &At<'_>, field: &str) -> Result<Vec<String>, ParseError> {
    let names = match at.get(field) {
        None => Vec::new(),
        Some(value) if matches!(value.node.value, Value::List(_)) => {
            reader.each(at, field, |reader, at| Ok(reader.text(at)?.to_owned()))?
        }
        Some(value) => vec![reader.text(&value)?.to_owned()],
    };
    if names.is_empty() {
        let reason = format!("`{field}` is missing; name a workload, a range or an entity");
        return Err(reader.invalid(at, reason));
    }
    Ok(names)
}

fn verdict(reader: &Reader<'_>, at: &At<'_>, field: &str) -> Result<Option<Verdict>, ParseError> {
    let Some(text) = reader.text_of(at, field)? else {
        return Ok(None);
    };
    let known = [Verdict::Allow, Verdict::Deny, Verdict::Redirect];
    let found = known.into_iter().find(|one| one.to_string() == text);
    found.map(Some).ok_or_else(|| {
        let reason = format!("unknown verdict `{text}`; use allowed, denied or redirected");
        reader.invalid(at, reason)
    })
}

fn auth(reader: &Reader<'_>, at: &At<'_>) -> Result<Option<AuthMode>, ParseError> {
    let Some(text) = reader.text_of(at, "authentication")? else {
        return Ok(None);
    };
    let known = [AuthMode::Disabled, AuthMode::Required, AuthMode::AlwaysFail];
    let found = known.into_iter().find(|mode| mode.name() == text);
    found.map(Some).ok_or_else(|| {
        let reason = format!("unknown mode `{text}`; use disabled, required or test-always-fail");
        reader.invalid(at, reason)
    })
}

fn port(reader: &Reader<'_>, at: &At<'_>, protocol: Protocol) -> Result<ExpectedPort, ParseError> {
    let Some(value) = at.get("port") else {
        if protocol.has_ports() {
            return Err(reader.invalid(at, "`port` is missing; write its number or name"));
        }
        return Ok(ExpectedPort::Number(0));
    };
    if let Value::Text(text) = &value.node.value {
        return Ok(match text.parse() {
            Ok(number) => ExpectedPort::Number(number),
            Err(_) => ExpectedPort::Name(text.to_ascii_lowercase()),
        });
    }
    let number = reader.integer(&value)?;
    u16::try_from(number)
        .map(ExpectedPort::Number)
        .map_err(|_| {
            let reason = format!("{number} is no port; use a number up to 65535");
            reader.invalid(&value, reason)
        })
}

fn request(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Option<ExpectedRequest>, ParseError> {
    let mut found = Vec::new();
    if let Some(http) = at.get("http") {
        found.push(http_request(reader, &http)?);
    }
    if let Some(kafka) = at.get("kafka") {
        found.push(kafka_request(reader, &kafka)?);
    }
    if let Some(dns) = at.get("dns") {
        reader.fields(&dns, &["name"])?;
        let name = text(reader, &dns, "name", "")?;
        found.push(ExpectedRequest::Dns { name });
    }
    if let Some(tls) = at.get("tls") {
        reader.fields(&tls, &["serverName"])?;
        let server_name = reader.text_of(&tls, "serverName")?.map(str::to_owned);
        found.push(ExpectedRequest::Tls { server_name });
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(reader.invalid(at, "there is more than one request; write a test for each")),
    }
}

fn http_request(reader: &Reader<'_>, at: &At<'_>) -> Result<ExpectedRequest, ParseError> {
    reader.fields(at, &["method", "path", "host", "headers"])?;
    let mut headers = Vec::new();
    if let Some(map) = at.get("headers") {
        if !matches!(map.node.value, Value::Map(_)) {
            return Err(reader.mismatch(&map, "a map"));
        }
        for (name, value) in map.entries() {
            headers.push((name.to_owned(), reader.text(&value)?.to_owned()));
        }
    }
    Ok(ExpectedRequest::Http {
        method: text(reader, at, "method", "GET")?,
        path: text(reader, at, "path", "/")?,
        host: text(reader, at, "host", "")?,
        headers,
    })
}

fn kafka_request(reader: &mut Reader<'_>, at: &At<'_>) -> Result<ExpectedRequest, ParseError> {
    reader.fields(at, &["apiKey", "apiVersion", "clientID", "topics"])?;
    Ok(ExpectedRequest::Kafka {
        api_key: number(reader, at, "apiKey")?,
        api_version: number(reader, at, "apiVersion")?,
        client_id: text(reader, at, "clientID", "")?,
        topics: reader.each(at, "topics", |reader, at| Ok(reader.text(at)?.to_owned()))?,
    })
}

fn number(reader: &Reader<'_>, at: &At<'_>, field: &str) -> Result<i16, ParseError> {
    let Some(value) = at.get(field) else {
        return Ok(0);
    };
    let number = reader.integer(&value)?;
    i16::try_from(number).map_err(|_| {
        let reason = format!("{number} does not fit 16 bits; use a number of the protocol");
        reader.invalid(&value, reason)
    })
}

fn text(
    reader: &Reader<'_>,
    at: &At<'_>,
    field: &str,
    default: &str,
) -> Result<String, ParseError> {
    Ok(reader.text_of(at, field)?.unwrap_or(default).to_owned())
}
