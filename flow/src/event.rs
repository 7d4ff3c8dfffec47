//! Event classes, observation points and the other small enumerations of a flow.

use std::fmt;

/// Makes an enumeration whose members have a name and a number in Hubble's schema.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every member, in the order of Hubble's numbers.
            pub const EVERY: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in Hubble's schema.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The number in Hubble's schema.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The member with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::EVERY.iter().copied().find(|member| member.name() == name)
            }

            /// The member with this number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                Self::EVERY.iter().copied().find(|member| member.number() == number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// What became of a packet, as a flow says it: Hubble's `flow.Verdict`.
    #[derive(Default)]
    FlowVerdict {
        /// Not known; debug captures have no verdict.
        #[default]
        Unknown = 0 "VERDICT_UNKNOWN",
        /// It went on.
        Forwarded = 1 "FORWARDED",
        /// It was dropped.
        Dropped = 2 "DROPPED",
        /// The proxy failed over it.
        Error = 3 "ERROR",
        /// Policy would have dropped it.
        Audit = 4 "AUDIT",
        /// It went to a proxy.
        Redirected = 5 "REDIRECTED",
        /// A socket was about to be translated.
        Traced = 6 "TRACED",
        /// A socket was translated.
        Translated = 7 "TRANSLATED",
    }
}

named! {
    /// The coarse class of a record: Hubble's `flow.FlowType`.
    #[derive(Default)]
    #[non_exhaustive]
    FlowKind {
        /// Nothing is known of the packet.
        #[default]
        Unknown = 0 "UNKNOWN_TYPE",
        /// A packet.
        L3L4 = 1 "L3_L4",
    }
}

named! {
    /// What connection tracking said of a traced packet: Hubble's `flow.TraceReason`.
    TraceReason {
        /// First of a connection.
        New = 1 "NEW",
        /// In the direction of the connection.
        Established = 2 "ESTABLISHED",
        /// Against it.
        Reply = 3 "REPLY",
        /// An error message that belongs to it.
        Related = 4 "RELATED",
        /// First packet of an entry that had been closed.
        Reopened = 5 "REOPENED",
        /// Encapsulated for SRv6.
        Srv6Encap = 6 "SRV6_ENCAP",
        /// Taken out of SRv6.
        Srv6Decap = 7 "SRV6_DECAP",
        /// Encrypted for the overlay.
        EncryptOverlay = 8 "ENCRYPT_OVERLAY",
    }
}

named! {
    /// The authentication that policy asks for: Hubble's `flow.AuthType`.
    AuthType {
        /// Mutual authentication by SPIFFE identities.
        Spire = 1 "SPIRE",
        /// A kind that always fails, for tests.
        TestAlwaysFail = 2 "TEST_ALWAYS_FAIL",
    }
}

/// The class of an event and its sub class: Hubble's `flow.CiliumEventType`.
///
/// The sub class of a drop is its reason, of a trace the observation point, of a capture the
/// capture point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EventType {
    /// The class, one of the constants.
    pub class: i32,
    /// The sub class.
    pub sub: i32,
}

impl EventType {
    /// A packet was dropped.
    pub const DROP: i32 = 1;
    /// A debug capture.
    pub const CAPTURE: i32 = 3;
    /// A packet passed an observation point.
    pub const TRACE: i32 = 4;
    /// Policy decided on the first packet.
    pub const POLICY_VERDICT: i32 = 5;

    /// The observation point of a trace: name in the schema and text of the compact line.
    #[must_use]
    pub fn observation_point(self) -> Option<(&'static str, &'static str)> {
        let number = usize::try_from(self.sub)
            .ok()
            .filter(|_| self.class == Self::TRACE)?;
        OBSERVATION_POINTS.get(number).copied()
    }

    /// The name of the capture point of a debug capture.
    #[must_use]
    pub fn capture_point(self) -> Option<&'static str> {
        let number = usize::try_from(self.sub)
            .ok()
            .filter(|_| self.class == Self::CAPTURE)?;
        CAPTURE_POINTS
            .get(number.checked_sub(FIRST_CAPTURE_POINT)?)
            .copied()
    }
}

/// By raw sub class, which differs from the number of the enum for the first.
const OBSERVATION_POINTS: [(&str, &str); 14] = [
    ("TO_ENDPOINT", "to-endpoint"),
    ("TO_PROXY", "to-proxy"),
    ("TO_HOST", "to-host"),
    ("TO_STACK", "to-stack"),
    ("TO_OVERLAY", "to-overlay"),
    ("FROM_ENDPOINT", "from-endpoint"),
    ("FROM_PROXY", "from-proxy"),
    ("FROM_HOST", "from-host"),
    ("FROM_STACK", "from-stack"),
    ("FROM_OVERLAY", "from-overlay"),
    ("FROM_NETWORK", "from-network"),
    ("TO_NETWORK", "to-network"),
    ("FROM_CRYPTO", "from-crypto"),
    ("TO_CRYPTO", "to-crypto"),
];

const FIRST_CAPTURE_POINT: usize = 4;

const CAPTURE_POINTS: [&str; 8] = [
    "DBG_CAPTURE_DELIVERY",
    "DBG_CAPTURE_FROM_LB",
    "DBG_CAPTURE_AFTER_V46",
    "DBG_CAPTURE_AFTER_V64",
    "DBG_CAPTURE_PROXY_PRE",
    "DBG_CAPTURE_PROXY_POST",
    "DBG_CAPTURE_SNAT_PRE",
    "DBG_CAPTURE_SNAT_POST",
];

/// Sub classes of a trace that Porin itself reports.
pub(crate) mod point {
    pub(crate) const TO_ENDPOINT: i32 = 0;
    pub(crate) const TO_PROXY: i32 = 1;
    pub(crate) const FROM_ENDPOINT: i32 = 5;
}
