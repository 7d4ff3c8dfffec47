//! `lint`: what a set of policies does other than it seems to say.

use std::io::Write;

use porin::flow::Escaped;
use porin::policy::{Edit, Finding, Level, Location, Options, lint, parse_documents};
use serde::Serialize;

use crate::args::{Inputs, Output};
use crate::failure::Failure;
use crate::input;

/// A finding in the words of the JSON form.
#[derive(Debug, Serialize)]
struct Found {
    code: &'static str,
    title: &'static str,
    level: String,
    policy: String,
    #[serde(flatten)]
    place: Place,
    reason: String,
    related: Option<Related>,
    suggestion: String,
    edits: Vec<Replacement>,
}

#[derive(Debug, Serialize)]
struct Place {
    file: String,
    line: u32,
    column: u32,
}

#[derive(Debug, Serialize)]
struct Related {
    policy: String,
    #[serde(flatten)]
    place: Place,
}

/// Bytes `start` up to `end` of the file become `replacement`.
#[derive(Debug, Serialize)]
struct Replacement {
    #[serde(flatten)]
    place: Place,
    start: usize,
    end: usize,
    replacement: String,
}

/// Reports findings and says whether there is none above a note.
///
/// Documents that cannot be read at all are reported too, after what was found in the others.
pub(crate) fn run(asked: &Inputs, out: &mut impl Write) -> Result<bool, Failure> {
    let world = input::world(asked.world.as_deref(), &asked.policies)?;
    let (mut documents, mut refused) = (Vec::new(), Vec::new());
    for (file, text) in input::policies(&asked.policies)? {
        let parsed = parse_documents(&file, &text);
        documents.extend(parsed.documents);
        refused.extend(
            parsed
                .refused
                .into_iter()
                .map(|refused| refused.error.to_string()),
        );
    }
    let options = Options::new().semantics(asked.semantics.into());
    let findings = lint(&documents, world.as_ref(), &options);
    match asked.output {
        Output::Json => {
            let found: Vec<_> = findings.iter().map(Found::from).collect();
            writeln!(
                out,
                "{}",
                serde_json::to_string(&found).map_err(std::io::Error::from)?
            )?;
        }
        Output::Table => table(&findings, out)?,
    }
    if world.is_none() {
        eprintln!("porin-lab: no world file, so nobody can tell whom a selector misses (PL002)");
    }
    if !refused.is_empty() {
        out.flush()?;
        return Err(Failure::Refused(refused.join("\n")));
    }
    Ok(findings.iter().all(|finding| finding.level == Level::Note))
}

fn table(findings: &[Finding], out: &mut impl Write) -> Result<(), Failure> {
    for finding in findings {
        let Finding {
            code,
            level,
            location,
            policy,
            ..
        } = finding;
        let head = format!("{location}: {level} {code} {}: {policy}", code.title());
        writeln!(out, "{}", Escaped(&head))?;
        writeln!(out, "    {}", Escaped(&finding.reason))?;
        if let Some(related) = &finding.related {
            let beside = format!("beside {} at {}", related.policy, related.location);
            writeln!(out, "    {}", Escaped(&beside))?;
        }
        writeln!(out, "    {}", Escaped(&finding.suggestion.advice))?;
        for edit in &finding.suggestion.edits {
            writeln!(out, "    {}", Escaped(&words(edit)))?;
            for line in edit.replacement.trim_start_matches('\n').trim_end().lines() {
                writeln!(out, "      | {}", Escaped(line))?;
            }
        }
    }
    let count = findings.len();
    writeln!(out, "{count} finding{}", if count == 1 { "" } else { "s" })?;
    Ok(())
}

/// What an edit does, before the text that it leaves.
fn words(edit: &Edit) -> String {
    let Edit {
        location,
        start,
        end,
        replacement,
    } = edit;
    match (start == end, replacement.trim().is_empty()) {
        (true, _) => format!("{location}: insert"),
        (false, true) => format!("{location}: take out {} bytes", end - start),
        (false, false) => format!("{location}: replace {} bytes by", end - start),
    }
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        Self {
            file: location.file().to_owned(),
            line: location.line(),
            column: location.column(),
        }
    }
}

impl From<&Finding> for Found {
    fn from(finding: &Finding) -> Self {
        let related = finding.related.as_ref().map(|related| Related {
            policy: related.policy.to_string(),
            place: Place::from(&related.location),
        });
        let edits = finding.suggestion.edits.iter().map(|edit| Replacement {
            place: Place::from(&edit.location),
            start: edit.start,
            end: edit.end,
            replacement: edit.replacement.clone(),
        });
        Self {
            code: finding.code.name(),
            title: finding.code.title(),
            level: finding.level.to_string(),
            policy: finding.policy.to_string(),
            place: Place::from(&finding.location),
            reason: finding.reason.clone(),
            related,
            suggestion: finding.suggestion.advice.clone(),
            edits: edits.collect(),
        }
    }
}
