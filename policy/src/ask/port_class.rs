use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{PortPrefix, Protocol};

/// Ports of one protocol that policies treat alike: an inclusive range, as wide as it can be.
///
/// ```
/// use porin_policy::{PortPrefix, Protocol};
/// use porin_policy::ask::PortClass;
/// let keys = [(Protocol::TCP, PortPrefix::exact(443)), (Protocol::VRRP, PortPrefix::ALL)];
/// let classes: Vec<_> = PortClass::partition(keys).iter().map(ToString::to_string).collect();
/// assert_eq!(classes, ["every protocol but TCP, VRRP", "TCP/0-442", "TCP/443", "TCP/444-65535", "VRRP"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortClass {
    protocol: Protocol,
    first: u16,
    last: u16,
    /// For [`Protocol::ANY`]: the protocols that are not meant, by their place in [`NAMED`].
    but: u16,
}

/// Every protocol that policies can name.
const NAMED: [Protocol; 12] = [
    Protocol::TCP,
    Protocol::UDP,
    Protocol::SCTP,
    Protocol::ICMP,
    Protocol::ICMPV6,
    Protocol::VRRP,
    Protocol::IGMP,
    Protocol::GRE,
    Protocol::IPIP,
    Protocol::IPV6,
    Protocol::ESP,
    Protocol::AH,
];

impl PortClass {
    /// Every protocol and port.
    pub const EVERY: Self = Self {
        protocol: Protocol::ANY,
        first: 0,
        last: u16::MAX,
        but: 0,
    };

    /// Every protocol but those with classes of their own.
    fn rest(named: impl IntoIterator<Item = Protocol>) -> Self {
        let but = named
            .into_iter()
            .fold(0, |but, protocol| but | bit(protocol));
        Self { but, ..Self::EVERY }
    }

    /// One port.
    #[must_use]
    pub const fn exact(protocol: Protocol, port: u16) -> Self {
        Self {
            protocol,
            first: port,
            last: port,
            but: 0,
        }
    }

    fn all_of(protocol: Protocol) -> Self {
        let last = match protocol {
            Protocol::ICMP | Protocol::ICMPV6 => u16::from(u8::MAX),
            _ => u16::MAX,
        };
        Self {
            protocol,
            first: 0,
            last,
            but: 0,
        }
    }

    /// Cuts all protocols and ports along the borders of these keys: inside of a class every key
    /// covers either all or nothing.
    #[must_use]
    pub fn partition(keys: impl IntoIterator<Item = (Protocol, PortPrefix)>) -> Vec<Self> {
        let mut starts: BTreeMap<Protocol, BTreeSet<u16>> = BTreeMap::new();
        for (protocol, port) in keys {
            if protocol.is_any() {
                continue;
            }
            let starts = starts
                .entry(protocol)
                .or_insert_with(|| BTreeSet::from([0]));
            starts.insert(port.port());
            starts.extend(port.last().checked_add(1));
        }
        let mut classes = vec![Self::rest(starts.keys().copied())];
        for (protocol, starts) in starts {
            let whole = Self::all_of(protocol);
            let mut starts: Vec<u16> = starts.into_iter().filter(|at| *at <= whole.last).collect();
            starts.reverse();
            let mut last = whole.last;
            let mut cut: Vec<Self> = Vec::new();
            for first in starts {
                cut.push(Self {
                    first,
                    last,
                    ..whole
                });
                last = first.saturating_sub(1);
            }
            classes.extend(cut.into_iter().rev());
        }
        classes
    }

    /// Joins neighbours that say the same, and leaves out what says the same as the rest.
    pub(crate) fn join<T: PartialEq>(
        classes: impl IntoIterator<Item = (Self, T)>,
    ) -> Vec<(Self, T)> {
        let mut joined: Vec<(Self, T)> = Vec::new();
        for (class, says) in classes {
            match joined.last_mut() {
                Some((before, said))
                    if before.protocol == class.protocol
                        && *said == says
                        && before.last.checked_add(1) == Some(class.first) =>
                {
                    before.last = class.last;
                }
                _ => joined.push((class, says)),
            }
        }
        let rest = joined.iter().position(|(class, _)| class.protocol.is_any());
        let Some(rest) = rest.map(|at| joined.swap_remove(at)) else {
            return joined;
        };
        joined.retain(|(class, says)| *class != Self::all_of(class.protocol) || *says != rest.1);
        let named = joined.iter().map(|(class, _)| class.protocol);
        joined.push((Self::rest(named), rest.1));
        joined.sort_by_key(|(class, _)| *class);
        joined
    }

