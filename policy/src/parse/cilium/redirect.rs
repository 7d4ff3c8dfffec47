//! `serverNames`, `terminatingTLS`, `originatingTLS` and `listener` of a `toPorts` element.

use super::{http, l7};
use crate::direction::Direction;
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::port_rule::{ConfigKind, ListenerRef, TlsRules, TlsSide};

/// `terminatingTLS` and `originatingTLS`.
pub(super) fn tls(reader: &Reader<'_>, at: &At<'_>) -> Result<TlsRules, ParseError> {
    let side = |field| match at.get(field) {
        Some(tls) => tls_side(reader, &tls).map(|side| Some(Box::new(side))),
        None => Ok(None),
    };
    Ok(TlsRules {
        terminating: side("terminatingTLS")?,
        originating: side("originatingTLS")?,
    })
}

fn tls_side(reader: &Reader<'_>, at: &At<'_>) -> Result<TlsSide, ParseError> {
    reader.fields(at, &["secret", "trustedCA", "certificate", "privateKey"])?;
    let secret = match at.get("secret") {
        Some(at) => Some(http::secret(reader, &at)?),
        None => None,
    };
    Ok(TlsSide {
        secret,
        trusted_ca: reader.boxed_of(at, "trustedCA")?,
        certificate: reader.boxed_of(at, "certificate")?,
        private_key: reader.boxed_of(at, "privateKey")?,
    })
}

/// `serverNames`. Beside content rules they need TLS to end at the proxy: what they
/// would mean without it depends on the order of the documents upstream.
pub(super) fn server_names(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    content: &l7::Content,
    tls: &TlsRules,
) -> Result<Vec<Box<str>>, ParseError> {
    let names = reader.each(at, "serverNames", server_name)?;
    if let Some(list) = at.get("serverNames").filter(|_| !names.is_empty())
        && content.any
        && tls.terminating.is_none()
    {
        let reason =
            "`serverNames` beside `rules` need `terminatingTLS`; add it, or remove one of them";
        return Err(reader.invalid(&list, reason));
    }
    Ok(names)
}

fn server_name(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Box<str>, ParseError> {
    let name = reader.text(at)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*');
    match name {
        "" => Err(reader.invalid(at, "an empty server name matches nothing; remove it")),
        name if name.bytes().all(fits) => Ok(name.into()),
        name => Err(reader.invalid(
            at,
            format!("`{name}` is no server name; use letters, digits, `-`, `_`, `.` and `*`"),
        )),
    }
}

/// `listener`.
pub(super) fn listener(
    reader: &Reader<'_>,
    at: &At<'_>,
    direction: Direction,
    content: &l7::Content,
) -> Result<Option<Box<ListenerRef>>, ParseError> {
    let Some(at) = at.get("listener") else {
        return Ok(None);
    };
    reader.fields(&at, &["envoyConfig", "name", "priority"])?;
    if direction == Direction::Ingress {
        return Err(reader.invalid(&at, "a `listener` takes what goes out; move it to `egress`"));
    }
    if content.any {
        return Err(reader.invalid(&at, "`listener` and `rules` exclude each other; keep one"));
    }
    let Some(config) = at.get("envoyConfig") else {
        let reason = "`envoyConfig` is missing; name the configuration that has the listener";
        return Err(reader.invalid(&at, reason));
    };
    reader.fields(&config, &["kind", "name"])?;
    let name = |at: &At<'_>, what| {
        let name = reader.boxed_of(at, "name")?;
        name.ok_or_else(|| reader.invalid(at, format!("`name` is missing; name the {what}")))
    };
    Ok(Some(Box::new(ListenerRef {
        config: config_kind(reader, &config)?,
        config_name: name(&config, "configuration")?,
        name: name(&at, "listener")?,
        priority: priority(reader, &at)?,
    })))
}

fn config_kind(reader: &Reader<'_>, at: &At<'_>) -> Result<ConfigKind, ParseError> {
    match reader.text_of(at, "kind")? {
        None => Ok(ConfigKind::Unsaid),
        Some("CiliumEnvoyConfig") => Ok(ConfigKind::Namespaced),
        Some("CiliumClusterwideEnvoyConfig") => Ok(ConfigKind::Clusterwide),
        Some(other) => Err(reader.invalid(
            at,
            format!(
                "unknown kind `{other}`; use CiliumEnvoyConfig or CiliumClusterwideEnvoyConfig"
            ),
        )),
    }
}

fn priority(reader: &Reader<'_>, at: &At<'_>) -> Result<u16, ParseError> {
    let Some(at) = at.get("priority") else {
        return Ok(0);
    };
    let number = reader.integer(&at)?;
    u8::try_from(number).map(u16::from).map_err(|_| {
        reader.invalid(
            &at,
            format!("{number} is no priority; use a number from 1 to 100"),
        )
    })
}
