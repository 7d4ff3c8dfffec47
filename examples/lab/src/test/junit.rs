//! The outcome of tests in the XML that build servers read.

use std::io::{self, Write};

use super::run::Verdict;

pub(super) fn write(verdicts: &[Verdict], out: &mut impl Write) -> io::Result<()> {
    let failures = verdicts
        .iter()
        .filter(|one| !one.passed && one.error.is_none());
    let errors = verdicts.iter().filter(|one| one.error.is_some());
    let (tests, failures, errors) = (verdicts.len(), failures.count(), errors.count());
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuites><testsuite name=\"porin-lab\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\">"
    )?;
    for verdict in verdicts {
        case(verdict, out)?;
    }
    writeln!(out, "</testsuite></testsuites>")
}

fn case(verdict: &Verdict, out: &mut impl Write) -> io::Result<()> {
    let Verdict {
        name, file, line, ..
    } = verdict;
    write!(
        out,
        "<testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\">",
        text(name),
        text(file),
        text(file)
    )?;
    if let Some(error) = &verdict.error {
        write!(out, "<error message=\"{}\"/>", text(error))?;
    } else if !verdict.passed {
        let message = text(&verdict.complaints.join("; "));
        let explanation = text(&verdict.explanation.join("\n"));
        write!(
            out,
            "<failure message=\"{message}\">{explanation}</failure>"
        )?;
    }
    writeln!(out, "</testcase>")
}

/// Text as XML 1.0 takes it: no markup, and none of the characters that it forbids.
fn text(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
