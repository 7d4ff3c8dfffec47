//! The kinds of `l7-*` files.

use super::{http, kafka, merge, names, validate};
use crate::vectors::Fault;
use crate::vectors::tally::Outcome;

/// What the cases of an `l7-*` file are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One name or pattern against names.
    DnsMatch,
    /// Lists of names and patterns against names.
    DnsRuleset,
    /// Lists of conditions against requests.
    HttpMatch,
    /// Rules and the conditions they mean.
    HttpTranslate,
    /// Rules against requests.
    KafkaMatch,
    /// Rules that are accepted, and what they mean, or refused.
    KafkaRule,
    /// Several rules on one port.
    Merge,
    /// Elements of `toPorts` that are accepted or refused.
    PortRuleValidate,
}

impl Kind {
    /// The kind of files of that name.
    pub(crate) fn of(stem: &str) -> Option<Self> {
        Some(match stem {
            "l7-dns-match" => Self::DnsMatch,
            "l7-dns-ruleset" => Self::DnsRuleset,
            "l7-http-match" => Self::HttpMatch,
            "l7-http-translate" => Self::HttpTranslate,
            "l7-kafka-match" => Self::KafkaMatch,
            "l7-kafka-rule" => Self::KafkaRule,
            "l7-merge" => Self::Merge,
            "l7-portrule-validate" => Self::PortRuleValidate,
            _ => return None,
        })
    }

    /// Runs a line of such a file.
    pub(crate) fn run(self, line: &str) -> Result<Outcome, Fault> {
        match self {
            Self::DnsMatch => names::dns_match(line),
            Self::DnsRuleset => names::dns_ruleset(line),
            Self::HttpMatch => http::judge(line),
            Self::HttpTranslate => http::translate(line),
            Self::KafkaMatch => kafka::judge(line),
            Self::KafkaRule => kafka::rule(line),
            Self::Merge => merge::run(line),
            Self::PortRuleValidate => validate::port_rule(line),
        }
    }
}
