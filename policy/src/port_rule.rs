//! The ports of a rule and what must be true of the content there, as its author wrote it.

use std::fmt;
use std::sync::Arc;

use crate::Protocol;
use crate::l7::{L7Rules, SecretRef};
use crate::rule::Location;

/// One element of `toPorts`, `icmps`, `ports` or `protocols`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// The ports; an empty list is no port at all.
    pub ports: Vec<PortSpec>,
    /// What requests on these ports must look like.
    pub l7: L7Rules,
    /// `serverNames`: the TLS names that may be asked for; empty is every name.
    pub server_names: Vec<Box<str>>,
    /// `terminatingTLS` and `originatingTLS`.
    pub tls: TlsRules,
    /// `listener`: who takes the connection over.
    pub listener: Option<Box<ListenerRef>>,
    /// Where the element begins.
    pub location: Location,
}

impl PortRule {
    /// An element that asks nothing of the content.
    pub fn plain(ports: Vec<PortSpec>, location: Location) -> Self {
        Self {
            ports,
            l7: L7Rules::None,
            server_names: Vec::new(),
            tls: TlsRules::default(),
            listener: None,
            location,
        }
    }
}

/// The TLS sides of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsRules {
    /// `terminatingTLS`: the proxy ends the client's TLS with this.
    pub terminating: Option<Box<TlsSide>>,
    /// `originatingTLS`: the proxy speaks TLS to the server with this.
    pub originating: Option<Box<TlsSide>>,
}

/// One TLS side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsSide {
    /// The secret that holds the certificates and keys.
    pub secret: Option<SecretRef>,
    /// The name of the trusted CA inside the secret.
    pub trusted_ca: Option<Box<str>>,
    /// The name of the certificate inside the secret.
    pub certificate: Option<Box<str>>,
    /// The name of the private key inside the secret.
    pub private_key: Option<Box<str>>,
}

/// A listener that an Envoy configuration defines.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenerRef {
    /// Whether the configuration is clusterwide.
    pub config: ConfigKind,
    /// The name of the configuration.
    pub config_name: Box<str>,
    /// The name of the listener in it.
    pub name: Box<str>,
    /// 1 (strongest) to 100 against other redirects; 0 where the author said nothing.
    pub priority: u16,
}

/// The kind of an Envoy configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigKind {
    /// `CiliumEnvoyConfig`: of the namespace of the subject.
    Namespaced,
    /// `CiliumClusterwideEnvoyConfig`.
    Clusterwide,
    /// Not said: upstream looks in the namespace of the subject, if it has one.
    Unsaid,
}

/// One port, range of ports, port name or message type of one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSpec {
    /// The port or the first of a range.
    pub port: Port,
    /// The last port of a range. A value that is not above `port` makes no range.
    ///
    /// The API of Cilium takes any 32-bit number and upstream keeps its low 16 bits; so does this
    /// field. [`Document::accept`](crate::Document::accept) refuses such a document under
    /// [`Semantics::Strict`](crate::Semantics::Strict).
    pub end_port: Option<u16>,
    /// The protocol.
    pub protocol: PortProtocol,
}

/// A port as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// A number; 0 means every port. For ICMP a message type, where upstream takes 0 for every type.
    Number(u16),
    /// The name of a container port, in lower case.
    Name(Arc<str>),
}

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortProtocol {
    /// TCP, UDP and SCTP (nothing else: no ICMP).
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP for IPv4: the port is a message type.
    Icmp,
    /// ICMP for IPv6: the port is a message type.
    Icmp6,
    /// A protocol without ports (VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH).
    Portless(Protocol),
}

impl PortProtocol {
    /// The protocols of packets that this speaks of.
    pub fn protocols(self) -> impl Iterator<Item = Protocol> {
        let all: [Option<Protocol>; 3] = match self {
            Self::Any => [
                Some(Protocol::TCP),
                Some(Protocol::UDP),
                Some(Protocol::SCTP),
            ],
            Self::Tcp => [Some(Protocol::TCP), None, None],
            Self::Udp => [Some(Protocol::UDP), None, None],
            Self::Sctp => [Some(Protocol::SCTP), None, None],
            Self::Icmp => [Some(Protocol::ICMP), None, None],
            Self::Icmp6 => [Some(Protocol::ICMPV6), None, None],
            Self::Portless(protocol) => [Some(protocol), None, None],
        };
        all.into_iter().flatten()
    }
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "ANY",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::Icmp6 => "ICMPv6",
            Self::Portless(protocol) => return protocol.fmt(f),
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
