//! Ports as written, and the flows that they cover.

use std::sync::Arc;

use super::subject::Subject;
use crate::port_rule::{Port, PortSpec};
use crate::{Protocol, Query};

/// One written port of one protocol. Rules with the same one are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ports {
    /// Every port and protocol.
    All,
    /// A number and the end of its range, 0 where there is none.
    Number {
        protocol: Protocol,
        first: u16,
        end: u16,
    },
    /// A name, and likewise.
    Name {
        protocol: Protocol,
        name: Arc<str>,
        end: u16,
    },
}

/// How narrow a cover is: every protocol, every port of one, or a block of ports by the bits that
/// its ports share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    EveryProtocol,
    Bits(u32),
}

impl Level {
    /// Whether no port is named at all.
    pub(super) fn is_every_port(self) -> bool {
        self <= Self::Bits(0)
    }
}

impl Ports {
    pub(super) fn of(spec: &PortSpec, protocol: Protocol) -> Self {
        let end = spec.end_port.unwrap_or(0);
        match &spec.port {
            Port::Number(first) => Self::Number {
                protocol,
                first: *first,
                end,
            },
            Port::Name(name) => Self::Name {
                protocol,
                name: Arc::clone(name),
                end,
            },
        }
    }

    /// How narrow the cover of a flow is; `None` if the flow is not covered.
    pub(super) fn level(&self, query: &Query, subject: &Subject<'_>) -> Option<Level> {
        let (protocol, first, end) = match self {
            Self::All => return Some(Level::EveryProtocol),
            Self::Number {
                protocol,
                first,
                end,
            } => (*protocol, *first, *end),
            Self::Name {
                protocol,
                name,
                end,
            } => {
                let first = subject.port_named(name, *protocol, query)?;
                let ranges = query.direction == crate::Direction::Ingress;
                (*protocol, first, if ranges { *end } else { 0 })
            }
        };
        if protocol != query.protocol {
            return None;
        }
        let message = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6);
        let every = match (first, end) {
            // Upstream takes both for no port at all.
            (0, 0) => !(message && subject.strict()),
            (0, _) => !subject.strict(),
            _ => false,
        };
        if every {
            return Some(Level::Bits(0));
        }
        let last = end.max(first);
        (first..=last)
            .contains(&query.port)
            .then(|| block(first, last, query.port))
    }

    /// Whether proxies that judge requests learn of rules for these ports: those that reach TCP. A
    /// range that begins at 0 is kept from them by upstream.
    pub(super) fn told_to_proxies(&self) -> bool {
        match self {
            Self::All => true,
            Self::Number {
                protocol,
                first,
                end,
            } => *protocol == Protocol::TCP && (*first > 0 || *end == 0),
            Self::Name { protocol, .. } => *protocol == Protocol::TCP,
        }
    }
}

/// The largest aligned block around a port that lies in a range.
fn block(first: u16, last: u16, port: u16) -> Level {
    let inside = |bits: &u32| {
        let rest = u16::MAX.checked_shr(*bits).unwrap_or(0);
        (port & !rest) >= first && (port | rest) <= last
    };
    Level::Bits((0..16).find(inside).unwrap_or(16))
}
