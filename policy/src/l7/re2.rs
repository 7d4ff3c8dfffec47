//! The regular expressions of the policy API are those of RE2 as Go accepts them. This puts one into
//! the words of the engine here, and refuses what Go refuses.
//!
//! The two languages differ in little things that turn a meaning around: `{id}` is plain text in RE2,
//! `[a&&b]` an ordinary class, `\d` and `\w` are ASCII, `\<` is a `<`; `\Q…\E` and octal numbers exist
//! there only, `(?x)` here only.

use std::fmt::Write;

/// The most repetitions that RE2 takes.
const MAX_REPEAT: u32 = 1000;

const NO_GROUP: &str = "what stands behind `(?` is no group; looking around is not possible";

/// The expression in the syntax of the `regex` crate.
///
/// # Errors
/// What is wrong with it, as half a sentence.
pub(super) fn translate(text: &str) -> Result<String, String> {
    let mut reader = Reader {
        rest: text,
        out: String::with_capacity(text.len() + 16),
        depth: 0,
        last: Last::Nothing,
        names: Vec::new(),
    };
    while let Some(char) = reader.next() {
        reader.item(char)?;
    }
    match reader.depth {
        0 => Ok(reader.out),
        _ => Err("a group is not closed, `)` is missing".to_owned()),
    }
}

/// What stands before the place that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing that could be repeated.
    Nothing,
    /// Something that can.
    Atom,
    /// A repetition.
    Repetition,
}

struct Reader<'t> {
    rest: &'t str,
    out: String,
    depth: usize,
    last: Last,
    /// The names of groups.
    names: Vec<&'t str>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<char> {
        let char = self.rest.chars().next()?;
        self.rest = self.rest.get(char.len_utf8()..).unwrap_or_default();
        Some(char)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// What stands before `end`, which is read too.
    fn until(&mut self, end: &str) -> Option<&'t str> {
        let (before, behind) = self.rest.split_once(end)?;
        self.rest = behind;
        Some(before)
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Atom;
    }

    fn literal(&mut self, char: char) {
        let mut buffer = [0; 4];
        self.atom(&regex::escape(char.encode_utf8(&mut buffer)));
    }

    fn item(&mut self, char: char) -> Result<(), String> {
        match char {
            '.' => self.atom("."),
            '^' => self.atom("^"),
            '$' => self.atom("$"),
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            '(' => self.group()?,
            ')' if self.depth == 0 => return Err("a `)` closes nothing".to_owned()),
            ')' => {
                self.depth -= 1;
                self.atom(")");
            }
            '*' => self.repeat("*")?,
            '+' => self.repeat("+")?,
            '?' => self.repeat("?")?,
            '{' => match self.count()? {
                Some(count) => self.repeat(&count)?,
                None => self.literal('{'),
            },
            '[' => self.class()?,
            '\\' => self.escape()?,
            other => self.literal(other),
        }
        Ok(())
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        let lazy = self.eat("?");
        match self.last {
            Last::Nothing => Err(format!("`{operator}` has nothing to repeat")),
            Last::Repetition => Err(format!("`{operator}` repeats a repetition")),
            Last::Atom => {
                self.out.push_str(operator);
                if lazy {
                    self.out.push('?');
                }
                self.last = Last::Repetition;
                Ok(())
            }
        }
    }

    /// `{n}`, `{n,}`, `{n,m}`; nothing else behind a brace has a meaning.
    fn count(&mut self) -> Result<Option<String>, String> {
        let Some((inner, behind)) = self.rest.split_once('}') else {
            return Ok(None);
        };
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let leading = |text: &str| text.len() > 1 && text.starts_with('0');
        if least.is_empty() || !digits(least) || !digits(most) || leading(least) || leading(most) {
            return Ok(None);
        }
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT);
        let (first, last) = match (number(least), most) {
            (Some(first), "") => (first, MAX_REPEAT),
            (Some(first), most) => (first, number(most).unwrap_or(0)),
            (None, _) => (1, 0),
        };
        if last < first {
            return Err(format!(
                "`{{{inner}}}` is no number of repetitions, at most {MAX_REPEAT}"
            ));
        }
        self.rest = behind;
        Ok(Some(format!("{{{inner}}}")))
    }

    fn group(&mut self) -> Result<(), String> {
        self.depth += 1;
        self.last = Last::Nothing;
        if !self.eat("?") {
            self.out.push_str("(?:");
            return Ok(());
        }
        if self.eat("P<") || self.eat("<") {
            return self.name();
        }
        self.flags()
    }

    /// The name of a group; the group itself is all that is needed.
    fn name(&mut self) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match self.until(">") {
            Some(name) if !name.is_empty() && name.bytes().all(plain) => {
                if self.names.contains(&name) {
                    return Err(format!("two groups are named `{name}`"));
                }
                self.names.push(name);
                self.out.push_str("(?:");
                Ok(())
            }
            _ => Err(NO_GROUP.to_owned()),
        }
    }

    /// The flags of a group, or of what follows; greed is of no interest for whole values.
    fn flags(&mut self) -> Result<(), String> {
        let (mut on, mut off) = (String::new(), String::new());
        let (mut minus, mut greed) = (false, false);
        loop {
            match self.next() {
                Some('U') => greed |= minus,
                Some(flag @ ('i' | 'm' | 's')) => {
                    let flags = if minus { &mut off } else { &mut on };
                    if !flags.contains(flag) {
                        flags.push(flag);
                    }
                }
                Some('-') if !minus => minus = true,
                Some(end @ (':' | ')')) if !minus || greed || !off.is_empty() => {
                    let dash = if off.is_empty() { "" } else { "-" };
                    if end == ')' {
                        self.depth -= 1;
                        if on.is_empty() && off.is_empty() {
                            return Ok(());
                        }
                    }
                    on.retain(|flag| !off.contains(flag));
                    // (Writing to a text cannot fail.)
                    let _ = write!(self.out, "(?{on}{dash}{off}{end}");
                    return Ok(());
                }
                _ => {
                    return Err(NO_GROUP.to_owned());
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), String> {
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

    fn class(&mut self) -> Result<(), String> {
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
