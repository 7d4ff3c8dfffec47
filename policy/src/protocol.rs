use std::fmt;
use std::str::FromStr;

use crate::error::ParseNameError;

/// An IP protocol by its IANA number; [`Protocol::ANY`] stands for every protocol.
///
/// ```
/// use porin_policy::Protocol;
/// assert_eq!("tcp".parse(), Ok(Protocol::TCP));
/// assert_eq!(Protocol::SCTP.to_string(), "SCTP");
/// assert_eq!(Protocol::new(253).to_string(), "253");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(u8);

impl Protocol {
    /// Every protocol. A wildcard of keys; no packet carries it in this sense.
    pub const ANY: Self = Self(0);
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// IGMP.
    pub const IGMP: Self = Self(2);
    /// IPv4 in IPv4.
    pub const IPIP: Self = Self(4);
    /// IPv6 in IPv4.
    pub const IPV6: Self = Self(41);
    /// GRE.
    pub const GRE: Self = Self(47);
    /// IPsec ESP.
    pub const ESP: Self = Self(50);
    /// IPsec AH.
    pub const AH: Self = Self(51);
    /// VRRP.
    pub const VRRP: Self = Self(112);

    const NAMES: [(Self, &'static str); 13] = [
        (Self::ANY, "ANY"),
        (Self::ICMP, "ICMP"),
        (Self::TCP, "TCP"),
        (Self::UDP, "UDP"),
        (Self::ICMPV6, "ICMPv6"),
        (Self::SCTP, "SCTP"),
        (Self::IGMP, "IGMP"),
        (Self::IPIP, "IPIP"),
        (Self::IPV6, "IPV6"),
        (Self::GRE, "GRE"),
        (Self::ESP, "ESP"),
        (Self::AH, "AH"),
        (Self::VRRP, "VRRP"),
    ];

    /// The protocol with an IANA number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The IANA number; 0 for [`Protocol::ANY`].
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the wildcard.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Whether packets of this protocol carry ports. ICMP carries a type and a code in their place.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(protocol, _)| protocol == self) {
            Some((_, name)) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Protocol {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(protocol, _)| *protocol)
            .or_else(|| text.parse().ok().map(Self))
            .ok_or_else(|| {
                let expected = "TCP, UDP, SCTP, ICMP, ICMPv6, ANY or a number up to 255";
                ParseNameError::new("protocol", text, expected)
            })
    }
}
