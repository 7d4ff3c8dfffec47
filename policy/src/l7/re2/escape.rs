//! Backslashes and classes of characters.

use std::fmt::Write;

use super::reader::Reader;

impl Reader<'_> {
    pub(super) fn escape(&mut self) -> Result<(), String> {
        if let Some(set) = self.set()? {
            self.atom(&set);
        } else if self.eat("Q") {
            let quoted = self
                .until("\\E")
                .unwrap_or_else(|| std::mem::take(&mut self.rest));
            quoted.chars().for_each(|char| self.literal(char));
        } else if self.eat("A") {
            self.atom("\\A");
        } else if self.eat("z") {
            self.atom("\\z");
        } else if self.eat("b") {
            self.atom("(?-u:\\b)");
        } else if self.eat("B") {
            self.atom("(?-u:\\B)");
        } else {
            let char = self.escaped()?;
            self.literal(char);
        }
        Ok(())
    }

    /// A set of characters behind a backslash, as it may stand in a class as well.
    fn set(&mut self) -> Result<Option<String>, String> {
        const SETS: [(&str, &str); 6] = [
            ("d", "[0-9]"),
            ("D", "[^0-9]"),
            ("s", r"[\t\n\f\r ]"),
            ("S", r"[^\t\n\f\r ]"),
            ("w", "[0-9A-Za-z_]"),
            ("W", "[^0-9A-Za-z_]"),
        ];
        if let Some((_, set)) = SETS.into_iter().find(|(letter, _)| self.eat(letter)) {
            return Ok(Some(set.to_owned()));
        }
        let negated = self.rest.starts_with('P');
        if !self.eat("p") && !self.eat("P") {
            return Ok(None);
        }
        let name = match self.eat("{") {
            true => self.until("}"),
            false => {
                let rest = self.rest;
                self.next().and_then(|char| rest.get(..char.len_utf8()))
            }
        };
        let name = name.ok_or("a class of characters has no name")?;
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (!negated, name),
            None => (negated, name),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("`{name}` is no class of characters"));
        }
        let letter = if negated { 'P' } else { 'p' };
        Ok(Some(format!("\\{letter}{{{name}}}")))
    }

    /// One character behind a backslash.
    fn escaped(&mut self) -> Result<char, String> {
        let unknown = |what: &str| format!("`\\{what}` has no meaning");
        let char = self.next().ok_or("a backslash stands at the end")?;
        Ok(match char {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.hex(),
            '0'..='7' => {
                let digits = self
                    .rest
                    .bytes()
                    .take_while(|byte| matches!(byte, b'0'..=b'7'));
                let more = digits.take(2).count();
                if char != '0' && more == 0 {
                    return Err(format!("`\\{char}` refers back, which is not possible"));
                }
                let digits = self.rest.get(..more).unwrap_or_default();
                self.rest = self.rest.get(more..).unwrap_or_default();
                let value = u32::from_str_radix(&format!("{char}{digits}"), 8).ok();
                value
                    .and_then(char::from_u32)
                    .ok_or_else(|| unknown(digits))?
            }
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => other,
            other => return Err(unknown(other.encode_utf8(&mut [0; 4]))),
        })
    }

    /// `\x7F` or `\x{10FFFF}`.
    fn hex(&mut self) -> Result<char, String> {
        let digits = match self.eat("{") {
            true => self.until("}"),
            false => {
                let digits = self.rest.get(..2);
                self.rest = self.rest.get(2..).unwrap_or_default();
                digits
            }
        };
        digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| "`\\x` wants two hexadecimal digits, or more in braces".to_owned())
    }

    pub(super) fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            self.class_item()?;
        }
        self.atom("]");
        Ok(())
    }

    fn class_item(&mut self) -> Result<(), String> {
        if let Some(name) = self.rest.strip_prefix("[:")
            && let Some((name, behind)) = name.split_once(":]")
        {
            if !POSIX.contains(&name.trim_start_matches('^')) {
                return Err(format!("`[:{name}:]` is no class of characters"));
            }
            let _ = write!(self.out, "[:{name}:]");
            self.rest = behind;
            return Ok(());
        }
        if let Some(escape) = self.rest.strip_prefix('\\') {
            let here = std::mem::replace(&mut self.rest, escape);
            if let Some(set) = self.set()? {
                self.out.push_str(&set);
                return Ok(());
            }
            self.rest = here;
        }
        let low = self.class_char()?;
        let mut high = low;
        if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
            self.eat("-");
            high = self.class_char()?;
        }
        if high < low {
            return Err(format!("`{low}-{high}` runs backwards"));
        }
        let _ = write!(
            self.out,
            "\\x{{{:x}}}-\\x{{{:x}}}",
            u32::from(low),
            u32::from(high)
        );
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, String> {
        match self.next() {
            None => Err("a class is not closed, `]` is missing".to_owned()),
            Some('\\') => self.escaped(),
            Some(char) => Ok(char),
        }
    }
}

/// The classes of POSIX that have a name.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];
