use peak_alloc::PeakAlloc;
use porin_laws::Broken;
use porin_policy::{Parsed, parse_documents};

/// Counts what every program with this library allocates.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Memory that may be in use whatever the text: messages, the reader's own tables.
const BASE: usize = 256 << 10;
/// The most for each byte of a text.
const PER_BYTE: usize = 384;
/// The most while a regular expression is compiled to see whether it can be, one at a time.
const EXPRESSION: usize = 8 << 20;
/// The most for each node that an alias repeats.
const PER_NODE: usize = 256;
/// The most nodes of a document (`docs/languages.md`).
const NODES: usize = 1 << 19;
/// The most nodes of a file.
const ALL_NODES: usize = 1 << 22;

/// The most memory that reading a text may take, in bytes: linear in its length; where it may have
/// expressions, one of them; where it has aliases, what the reader lets them repeat.
#[must_use]
pub fn most_for(text: &str) -> usize {
    let linear = BASE + text.len() * PER_BYTE;
    let expression = match text.contains("http") {
        true => EXPRESSION,
        false => 0,
    };
    let aliases = match text.contains('*') && text.contains('&') {
        true => PER_NODE * ALL_NODES.min(NODES * documents(text)),
        false => 0,
    };
    linear + expression + aliases
}

/// How many documents a text has at most.
fn documents(text: &str) -> usize {
    let marker = |line: &&str| line.starts_with("---") || line.starts_with("...");
    1 + text.split('\n').filter(marker).count()
}

/// Reads a text, and tells how much memory that took at most, in bytes, the result included. Other
/// threads must not allocate meanwhile.
#[must_use]
pub fn measured(text: &str) -> (usize, Parsed) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let parsed = parse_documents("text.yaml", text);
    (HEAP.peak_usage().saturating_sub(before), parsed)
}

/// Reading a text takes no more than it may.
///
/// # Errors
/// If it does.
pub(crate) fn bounded(text: &str) -> Result<(), Broken> {
    let ((took, _), most) = (measured(text), most_for(text));
    match took <= most {
        true => Ok(()),
        false => Err(Broken::of(format!(
            "reading {} bytes took {took} bytes of memory, more than {most}: {text:?}",
            text.len()
        ))),
    }
}
