//! What has to be true of a connection besides its ports: content and authentication.

use std::collections::BTreeMap;

use porin::policy::ask::Outcome;
use porin::policy::{AuthMode, Decision, HttpRule, KafkaRule, L7Policy, L7Rules};
use serde::Serialize;

/// The content rules of one flow, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Content {
    parser: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Every content passes.
    unrestricted: bool,
    /// One of these must fit.
    rules: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    server_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
}

impl Content {
    pub(crate) fn of(decision: &Decision) -> Option<Self> {
        Outcome::from(decision).l7.as_ref().map(Self::from)
    }

    /// What has to be proved, if anything.
    pub(crate) fn authentication(decision: &Decision) -> Option<String> {
        Self::mode(Outcome::from(decision).auth)
    }

    /// The mode, unless nothing has to be proved.
    pub(crate) fn mode(mode: AuthMode) -> Option<String> {
        (mode != AuthMode::Disabled).then(|| mode.to_string())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let named = (!self.server_names.is_empty())
            .then(|| format!("server names {}", self.server_names.join(", ")));
        let listener = self
            .listener
            .as_ref()
            .map(|name| format!("listener {name}"));
        let open = self
            .unrestricted
            .then(|| format!("every {} request", self.parser));
        let rules = self.rules.iter().filter(|_| !self.unrestricted).cloned();
        named
            .into_iter()
            .chain(listener)
            .chain(open)
            .chain(rules)
            .collect()
    }
}

impl From<&L7Policy> for Content {
    fn from(l7: &L7Policy) -> Self {
        Self {
            parser: l7.parser.to_string(),
            name: l7.parser_name.as_deref().map(str::to_owned),
            unrestricted: l7.unrestricted,
            rules: rules(&l7.rules),
            server_names: l7.server_names.iter().map(ToString::to_string).collect(),
            listener: l7.listener.as_deref().map(str::to_owned),
        }
    }
}

/// Each rule on a line.
fn rules(rules: &L7Rules) -> Vec<String> {
    match rules {
        L7Rules::None => Vec::new(),
        L7Rules::Http(rules) => rules.iter().map(http).collect(),
        L7Rules::Kafka(rules) => rules.iter().map(kafka).collect(),
        L7Rules::Dns(rules) => {
            let text = |rule: &porin::policy::DnsRule| {
                let name = rule
                    .match_name
                    .as_deref()
                    .map(|name| format!("name {name}"));
                let pattern = rule.match_pattern.as_deref();
                name.or_else(|| pattern.map(|pattern| format!("names like {pattern}")))
                    .unwrap_or_else(|| "no name".to_owned())
            };
            rules.iter().map(text).collect()
        }
        L7Rules::Other { rules, .. } => {
            let line = |rule: &BTreeMap<Box<str>, Box<str>>| {
                let terms = rule.iter().map(|(key, value)| format!("{key}={value}"));
                let terms: Vec<_> = terms.collect();
                terms.join(" ")
            };
            rules.iter().map(line).collect()
        }
    }
}

fn http(rule: &HttpRule) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(
        rule.method
            .as_deref()
            .map(|method| format!("method {method}")),
    );
    words.extend(rule.path.as_deref().map(|path| format!("path {path}")));
    words.extend(rule.host.as_deref().map(|host| format!("host {host}")));
    for header in &rule.headers {
        words.push(match &header.value {
            Some(value) => format!("header {}: {value}", header.name),
            None => format!("header {}", header.name),
        });
    }
    for header in &rule.header_matches {
        let value = match (&header.value, &header.secret) {
            (Some(value), _) => format!(": {value}"),
            (None, Some(secret)) => format!(" from secret {}", secret.name),
            (None, None) => String::new(),
        };
        words.push(format!(
            "header {}{value} (else {:?})",
            header.name, header.mismatch
        ));
    }
    if words.is_empty() {
        return "every HTTP request".to_owned();
    }
    words.join(", ")
}

fn kafka(rule: &KafkaRule) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(
        rule.role
            .map(|role| format!("role {role:?}").to_lowercase()),
    );
    words.extend(rule.api_key.map(|key| format!("API key {key}")));
    words.extend(rule.api_version.map(|version| format!("version {version}")));
    words.extend(rule.client_id.as_deref().map(|id| format!("client {id}")));
    words.extend(rule.topic.as_deref().map(|topic| format!("topic {topic}")));
    if words.is_empty() {
        return "every Kafka request".to_owned();
    }
    words.join(", ")
}
