//! The `rules` of a `toPorts` element.

use super::json::{Fields, Json, only};
use crate::l7::{
    DnsRule, HeaderMatch, HeaderRule, HttpRule, KafkaRole, KafkaRule, L7Rules, Mismatch, SecretRef,
};
use crate::parse::KAFKA_KEYS;

pub(super) fn rules(rules: &L7Rules) -> Option<Json> {
    fn list<T>(rules: &[T], print: impl Fn(&T) -> Fields) -> Vec<Json> {
        rules.iter().map(|rule| print(rule).into()).collect()
    }
    Some(match rules {
        L7Rules::None => return None,
        L7Rules::Http(rules) => only("http", list(rules, http)),
        L7Rules::Kafka(rules) => only("kafka", list(rules, kafka)),
        L7Rules::Dns(rules) => only("dns", list(rules, dns)),
        L7Rules::Other { parser, rules } => {
            let mut fields = Fields::default();
            fields.put("l7proto", parser);
            fields.filled(
                "l7",
                list(rules, |pairs| {
                    let mut fields = Fields::default();
                    for (key, value) in pairs {
                        fields.put(key, value);
                    }
                    fields
                }),
            );
            fields.into()
        }
    })
}

fn http(rule: &HttpRule) -> Fields {
    let mut fields = Fields::default();
    fields.some("method", rule.method.as_ref());
    fields.some("path", rule.path.as_ref());
    fields.some("host", rule.host.as_ref());
    fields.filled("headers", rule.headers.iter().map(header));
    fields.filled(
        "headerMatches",
        rule.header_matches.iter().map(header_match),
    );
    fields
}

/// The text of which [`HeaderRule::from_text`] makes this rule.
fn header(rule: &HeaderRule) -> String {
    let name = &rule.name;
    match &rule.value {
        Some(value) => format!("{name}: {value}"),
        None => name.to_string(),
    }
}

fn header_match(rule: &HeaderMatch) -> Fields {
    let mut fields = Fields::default();
    fields.put("name", &rule.name);
    fields.some("value", rule.value.as_ref());
    fields.some("secret", rule.secret.as_ref().map(secret));
    let mismatch = match rule.mismatch {
        Mismatch::Fail => None,
        Mismatch::Log => Some("LOG"),
        Mismatch::Add => Some("ADD"),
        Mismatch::Delete => Some("DELETE"),
        Mismatch::Replace => Some("REPLACE"),
    };
    fields.some("mismatch", mismatch);
    fields
}

pub(super) fn secret(secret: &SecretRef) -> Fields {
    let mut fields = Fields::default();
    fields.some("namespace", secret.namespace.as_ref());
    fields.put("name", &secret.name);
    fields
}

fn kafka(rule: &KafkaRule) -> Fields {
    let mut fields = Fields::default();
    let role = rule.role.map(|role| match role {
        KafkaRole::Produce => "produce",
        KafkaRole::Consume => "consume",
    });
    fields.some("role", role);
    let key = rule.api_key.and_then(|key| usize::try_from(key).ok());
    fields.some("apiKey", key.and_then(|key| KAFKA_KEYS.get(key).copied()));
    fields.some(
        "apiVersion",
        rule.api_version.map(|version| version.to_string()),
    );
    fields.some("clientID", rule.client_id.as_ref());
    fields.some("topic", rule.topic.as_ref());
    fields
}

fn dns(rule: &DnsRule) -> Fields {
    let mut fields = Fields::default();
    fields.some("matchName", rule.match_name.as_ref());
    fields.some("matchPattern", rule.match_pattern.as_ref());
    fields
}
