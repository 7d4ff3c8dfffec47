use porin_policy::{
    Location, Options, ParseErrorKind, Parsed, Refused, World, lint, parse_documents,
};

use crate::Broken;
use crate::printing::meaning;

/// The file that texts are read as.
const FILE: &str = "text.yaml";

/// A document that anybody may have beside theirs.
const NEIGHBOUR: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: neighbour}
spec:
  endpointSelector: {}
  ingress:
  - fromEntities: [cluster]
";

/// Closes whatever a text left open, and opens nothing: the next may begin with a directive.
const BETWEEN: &str = "\n...\n";

/// Whatever is thrown at the reader: places lie inside the text, every document stands alone, JSON
/// means what the same text means as YAML, and what the linter suggests can be read.
///
/// # Errors
/// What does not hold.
pub fn any_text_is_read(text: &str) -> Result<(), Broken> {
    let parsed = parse_documents(FILE, text);
    places(text, &parsed)?;
    if let Err(error) = World::parse(FILE, text) {
        inside(text, error.location())?;
    }
    // What is read of a file altogether is bounded, and then neighbours do count.
    if parsed.refused.iter().any(bounded) {
        return Ok(());
    }
    stands_alone(text, &parsed)?;
    json_is_yaml(text, &parsed)?;
    suggestions_are_read(text, &parsed)
}

fn bounded(refused: &Refused) -> bool {
    matches!(refused.error.kind(), ParseErrorKind::Bounds { .. })
}

fn places(text: &str, parsed: &Parsed) -> Result<(), Broken> {
    let refused = parsed
        .refused
        .iter()
        .flat_map(|refused| [&refused.location, refused.error.location()]);
    let read = parsed.documents.iter().flat_map(|document| {
        let specs = document.specs.iter().flat_map(|spec| {
            let rules = spec.rules.iter().map(|rule| &rule.location);
            std::iter::once(&spec.location).chain(rules)
        });
        std::iter::once(&document.location).chain(specs)
    });
    refused
        .chain(read)
        .try_for_each(|place| inside(text, place))
}

fn inside(text: &str, place: &Location) -> Result<(), Broken> {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let line = number(place.line())
        .checked_sub(1)
        .and_then(|at| text.split('\n').nth(at));
    let fits =
        line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&number(place.column())));
    match fits {
        true => Ok(()),
        false => Err(Broken::of(format!("{place} is no place in {text:?}"))),
    }
}

/// A valid document before or behind a text is read, and changes nothing in the text.
fn stands_alone(text: &str, parsed: &Parsed) -> Result<(), Broken> {
    let alone = said(parsed);
    let own = said(&parse_documents(FILE, NEIGHBOUR));
    // A mark of byte order is one at the start of a file only.
    let unmarked = text.trim_start_matches('\u{feff}');
    let behind = said(&parse_documents(
        FILE,
        &[NEIGHBOUR, BETWEEN, unmarked].concat(),
    ));
    let expected = Said {
        documents: [own.documents.clone(), alone.documents].concat(),
        refused: alone.refused,
    };
    if behind != expected {
        return Err(Broken::of(format!(
            "behind another document {behind:#?}\nalone {expected:#?}\n{text:?}"
        )));
    }
    let before = said(&parse_documents(FILE, &[text, BETWEEN, NEIGHBOUR].concat()));
    match before.documents.last() == own.documents.last() {
        true => Ok(()),
        false => Err(Broken::of(format!("a document is lost behind {text:?}"))),
    }
}

/// A comment behind the text sends it past the short way for JSON.
fn json_is_yaml(text: &str, parsed: &Parsed) -> Result<(), Broken> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Ok(());
    }
    let slow = parse_documents(FILE, &format!("{text} # yaml"));
    let syntax = |refused: &Refused| matches!(refused.error.kind(), ParseErrorKind::Syntax { .. });
    if slow.refused.iter().any(syntax) || said(&slow) == said(parsed) {
        return Ok(());
    }
    Err(Broken::of(format!("{text:?} reads otherwise as YAML")))
}

/// How many suggestions are tried.
const SUGGESTIONS: usize = 16;

fn suggestions_are_read(text: &str, parsed: &Parsed) -> Result<(), Broken> {
    let findings = lint(&parsed.documents, None, &Options::new());
    for finding in findings.iter().take(SUGGESTIONS) {
        inside(text, &finding.location)?;
        let edited = finding.suggestion.apply(FILE, text);
        places(&edited, &parse_documents(FILE, &edited))?;
    }
    Ok(())
}

/// What was read, without places.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    documents: Vec<String>,
    refused: Vec<String>,
}

fn said(parsed: &Parsed) -> Said {
    let refusal = |refused: &Refused| {
        let (name, error) = (&refused.name, &refused.error);
        let subjects = &refused.subjects;
        format!("{name:?} {subjects:?} {}: {}", error.path(), error.kind())
    };
    Said {
        documents: parsed.documents.iter().map(meaning).collect(),
        refused: parsed.refused.iter().map(refusal).collect(),
    }
}
