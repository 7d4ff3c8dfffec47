//! The format of a policy case.

use porin::identity::{Families, IdentityId, Label, Labels};
use porin::policy::{
    AllowLocalhost, Direction, Enforcement, Options, Parser, Protocol, Query, RefusedDocuments,
    Semantics,
};
use serde::Deserialize;
use serde_json::Value;

/// Documents, identities, a subject, and what the reference decides about its flows.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    config: Config,
    /// One YAML document each.
    pub(crate) policies: Vec<String>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) subject: u32,
    /// Every block that the policies name.
    pub(crate) cidr_prefixes: Option<Vec<ipnet::IpNet>>,
    /// Indexes of the documents that are refused.
    #[serde(default)]
    policy_errors: Vec<String>,
    /// The subject's policy cannot be computed.
    #[serde(default)]
    pub(crate) resolve_error: bool,
    pub(crate) ingress_enforced: bool,
    pub(crate) egress_enforced: bool,
    pub(crate) flows: Vec<Flow>,
}

#[derive(Debug, Deserialize)]
struct Config {
    enforcement: String,
    allow_localhost: String,
    dual_stack: bool,
    host_firewall: bool,
    cluster_name: String,
    default_local_cluster: bool,
    non_default_deny: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: u32,
    labels: Vec<String>,
}

/// One question and its answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Flow {
    direction: String,
    pub(crate) peer: u32,
    protocol: String,
    port: u16,
    verdict: String,
    redirect: Option<String>,
    auth: Option<String>,
    #[serde(default)]
    l7: Option<Value>,
}

/// What is decided about a flow, as far as the reference records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) redirect: Option<Parser>,
}

impl Answer {
    /// The parts in which two answers differ.
    pub(crate) fn unlike(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("verdict", self.allowed == other.allowed),
            ("redirect", self.redirect == other.redirect),
        ];
        let unlike = parts.into_iter().filter(|(_, alike)| !alike);
        unlike.map(|(part, _)| part).collect()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.allowed { "allowed" } else { "denied" })?;
        match self.redirect {
            Some(parser) => write!(f, " to {parser}"),
            None => Ok(()),
        }
    }
}

impl Case {
    /// The settings of the reference, in our options.
    pub(crate) fn options(&self) -> Result<Options, String> {
        let config = &self.config;
        let enforcement = match config.enforcement.as_str() {
            "default" => Enforcement::Default,
            "always" => Enforcement::Always,
            "never" => Enforcement::Never,
            other => return Err(format!("unknown enforcement `{other}`")),
        };
        let localhost = match config.allow_localhost.as_str() {
            "always" => AllowLocalhost::Always,
            "policy" => AllowLocalhost::Policy,
            other => return Err(format!("unknown allow_localhost `{other}`")),
        };
        Ok(Options::new()
            .semantics(Semantics::Cilium)
            .refused(RefusedDocuments::Skip)
            .enforcement(enforcement)
            .allow_localhost(localhost)
            .families(self.families())
            .host_firewall(config.host_firewall)
            .cluster_name(config.cluster_name.clone())
            .default_local_cluster(config.default_local_cluster)
            .non_default_deny(config.non_default_deny))
    }

    pub(crate) fn families(&self) -> Families {
        if self.config.dual_stack {
            Families::Dual
        } else {
            Families::V4
        }
    }

    /// Whether the document at this place is refused by the reference.
    pub(crate) fn refuses(&self, index: usize) -> bool {
        self.policy_errors
            .iter()
            .any(|text| *text == index.to_string())
    }
}

impl Identity {
    pub(crate) fn labels(&self) -> Result<Labels, String> {
        let label = |text: &String| text.parse::<Label>().map_err(|e| e.to_string());
        self.labels.iter().map(label).collect()
    }
}

impl Flow {
    pub(crate) fn query(&self) -> Result<Query, String> {
        let peer = IdentityId::new(self.peer);
        let direction = match self.direction.as_str() {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            other => return Err(format!("unknown direction `{other}`")),
        };
        let protocol: Protocol = self.protocol.parse().map_err(|_| self.protocol.clone())?;
        Ok(Query {
            direction,
            peer,
            protocol,
            port: self.port,
        })
    }

    pub(crate) fn answer(&self) -> Answer {
        let redirect = self.redirect.as_deref().map(|parser| match parser {
            "http" => Parser::Http,
            "kafka" => Parser::Kafka,
            "dns" => Parser::Dns,
            "tls" => Parser::Tls,
            "crd" => Parser::Listener,
            _ => Parser::Other,
        });
        Answer {
            allowed: self.verdict == "allowed",
            redirect,
        }
    }

    /// The part of the answer that cannot be compared yet.
    pub(crate) fn not_yet(&self) -> Option<&'static str> {
        match (&self.auth, &self.l7) {
            (Some(_), _) => Some("authentication"),
            (None, Some(_)) => Some("l7 rules"),
            (None, None) => None,
        }
    }
}
