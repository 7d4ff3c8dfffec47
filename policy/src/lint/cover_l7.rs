//! When one L7 rule certainly lets everything pass that another does.

use crate::l7::{
    DnsRule, HeaderMatch, HeaderRule, HttpRule, KafkaRole, KafkaRule, L7Rules, Mismatch,
};

/// Pairs of rules of which the first lets pass all that the second does, and more:
/// their places in `wide` and `narrow`.
pub(super) fn shadows(wide: &L7Rules, narrow: &L7Rules) -> Vec<(usize, usize)> {
    match (wide, narrow) {
        (L7Rules::Http(wide), L7Rules::Http(narrow)) => pairs(wide, narrow, covers_http),
        (L7Rules::Kafka(wide), L7Rules::Kafka(narrow)) => pairs(wide, narrow, covers_kafka),
        (L7Rules::Dns(wide), L7Rules::Dns(narrow)) => pairs(wide, narrow, covers_dns),
        _ => Vec::new(),
    }
}

/// Whether each of some rules lets nothing pass that one of others does not.
pub(crate) fn covers(wide: &L7Rules, narrow: &L7Rules) -> bool {
    match (wide, narrow) {
        (L7Rules::Http(wide), L7Rules::Http(narrow)) => all_covered(wide, narrow, covers_http),
        (L7Rules::Kafka(wide), L7Rules::Kafka(narrow)) => all_covered(wide, narrow, covers_kafka),
        (L7Rules::Dns(wide), L7Rules::Dns(narrow)) => all_covered(wide, narrow, covers_dns),
        _ => wide == narrow,
    }
}

fn all_covered<R>(wide: &[R], narrow: &[R], covers: fn(&R, &R) -> bool) -> bool {
    narrow
        .iter()
        .all(|rule| wide.iter().any(|candidate| covers(candidate, rule)))
}

fn pairs<R>(wide: &[R], narrow: &[R], covers: fn(&R, &R) -> bool) -> Vec<(usize, usize)> {
    let strictly = |one: &R, other: &R| covers(one, other) && !covers(other, one);
    let mut found = Vec::new();
    for (place, rule) in narrow.iter().enumerate() {
        let wider = wide
            .iter()
            .enumerate()
            .filter(|(_, candidate)| strictly(candidate, rule));
        found.extend(wider.map(|(at, _)| (at, place)));
    }
    found
}

fn covers_http(wide: &HttpRule, narrow: &HttpRule) -> bool {
    covers_expression(wide.method.as_deref(), narrow.method.as_deref())
        && covers_expression(wide.path.as_deref(), narrow.path.as_deref())
        && covers_expression(wide.host.as_deref(), narrow.host.as_deref())
        && wide.headers.iter().all(|asked| {
            narrow
                .headers
                .iter()
                .any(|given| covers_header(asked, given))
        })
        && wide
            .header_matches
            .iter()
            .all(|asked| is_idle(asked) || narrow.header_matches.contains(asked))
}

/// A mismatch that only changes the request refuses nothing.
fn is_idle(header: &HeaderMatch) -> bool {
    header.mismatch != Mismatch::Fail
}

fn covers_header(asked: &HeaderRule, given: &HeaderRule) -> bool {
    asked.name.eq_ignore_ascii_case(&given.name)
        && (asked.value.is_none() || asked.value == given.value)
}

/// Expressions are compared by text: equal, a list of words that holds the other's, or a literal
/// beginning with `.*` behind it.
fn covers_expression(wide: Option<&str>, narrow: Option<&str>) -> bool {
    let Some(wide) = wide.filter(|wide| *wide != ".*") else {
        return true;
    };
    let Some(narrow) = narrow else { return false };
    wide == narrow || covers_words(wide, narrow) || covers_prefix(wide, narrow)
}

fn covers_words(wide: &str, narrow: &str) -> bool {
    let is_words = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'|')
    };
    is_words(wide)
        && is_words(narrow)
        && narrow
            .split('|')
            .all(|word| wide.split('|').any(|known| known == word))
}

fn covers_prefix(wide: &str, narrow: &str) -> bool {
    let literal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    let Some(prefix) = wide
        .strip_suffix(".*")
        .filter(|prefix| prefix.bytes().all(literal))
    else {
        return false;
    };
    // What follows must not make the last letter of the beginning optional.
    let rest = narrow.strip_prefix(prefix);
    rest.is_some_and(|rest| !rest.starts_with(['?', '*', '{'])) && !narrow.contains('|')
}

fn covers_kafka(wide: &KafkaRule, narrow: &KafkaRule) -> bool {
    covers_kinds(wide, narrow)
        && (wide.api_version.is_none() || wide.api_version == narrow.api_version)
        && (wide.client_id.is_none() || wide.client_id == narrow.client_id)
        && (wide.topic.is_none() || wide.topic == narrow.topic)
}

/// Whether the request kinds of one rule hold those of the other.
fn covers_kinds(wide: &KafkaRule, narrow: &KafkaRule) -> bool {
    let kinds = |rule: &KafkaRule| -> Option<Vec<i16>> {
        let role = rule.role.map(|role: KafkaRole| role.api_keys().to_vec());
        role.or_else(|| rule.api_key.map(|key| vec![key]))
    };
    match (kinds(wide), kinds(narrow)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.iter().all(|kind| wide.contains(kind)),
    }
}

fn covers_dns(wide: &DnsRule, narrow: &DnsRule) -> bool {
    wide == narrow || wide.match_pattern.as_deref() == Some("*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_cover_by_word_prefix_or_silence() {
        for (wide, narrow) in [
            (None, Some("GET")),
            (Some(".*"), None),
            (Some("GET|POST"), Some("GET")),
            (Some("/api/.*"), Some("/api/v1/.*")),
            (Some("/api/.*"), Some("/api/")),
            (Some("[a-z]+"), Some("[a-z]+")),
        ] {
            assert!(covers_expression(wide, narrow), "{wide:?} {narrow:?}");
        }
        for (wide, narrow) in [
            (Some("GET"), None),
            (Some("GET"), Some("GET|POST")),
            (Some("/api/v1/.*"), Some("/api/.*")),
            (Some("/a.*"), Some("/a|/b")),
            (Some("/ab.*"), Some("/ab?")),
            (Some("[a-z]+"), Some("abc")),
        ] {
            assert!(!covers_expression(wide, narrow), "{wide:?} {narrow:?}");
        }
    }
}
