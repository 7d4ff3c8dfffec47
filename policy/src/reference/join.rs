//! What two allowances with one selector and one written port say together.

use super::terms::{Reader, Terms, with_everything};
use crate::l7::L7Rules;
use crate::{Conflict, Parser};

/// What two allowances say together; `mine` was read before.
pub(super) fn join(mine: &Terms, theirs: &Terms, strict: bool) -> Result<Terms, Conflict> {
    if mine == theirs {
        return Ok(mine.clone());
    }
    let mut joined = mine.clone();
    join_redirects(&mut joined, theirs)?;
    let same = |what| move |one, other| if one == other { Ok(one) } else { Err(what) };
    joined.auth = either(mine.auth, theirs.auth, same(Conflict::Authentication))?;
    for (side, others) in [
        (&mut joined.tls.terminating, &theirs.tls.terminating),
        (&mut joined.tls.originating, &theirs.tls.originating),
    ] {
        match (&side, others) {
            (Some(one), Some(other)) if one != other => return Err(Conflict::Tls),
            (Some(_), _) => {}
            (None, others) => side.clone_from(others),
        }
    }
    joined.names.extend(theirs.names.iter().cloned());
    let unreadable = |joined: &Terms| {
        !joined.names.is_empty() && joined.has_content() && joined.tls.terminating.is_none()
    };
    // Upstream looks before it adds the content of the later rule.
    if unreadable(&joined) {
        return Err(Conflict::ServerNames);
    }
    joined.content = join_content(mine, theirs, strict);
    if strict && unreadable(&joined) {
        return Err(Conflict::ServerNames);
    }
    Ok(joined)
}

fn either<T>(
    one: Option<T>,
    other: Option<T>,
    both: impl FnOnce(T, T) -> Result<T, Conflict>,
) -> Result<Option<T>, Conflict> {
    match (one, other) {
        (Some(one), Some(other)) => both(one, other).map(Some),
        (one, other) => Ok(one.or(other)),
    }
}

/// One parser, and of several listeners the strongest.
fn join_redirects(mine: &mut Terms, theirs: &Terms) -> Result<(), Conflict> {
    let reader = join_readers(mine.reader.clone(), theirs.reader.clone())?;
    if reader != mine.reader {
        mine.reader = reader;
        mine.listener_priority = theirs.listener_priority;
    }
    let stronger = theirs.listener_priority < mine.listener_priority;
    let equal = theirs.listener_priority == mine.listener_priority;
    match (&mine.listener, &theirs.listener) {
        (_, None) => {}
        (Some(one), Some(other)) if one == other && equal => {}
        (Some(_), Some(_)) if equal => return Err(Conflict::Listeners),
        (Some(_), Some(_)) if !stronger => {}
        (_, Some(other)) => {
            mine.listener = Some(other.clone());
            mine.listener_priority = theirs.listener_priority;
        }
    }
    Ok(())
}

/// What TLS holds can have a parser of its own, unless that is no parser of streams.
fn join_readers(one: Option<Reader>, other: Option<Reader>) -> Result<Option<Reader>, Conflict> {
    let streams =
        |reader: &Reader| matches!(reader.parser, Parser::Http | Parser::Kafka | Parser::Other);
    either(one, other, |one, other| match (one.parser, other.parser) {
        _ if one == other => Ok(one),
        (Parser::Tls, _) if streams(&other) => Ok(other),
        (_, Parser::Tls) if streams(&one) => Ok(one),
        _ => Err(Conflict::Parsers),
    })
}

/// Content rules are added to one another. A rule without any lifts those of the other; not so under
/// [`Semantics::Strict`](crate::Semantics::Strict), unless it names a parser, and so was written
/// with the content in mind.
fn join_content(mine: &Terms, theirs: &Terms, strict: bool) -> L7Rules {
    let lifts = |terms: &Terms| !strict || terms.content != L7Rules::None;
    match (mine.has_content(), theirs.has_content()) {
        (true, true) => add(mine.content.clone(), &theirs.content),
        (true, false) if lifts(theirs) => with_everything(mine.content.clone()),
        (false, true) if lifts(mine) => with_everything(theirs.content.clone()),
        (false, true) => theirs.content.clone(),
        (false, false) if mine.content == L7Rules::None => theirs.content.clone(),
        (true, false) | (false, false) => mine.content.clone(),
    }
}

/// All rules of both, each once.
pub(super) fn add(mine: L7Rules, theirs: &L7Rules) -> L7Rules {
    fn both<R: PartialEq + Clone>(mut mine: Vec<R>, theirs: &[R]) -> Vec<R> {
        for rule in theirs {
            if !mine.contains(rule) {
                mine.push(rule.clone());
            }
        }
        mine
    }
    let mine = match (mine, theirs) {
        (L7Rules::None, L7Rules::Http(_)) => L7Rules::Http(Vec::new()),
        (L7Rules::None, L7Rules::Kafka(_)) => L7Rules::Kafka(Vec::new()),
        (L7Rules::None, L7Rules::Dns(_)) => L7Rules::Dns(Vec::new()),
        (L7Rules::None, L7Rules::Other { parser, .. }) => L7Rules::Other {
            parser: parser.clone(),
            rules: Vec::new(),
        },
        (mine, _) => mine,
    };
    match (mine, theirs) {
        (L7Rules::Http(mine), L7Rules::Http(theirs)) => L7Rules::Http(both(mine, theirs)),
        (L7Rules::Kafka(mine), L7Rules::Kafka(theirs)) => L7Rules::Kafka(both(mine, theirs)),
        (L7Rules::Dns(mine), L7Rules::Dns(theirs)) => L7Rules::Dns(both(mine, theirs)),
        (L7Rules::Other { parser, rules }, L7Rules::Other { rules: theirs, .. }) => {
            let rules = both(rules, theirs);
            L7Rules::Other { parser, rules }
        }
        (mine, _) => mine,
    }
}
