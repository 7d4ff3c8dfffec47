use porin_policy::{DnsMatcher, DnsQuery, DnsRule, NamePattern, ServerNames};

use crate::Broken;
use crate::script::Script;

/// Names fit patterns as the rules of [`NamePattern`] say, the first that fits is named, and neither
/// case nor a dot at the end matters.
pub(crate) fn check(script: &Script<'_>) -> Result<(), Broken> {
    let patterns = script.dns.iter().flat_map(|rule| {
        let texts = [&rule.match_name, &rule.match_pattern];
        texts.into_iter().flatten().map(|text| &**text)
    });
    let patterns: Vec<&str> = patterns.chain(script.servers.iter().copied()).collect();
    for name in &script.names {
        patterns
            .iter()
            .try_for_each(|pattern| fits(pattern, name))?;
        dns(&script.dns, name)?;
        servers(&script.servers, name)?;
    }
    Ok(())
}

/// A pattern, read and asked step by step, as its rules are written.
fn fits(pattern: &str, name: &str) -> Result<(), Broken> {
    let readings = [
        ("dns", NamePattern::dns(pattern), true),
        ("fqdn", NamePattern::fqdn(pattern), false),
        ("server", NamePattern::server(pattern), true),
    ];
    let exact = NamePattern::exact(pattern).matches(name);
    if exact != (bare(pattern) == bare(name)) && !pattern.contains('*') {
        return Err(Broken::of(format!(
            "name {pattern:?} and {name:?}: {exact}"
        )));
    }
    // A star takes letters of labels only; what stands around it has to be some, too.
    if !pattern
        .bytes()
        .all(|byte| is_letter(byte) || matches!(byte, b'.' | b'*'))
    {
        return Ok(());
    }
    for (reading, compiled, anything) in readings {
        let (found, expected) = (compiled.matches(name), slowly(pattern, name, anything));
        if found != expected {
            return Err(Broken::of(format!(
                "{reading} pattern {pattern:?} and {name:?}: {found}, by its rules {expected}"
            )));
        }
    }
    Ok(())
}

/// In lower case, without one dot at the end.
fn bare(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(is_letter)
}

fn slowly(pattern: &str, name: &str, anything: bool) -> bool {
    let (pattern, name) = (bare(pattern), bare(name));
    let rest = pattern.trim_start_matches('*');
    let stars = pattern.len() - rest.len();
    if stars > 0 && rest.is_empty() {
        return anything || name.is_empty() || name.split('.').all(is_label);
    }
    let tail = rest.strip_prefix('.');
    match tail.filter(|_| stars >= 2) {
        None => glob(&pattern, &name),
        Some(tail) => name.match_indices('.').any(|(at, dot)| {
            let (before, behind) = name.split_at(at);
            let behind = behind.strip_prefix(dot).unwrap_or_default();
            before.split('.').all(is_label) && glob(tail, behind)
        }),
    }
}

/// Which beginnings of the name each beginning of the pattern fits, one letter after the other.
fn glob(pattern: &str, name: &str) -> bool {
    let mut fits: Vec<bool> = std::iter::once(true)
        .chain(name.bytes().map(|_| false))
        .collect();
    for asked in pattern.bytes() {
        let mut next = Vec::with_capacity(fits.len());
        let mut last = false;
        let given = std::iter::once(None).chain(name.bytes().map(Some));
        let mut shorter = false;
        for (given, fit) in given.zip(&fits) {
            last = match asked {
                b'*' => *fit || last && given.is_some_and(is_letter),
                _ => shorter && given == Some(asked),
            };
            shorter = *fit;
            next.push(last);
        }
        fits = next;
    }
    fits.last().is_some_and(|whole| *whole)
}

fn dns(rules: &[DnsRule], name: &str) -> Result<(), Broken> {
    let judged = |rules: &[DnsRule], name: &str| DnsMatcher::new(rules).judge(&DnsQuery::new(name));
    let found = judged(rules, name);
    let alone = |rule: &DnsRule| judged(std::slice::from_ref(rule), name).is_some();
    let expected = rules.iter().position(alone);
    let loud = judged(rules, &name.to_ascii_uppercase());
    let dotted = match name.ends_with('.') {
        true => found,
        false => judged(rules, &format!("{name}.")),
    };
    match found == expected && found == loud && found == dotted {
        true => Ok(()),
        false => Err(Broken::of(format!(
            "{rules:?} and {name:?}: rule {found:?}, in capitals {loud:?}, with a dot {dotted:?}, one by one {expected:?}"
        ))),
    }
}

fn servers(names: &[&str], name: &str) -> Result<(), Broken> {
    let all = ServerNames::new(names);
    let found = all.judge(Some(name));
    let expected = names
        .iter()
        .position(|text| NamePattern::server(text).matches(name));
    let none = all.allow(None) == names.is_empty() && all.judge(None).is_none();
    match found == expected && none {
        true => Ok(()),
        false => Err(Broken::of(format!(
            "server names {names:?} and {name:?}: {found:?}, one by one {expected:?}"
        ))),
    }
}
