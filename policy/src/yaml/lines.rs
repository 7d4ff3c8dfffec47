//! From a place in a text to its line and column.

use std::cell::Cell;

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<u32>,
    ascii: bool,
    /// The last answer in a line that is not ASCII: questions mostly come in order, and counting
    /// on from there keeps one very long line from costing its square.
    last: Cell<(usize, usize, u32)>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX)))
            .collect();
        Self {
            text,
            starts,
            ascii: text.is_ascii(),
            last: Cell::new((0, 0, 0)),
        }
    }

    /// The text itself.
    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// Line and column, both from one, of the byte at `offset`; columns count characters.
    pub(crate) fn place(&self, offset: u32) -> (u32, u32) {
        let index = self
            .starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(0) as usize;
        let offset = (offset as usize).min(self.text.len());
        let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let column = if self.ascii {
            u32::try_from(offset.saturating_sub(start)).unwrap_or(u32::MAX)
        } else {
            self.characters(start, offset)
        };
        (line, column + 1)
    }

    fn characters(&self, start: usize, offset: usize) -> u32 {
        let (last_start, last_offset, last_count) = self.last.get();
        let (from, before) = match last_start == start && last_offset <= offset {
            true => (last_offset, last_count),
            false => (start, 0),
        };
        let from = from.max(start);
        let begins = |byte: &&u8| **byte & 0xC0 != 0x80;
        let passed = self.text.as_bytes().get(from..offset).unwrap_or_default();
        let count = before + u32::try_from(passed.iter().filter(begins).count()).unwrap_or(0);
        self.last.set((start, offset, count));
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let lines = Lines::new("a\u{fc}b\nc\r\n\u{20ac}d");
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(3), (1, 3));
        assert_eq!(lines.place(5), (2, 1));
        assert_eq!(lines.place(11), (3, 2));
        assert_eq!(lines.place(8), (3, 1));
        assert_eq!(lines.place(500), (3, 3));
    }
}
