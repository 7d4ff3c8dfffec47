//! What is decided about a flow: as recorded, and as an engine says.

use std::fmt;

use porin::policy::{AuthMode, L7Policy, L7Rules, Parser, parse_documents};
use porin_laws::{alike, rule_texts};
use serde_json::{Value, json};

use super::case::{Content, Flow};

/// What is decided about a flow. Not every engine holds all of it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) redirect: Option<Parser>,
    /// `None` if the engine cannot say.
    pub(crate) auth: Option<AuthMode>,
    /// Likewise; the inner `None` stands for a flow without a proxy.
    pub(crate) l7: Option<Option<L7Policy>>,
}

impl Answer {
    /// The parts in which the answers differ, as far as both have them.
    pub(crate) fn unlike(&self, other: &Self) -> Vec<&'static str> {
        let both = |one: Option<bool>| one.unwrap_or(true);
        let auth = self.auth.zip(other.auth).map(|(one, other)| one == other);
        let l7 = self.l7.as_ref().zip(other.l7.as_ref());
        let l7 = l7.map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) => alike(one, other),
            (one, other) => one.is_none() && other.is_none(),
        });
        let parts = [
            ("verdict", self.allowed == other.allowed),
            ("redirect", self.redirect == other.redirect),
            ("auth", both(auth)),
            ("l7", both(l7)),
        ];
        let unlike = parts.into_iter().filter(|(_, alike)| !alike);
        unlike.map(|(part, _)| part).collect()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allowed { "allowed" } else { "denied" })?;
        if let Some(parser) = self.redirect {
            write!(f, " to {parser}")?;
        }
        if let Some(mode) = self.auth.filter(|mode| *mode != AuthMode::Disabled) {
            write!(f, ", authentication {mode}")?;
        }
        let Some(Some(policy)) = &self.l7 else {
            return Ok(());
        };
        match policy.unrestricted {
            true => write!(f, ", any content")?,
            false => write!(f, ", content {}", rule_texts(&policy.rules).join(" or "))?,
        }
        if !policy.server_names.is_empty() {
            write!(f, ", names {}", policy.server_names.join(" "))?;
        }
        if let Some(name) = policy.parser_name.as_ref().or(policy.listener.as_ref()) {
            write!(f, ", `{name}`")?;
        }
        Ok(())
    }
}

impl Flow {
    /// The answer as recorded.
    pub(crate) fn answer(&self) -> Result<Answer, String> {
        let reader = self.redirect.as_deref().map(|name| (name, parser(name)));
        let auth = match self.auth.as_deref() {
            None => AuthMode::Disabled,
            Some("required") => AuthMode::Required,
            Some("test-always-fail") => AuthMode::AlwaysFail,
            Some(other) => return Err(format!("unknown authentication `{other}`")),
        };
        let l7 = match (&self.l7, reader) {
            (Some(content), Some((name, parser))) => Some(content.policy(name, parser)?),
            _ => None,
        };
        Ok(Answer {
            allowed: self.verdict == "allowed",
            redirect: reader.map(|(_, parser)| parser),
            auth: Some(auth),
            l7: Some(l7),
        })
    }
}

fn parser(name: &str) -> Parser {
    match name {
        "http" => Parser::Http,
        "kafka" => Parser::Kafka,
        "dns" => Parser::Dns,
        "tls" => Parser::Tls,
        "crd" => Parser::Listener,
        _ => Parser::Other,
    }
}

impl Content {
    fn policy(&self, name: &str, parser: Parser) -> Result<L7Policy, String> {
        Ok(L7Policy {
            parser,
            parser_name: (parser == Parser::Other).then(|| name.into()),
            unrestricted: self.allow_all,
            rules: self.rules(name, parser)?,
            server_names: self
                .server_names
                .iter()
                .map(|name| (**name).into())
                .collect(),
            listener: self.listener.as_deref().map(Into::into),
        })
    }

    /// The rules, read like those of a policy document.
    fn rules(&self, name: &str, parser: Parser) -> Result<L7Rules, String> {
        let list = &self.rules;
        let rules = match parser {
            _ if list.is_empty() => return Ok(L7Rules::None),
            Parser::Http => json!({ "http": list }),
            Parser::Kafka => json!({ "kafka": list }),
            Parser::Dns => json!({ "dns": list }),
            _ => json!({ "l7proto": name, "l7": list }),
        };
        read(&rules).ok_or_else(|| format!("these rules cannot be read: {rules}"))
    }
}

fn read(rules: &Value) -> Option<L7Rules> {
    let document = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": { "name": "recorded" },
        "spec": {
            "endpointSelector": {},
            "egress": [{ "toPorts": [{
                "ports": [{ "port": "1", "protocol": "TCP" }],
                "rules": rules,
            }] }],
        },
    });
    let parsed = parse_documents("recorded", &document.to_string());
    let mut specs = parsed
        .documents
        .into_iter()
        .flat_map(|document| document.specs);
    let rule = specs.next()?.rules.into_iter().next()?;
    rule.ports?.into_iter().next().map(|element| element.l7)
}
