use std::fmt::Debug;

use porin_policy::{CidrGroup, Document, parse_documents};

use crate::Broken;

/// Every document and every group of a text reads as it was printed.
///
/// # Errors
/// The first that does not, with both readings.
pub fn text_reads_as_printed(text: &str) -> Result<(), Broken> {
    let parsed = parse_documents("text.yaml", text);
    let documents = parsed.documents.iter().map(reads_as_printed);
    let groups = parsed.cidr_groups.iter().map(group_reads_as_printed);
    documents.chain(groups).collect()
}

/// What is printed of a document says what the document says, and is printed the same again.
///
/// # Errors
/// What is read otherwise.
pub fn reads_as_printed(document: &Document) -> Result<(), Broken> {
    let printed = document.to_json();
    let again = parse_documents("printed.json", &printed);
    if let Some(refused) = again.refused.first() {
        return Err(Broken::of(format!(
            "{printed}\nis refused: {}",
            refused.error
        )));
    }
    let [again] = &again.documents[..] else {
        return Err(Broken::of(format!("{printed}\nis no document")));
    };
    if meaning(again) != meaning(document) {
        return Err(Broken::of(format!(
            "{printed}\nreads otherwise: {again:#?}\nthan {document:#?}"
        )));
    }
    match again.to_json() == printed {
        true => Ok(()),
        false => Err(Broken::of(format!("{printed}\nis printed otherwise again"))),
    }
}

/// The same for a group of blocks.
///
/// # Errors
/// As [`reads_as_printed`].
pub fn group_reads_as_printed(group: &CidrGroup) -> Result<(), Broken> {
    let printed = group.to_json();
    let again = parse_documents("printed.json", &printed);
    match again.cidr_groups.first() {
        Some(again) if without_places(again) == without_places(group) => Ok(()),
        again => Err(Broken::of(format!(
            "{printed}\nreads otherwise: {again:#?}\nthan {group:#?}"
        ))),
    }
}

/// What a document says, without the places of its parts.
pub(crate) fn meaning(document: &Document) -> String {
    without_places(&(&document.name, &document.specs, &document.staging))
}

fn without_places(value: &impl Debug) -> String {
    let place = |line: &&str| {
        let line = line.trim_start();
        ["file: ", "line: ", "column: "]
            .iter()
            .any(|field| line.starts_with(field))
    };
    let text = format!("{value:#?}");
    let lines: Vec<&str> = text.lines().filter(|line| !place(line)).collect();
    lines.join("\n")
}
