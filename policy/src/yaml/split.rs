//! One file, many documents: each is read for itself, so that a broken one leaves its neighbours alone.

use std::ops::Range;

use super::build::build;
use super::json;
use super::tree::{Fault, FaultKind, MAX_TEXT, Node, Nodes};

/// The documents of a text in order, each read when it is asked for; those that hold nothing are
/// left out.
pub(crate) fn documents(text: &str) -> impl Iterator<Item = Result<Node<'_>, Fault>> {
    let (chunks, fault) = match text.len() > MAX_TEXT {
        false => (split(text), None),
        true => {
            let kind = FaultKind::Bounds {
                what: "the size of a file in bytes",
                limit: MAX_TEXT,
            };
            (Vec::new(), Some(Err(Fault { offset: 0, kind })))
        }
    };
    let mut nodes = Nodes::default();
    let trees = chunks.into_iter().filter_map(move |range| {
        nodes = nodes.next_document();
        read(text, range, &mut nodes)
    });
    fault.into_iter().chain(trees)
}

fn read<'t>(
    text: &'t str,
    range: Range<usize>,
    nodes: &mut Nodes,
) -> Option<Result<Node<'t>, Fault>> {
    let chunk = text.get(range.clone())?;
    let base = u32::try_from(range.start).ok()?;
    if let Some(node) = json::read(chunk, base, nodes) {
        return Some(Ok(node));
    }
    match build(chunk, base, nodes) {
        Ok(node) if node.as_ref().is_none_or(Node::is_null) => None,
        Ok(node) => node.map(Ok),
        Err(fault) => Some(Err(fault)),
    }
}

/// Cuts before each line that starts a document (`---`) and behind each that ends one (`...`).
/// Both are markers wherever they stand at the start of a line (YAML 1.2.2 §9.1.4), even inside
/// what looks like a scalar. Directives belong to the document behind them.
fn split(text: &str) -> Vec<Range<usize>> {
    let mut start = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut at = start;
    let mut chunks = Vec::new();
    let mut head = Head::Empty;
    for line in text.get(start..).unwrap_or_default().split_inclusive('\n') {
        if is_marker(line, "---") {
            if head != Head::Directives {
                chunks.push(start..at);
                start = at;
            }
            head = Head::Passed;
        } else {
            head = head.after(line);
        }
        at += line.len();
        if is_marker(line, "...") {
            chunks.push(start..at);
            start = at;
            head = Head::Empty;
        }
    }
    chunks.push(start..at);
    chunks.retain(|chunk| !is_blank(text.get(chunk.clone())));
    chunks
}

/// What stands before the content of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Empty,
    Directives,
    Passed,
}

impl Head {
    fn after(self, line: &str) -> Self {
        match self {
            Self::Empty | Self::Directives if line.starts_with('%') => Self::Directives,
            _ if line.trim().is_empty() || line.starts_with('#') => self,
            _ => Self::Passed,
        }
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Nothing but blank lines, comments and markers.
fn is_blank(text: Option<&str>) -> bool {
    let idle = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
    };
    text.is_none_or(|text| text.lines().all(idle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        split(text)
            .into_iter()
            .filter_map(|range| text.get(range))
            .collect()
    }

    #[test]
    fn documents_are_cut_at_markers_only() {
        assert_eq!(pieces("a: 1\n---\nb: 2\n"), ["a: 1\n", "---\nb: 2\n"]);
        assert_eq!(
            pieces("---\n---\n# nothing\n---\na: ---\n"),
            ["---\na: ---\n"]
        );
        assert_eq!(
            pieces("%YAML 1.1\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2"),
            ["%YAML 1.1\n---\na: 1\n...\n", "%YAML 1.1\n---\nb: 2"]
        );
        assert_eq!(
            pieces("\u{feff}a: 1\r\n---\r\nb: 2\r\n"),
            ["a: 1\r\n", "---\r\nb: 2\r\n"]
        );
        assert_eq!(
            pieces("a: |\n  ---\n  x\n----\n"),
            ["a: |\n  ---\n  x\n----\n"]
        );
    }
}
