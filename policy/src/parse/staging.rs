//! The annotation `policy.porin.dev/staged`.

use super::at::{At, Reader};
use super::error::{ParseError, ParseErrorKind, suggest};
use crate::direction::Direction;
use crate::rule::{PolicyKind, Spec};
use crate::staged::{STAGED, StagedRule, Staging};

/// Annotations with this prefix are our own.
const OWN: &str = "policy.porin.dev/";

/// Which rules of a document are only tried.
pub(super) fn staging(
    reader: &Reader<'_>,
    root: &At<'_>,
    kind: PolicyKind,
    specs: &[Spec],
) -> Result<Staging, ParseError> {
    let Some(metadata) = root.get("metadata") else {
        return Ok(Staging::Enforced);
    };
    let Some(annotations) = metadata.get("annotations") else {
        return Ok(Staging::Enforced);
    };
    known(reader, &annotations)?;
    let Some(at) = annotations.raw(STAGED) else {
        return Ok(Staging::Enforced);
    };
    match reader.text(&at)?.trim() {
        "true" => Ok(Staging::Whole),
        "false" => Ok(Staging::Enforced),
        listed => {
            let mut rules = Vec::new();
            for place in listed.split(',') {
                let rule = rule(place.trim(), kind).ok_or_else(|| malformed(reader, &at, place))?;
                if !specs.iter().any(|spec| stands_in(rule, kind, spec)) {
                    let reason = format!(
                        "there is no rule `{}`; name one that exists, counted from 0",
                        place.trim()
                    );
                    return Err(reader.invalid(&at, reason));
                }
                rules.push(rule);
            }
            rules.sort_unstable();
            rules.dedup();
            Ok(Staging::Rules(rules))
        }
    }
}

/// Refuses the annotation on what has no rules.
pub(super) fn none(reader: &Reader<'_>, root: &At<'_>) -> Result<(), ParseError> {
    let Some(metadata) = root.get("metadata") else {
        return Ok(());
    };
    let Some(annotations) = metadata.get("annotations") else {
        return Ok(());
    };
    known(reader, &annotations)?;
    match annotations.raw(STAGED) {
        None => Ok(()),
        Some(at) => Err(reader.invalid(
            &at,
            "only policies can be staged; remove the annotation, or put it on the policies that name the group",
        )),
    }
}

/// A misspelt annotation would enforce what was only to be tried.
fn known(reader: &Reader<'_>, annotations: &At<'_>) -> Result<(), ParseError> {
    match annotations
        .entries()
        .find(|(key, _)| key.starts_with(OWN) && *key != STAGED)
    {
        None => Ok(()),
        Some((key, at)) => {
            let (field, suggestion) = (key.to_owned(), suggest(key, &[STAGED]));
            Err(reader.error(&at, ParseErrorKind::UnknownField { field, suggestion }))
        }
    }
}

fn malformed(reader: &Reader<'_>, at: &At<'_>, place: &str) -> ParseError {
    let reason = format!(
        "`{}` names no rule; write \"true\", \"false\", or rules by list and place, as in \"ingress[0], egress[2]\"",
        place.trim()
    );
    reader.invalid(at, reason)
}

/// `ingress[0]`
fn rule(text: &str, kind: PolicyKind) -> Option<StagedRule> {
    let (list, index) = text.strip_suffix(']')?.split_once('[')?;
    let (direction, denies) = match list {
        "ingress" => (Direction::Ingress, false),
        "egress" => (Direction::Egress, false),
        "ingressDeny" if !kind.is_kubernetes() => (Direction::Ingress, true),
        "egressDeny" if !kind.is_kubernetes() => (Direction::Egress, true),
        _ => return None,
    };
    let plain = index.bytes().all(|byte| byte.is_ascii_digit());
    Some(StagedRule {
        direction,
        denies,
        index: index.parse().ok().filter(|_| plain)?,
    })
}

fn stands_in(staged: StagedRule, kind: PolicyKind, spec: &Spec) -> bool {
    let staging = Staging::Rules(vec![staged]);
    spec.rules.iter().any(|rule| staging.holds(kind, rule))
}
