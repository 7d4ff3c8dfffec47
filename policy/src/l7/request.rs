//! What a proxy shows of a request: borrowed, already parsed and normalised.

/// A request of any protocol that rules judge.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Request<'a> {
    /// An HTTP request, gRPC included.
    Http(HttpRequest<'a>),
    /// A Kafka request.
    Kafka(KafkaRequest<'a>),
    /// A DNS query.
    Dns(DnsQuery<'a>),
    /// The beginning of a TLS connection.
    Tls(TlsHello<'a>),
}

/// An HTTP request. What is judged has to be what is forwarded: the path after normalisation.
///
/// ```
/// use porin_policy::HttpRequest;
/// let request = HttpRequest::new("GET", "/orders?open=1")
///     .host("shop.example")
///     .headers(&[("X-Key", b"true")]);
/// assert_eq!(request.values("x-key").next(), Some(&b"true"[..]));
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HttpRequest<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// The authority, with its port if one was sent.
    pub host: &'a str,
    /// Every header line: its name in any case, its value without blanks around.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> HttpRequest<'a> {
    /// A request without host and headers.
    pub const fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            host: "",
            headers: &[],
        }
    }

    /// The same request to a host.
    #[must_use]
    pub const fn host(self, host: &'a str) -> Self {
        Self { host, ..self }
    }

    /// The same request with these header lines and no others.
    #[must_use]
    pub const fn headers(self, headers: &'a [(&'a str, &'a [u8])]) -> Self {
        Self { headers, ..self }
    }

    /// The values of a header, one for each line; the case of the name does not matter. `Host` and
    /// the names of HTTP/2 (`:method`, `:path`, `:authority`) stand for their parts.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let part = match name {
            ":method" => Some(self.method),
            ":path" => Some(self.path),
            ":authority" => Some(self.host),
            name if name.eq_ignore_ascii_case("host") => Some(self.host),
            _ => None,
        };
        let lines: &'a [(&'a str, &'a [u8])] = match part {
            Some(_) => &[],
            None => self.headers,
        };
        let named = move |(given, value): &(&'a str, &'a [u8])| {
            given.eq_ignore_ascii_case(name).then_some(*value)
        };
        part.map(str::as_bytes)
            .into_iter()
            .chain(lines.iter().filter_map(named))
    }
}

/// A Kafka request (protocol.apache.org).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KafkaRequest<'a> {
    /// The number of the request kind.
    pub api_key: i16,
    /// The version of the request.
    pub api_version: i16,
    /// The client id; empty if none was sent.
    pub client_id: &'a str,
    /// The names of all topics. A request whose topics cannot all be named shows none, and no rule
    /// that names a topic lets it pass.
    pub topics: &'a [&'a str],
}

impl<'a> KafkaRequest<'a> {
    /// A request without client id and topics.
    pub const fn new(api_key: i16, api_version: i16) -> Self {
        Self {
            api_key,
            api_version,
            client_id: "",
            topics: &[],
        }
    }

    /// The same request of a client.
    #[must_use]
    pub const fn client_id(self, client_id: &'a str) -> Self {
        Self { client_id, ..self }
    }

    /// The same request about these topics and no others.
    #[must_use]
    pub const fn topics(self, topics: &'a [&'a str]) -> Self {
        Self { topics, ..self }
    }
}

/// A DNS query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsQuery<'a> {
    /// The name that is asked for, in any case, with or without the dot at its end.
    pub name: &'a str,
}

impl<'a> DnsQuery<'a> {
    /// A query for a name.
    pub const fn new(name: &'a str) -> Self {
        Self { name }
    }
}

/// The beginning of a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsHello<'a> {
    /// The server name that the client asks for (RFC 6066 §3); `None` if it names none, or if the
    /// connection is no TLS at all.
    pub server_name: Option<&'a str>,
}

impl<'a> TlsHello<'a> {
    /// A hello with or without a server name.
    pub const fn new(server_name: Option<&'a str>) -> Self {
        Self { server_name }
    }
}
