use std::fmt;

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It is dropped.
    Deny,
    /// It goes to a proxy, which judges the content.
    Redirect,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allow => "allowed",
            Self::Deny => "denied",
            Self::Redirect => "redirected",
        })
    }
}

/// Who reads the content of a redirected connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Parser {
    /// HTTP rules.
    Http,
    /// Kafka rules.
    Kafka,
    /// DNS rules.
    Dns,
    /// TLS server names or termination without HTTP rules.
    Tls,
    /// A listener that the policy names.
    Listener,
    /// A parser that the policy names (`l7proto`).
    Other,
}

impl Parser {
    /// How strong a redirect to it is against others: the smaller is the stronger. A listener may
    /// have another of its own.
    pub(crate) const fn priority(self) -> u16 {
        match self {
            Self::Http => 101,
            Self::Kafka => 106,
            Self::Other => 111,
            Self::Tls => 116,
            Self::Dns => 121,
            Self::Listener => 126,
        }
    }
}

impl fmt::Display for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Kafka => "kafka",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Listener => "listener",
            Self::Other => "other",
        })
    }
}

/// Where a redirected connection goes, and whether its content can be refused there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Redirect {
    /// Who reads the content.
    pub parser: Parser,
    /// Whether the rules let every content through, so that the connection needs no judgement.
    pub unrestricted: bool,
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.parser)?;
        if self.unrestricted {
            write!(f, " (unrestricted)")
        } else {
            Ok(())
        }
    }
}
