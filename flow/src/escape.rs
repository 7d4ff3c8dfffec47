//! Text of others, made harmless for terminals and line-based readers.

use std::fmt::{self, Write};

/// Shows text with every control character (C0, DEL, C1) written out: `^[` for escape, `\r`, `\n`
/// and `\t` as in Rust, the rest as `\u{…}`.
///
/// Names, labels and reasons come from files and from the network; a line of output is trusted to
/// be one line and to leave the terminal as it was. The first two forms are those of Hubble 1.19.
///
/// ```
/// use porin_flow::Escaped;
///
/// assert_eq!(Escaped("pod\u{1b}[2J\r").to_string(), "pod^[[2J\\r");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| c.is_control()) {
            let (clean, tail) = rest.split_at(at);
            f.write_str(clean)?;
            match c {
                '\u{1b}' => f.write_str("^[")?,
                '\r' | '\n' | '\t' => write!(f, "{}", c.escape_default())?,
                _ => write!(f, "{}", c.escape_unicode())?,
            }
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// A formatter's sink that escapes all that is written through it.
pub(crate) struct EscapedSink<'a, 'b>(pub(crate) &'a mut fmt::Formatter<'b>);

impl Write for EscapedSink<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write!(self.0, "{}", Escaped(text))
    }
}