    /// The protocol; [`Protocol::ANY`] for every protocol, or every one but some.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        self.protocol
    }

    /// The first and the last port; for ICMP message types.
    #[must_use]
    pub const fn ports(self) -> (u16, u16) {
        (self.first, self.last)
    }

    /// Whether a port lies in the class.
    #[must_use]
    pub fn covers(self, protocol: Protocol, port: u16) -> bool {
        match self.protocol {
            Protocol::ANY => self.but & bit(protocol) == 0,
            own => own == protocol && (self.first..=self.last).contains(&port),
        }
    }

    /// A packet of the class: its first port other than 0; of every protocol the number 253, which
    /// no policy can name (RFC 3692).
    #[must_use]
    pub fn sample(self) -> (Protocol, u16) {
        match self.protocol {
            Protocol::ANY => (Protocol::new(253), 0),
            protocol if protocol.has_ports() => (protocol, self.first.max(1).min(self.last)),
            protocol => (protocol, self.first),
        }
    }
}

fn bit(protocol: Protocol) -> u16 {
    let place = NAMED.iter().position(|named| *named == protocol);
    place.map_or(0, |place| 1 << place)
}

impl fmt::Display for PortClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            first,
            last,
            but,
        } = self;
        match protocol {
            _ if *self == Self::EVERY => f.pad("every port"),
            &Protocol::ANY => {
                let left_out = NAMED.iter().filter(|protocol| but & bit(**protocol) != 0);
                let names: Vec<_> = left_out.map(ToString::to_string).collect();
                write!(f, "every protocol but {}", names.join(", "))
            }
            _ if *self == Self::all_of(*protocol) => write!(f, "{protocol}"),
            _ if first == last => write!(f, "{protocol}/{first}"),
            _ => write!(f, "{protocol}/{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PortClass;
    use crate::{PortPrefix, Protocol};

    fn text(classes: &[PortClass]) -> Vec<String> {
        classes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_are_cut_at_every_border_and_nowhere_else() {
        let keys = [
            (Protocol::TCP, PortPrefix::new(8080, 13)),
            (Protocol::TCP, PortPrefix::exact(65535)),
            (Protocol::ANY, PortPrefix::ALL),
            (Protocol::ICMP, PortPrefix::exact(8)),
            (Protocol::UDP, PortPrefix::ALL),
        ];
        let classes = PortClass::partition(keys);
        assert_eq!(
            text(&classes),
            [
                "every protocol but TCP, UDP, ICMP",
                "ICMP/0-7",
                "ICMP/8",
                "ICMP/9-255",
                "TCP/0-8079",
                "TCP/8080-8087",
                "TCP/8088-65534",
                "TCP/65535",
                "UDP"
            ]
        );
        for class in &classes {
            let (protocol, port) = class.sample();
            let hits = classes.iter().filter(|one| one.covers(protocol, port));
            assert_eq!(hits.count(), 1, "{class}");
        }
    }

    #[test]
    fn what_says_the_same_is_said_once() {
        let keys = [
            (Protocol::TCP, PortPrefix::exact(80)),
            (Protocol::TCP, PortPrefix::exact(81)),
            (Protocol::UDP, PortPrefix::exact(53)),
        ];
        let say = |class: PortClass| {
            (
                class,
                class.covers(Protocol::TCP, 80) || class.covers(Protocol::TCP, 81),
            )
        };
        let joined = PortClass::join(PortClass::partition(keys).into_iter().map(say));
        let classes: Vec<_> = joined.iter().map(|(class, _)| *class).collect();
        assert_eq!(
            text(&classes),
            [
                "every protocol but TCP",
                "TCP/0-79",
                "TCP/80-81",
                "TCP/82-65535"
            ]
        );
    }
}
