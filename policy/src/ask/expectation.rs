//! What authors of policies expect of them.

use std::fmt;

use crate::rule::Location;
use crate::{AuthMode, DnsQuery, HttpRequest, KafkaRequest, Protocol, Request, TlsHello, Verdict};

/// One expectation: who to whom, on which port, with which request, and what is to become of it.
///
/// Written in YAML, so that it can stand beside the policies:
///
/// ```yaml
/// tests:
/// - name: the frontend reads orders and changes none
///   from: frontend              # or a list
///   to: backend-api             # or a list
///   port: 8080                  # or the name of a port; for ICMP the type
///   protocol: TCP               # unless the file says otherwise
///   http: {method: DELETE, path: /orders/7, host: api, headers: {X-Key: a}}
///   expect: denied              # allowed, denied, redirected
///   rule: cnp/backend/api       # optional: which policy (or rule, `cnp/backend/api ingress[0]`) decides
///   authentication: required    # optional
///   staged: allowed             # optional: what is to become of it with the staged rules in force
/// ```
///
/// In place of `http` there may be `dns: {name: …}`, `tls: {serverName: …}` or
/// `kafka: {apiKey: 0, apiVersion: 7, clientID: …, topics: […]}`. Without a request, a flow that goes
/// to a proxy whose rules can refuse it is `redirected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// What it says in words; made of the rest if the file does not say.
    pub name: String,
    /// Who opens the connection; each is tried.
    pub from: Vec<String>,
    /// Who is to accept it; each is tried.
    pub to: Vec<String>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: ExpectedPort,
    /// What is sent.
    pub request: Option<ExpectedRequest>,
    /// What is to become of it.
    pub expect: Verdict,
    /// The policy that is to decide on one of the sides, or its rule.
    pub rule: Option<String>,
    /// What is to be proved on one of the sides.
    pub auth: Option<AuthMode>,
    /// What is to become of it with the staged rules in force.
    pub staged: Option<Verdict>,
    /// Where it stands.
    pub location: Location,
}

/// A port by its number, or by the name that the target gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExpectedPort {
    /// A number; for ICMP the message type.
    Number(u16),
    /// A name.
    Name(String),
}

/// A request of an [`Expectation`], which owns its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedRequest {
    /// An HTTP request.
    Http {
        /// The method.
        method: String,
        /// The path with its query.
        path: String,
        /// The authority.
        host: String,
        /// The header lines.
        headers: Vec<(String, String)>,
    },
    /// A Kafka request.
    Kafka {
        /// The number of the request kind.
        api_key: i16,
        /// The version of the request.
        api_version: i16,
        /// The client id.
        client_id: String,
        /// The topics.
        topics: Vec<String>,
    },
    /// A DNS query.
    Dns {
        /// The name that is asked for.
        name: String,
    },
    /// The beginning of a TLS connection.
    Tls {
        /// The server name; `None` if none is sent.
        server_name: Option<String>,
    },
}

impl ExpectedRequest {
    /// Shows the request to `judge`.
    pub(crate) fn show<T>(&self, judge: impl FnOnce(&Request<'_>) -> T) -> T {
        match self {
            Self::Http {
                method,
                path,
                host,
                headers,
            } => {
                let lines = headers.iter();
                let lines: Vec<(&str, &[u8])> = lines
                    .map(|(name, value)| (name.as_str(), value.as_bytes()))
                    .collect();
                let request = HttpRequest::new(method, path).host(host).headers(&lines);
                judge(&Request::Http(request))
            }
            Self::Kafka {
                api_key,
                api_version,
                client_id,
                topics,
            } => {
                let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
                let request = KafkaRequest::new(*api_key, *api_version)
                    .client_id(client_id)
                    .topics(&topics);
                judge(&Request::Kafka(request))
            }
            Self::Dns { name } => judge(&Request::Dns(DnsQuery::new(name))),
            Self::Tls { server_name } => {
                judge(&Request::Tls(TlsHello::new(server_name.as_deref())))
            }
        }
    }
}

impl fmt::Display for ExpectedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method, path, .. } => write!(f, "{method} {path}"),
            Self::Kafka {
                api_key, topics, ..
            } => write!(f, "Kafka request {api_key} {}", topics.join(",")),
            Self::Dns { name } => write!(f, "query {name}"),
            Self::Tls {
                server_name: Some(name),
            } => write!(f, "TLS {name}"),
            Self::Tls { server_name: None } => f.write_str("TLS without a name"),
        }
    }
}

impl fmt::Display for ExpectedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}
