//! Reading an expression from its first to its last character.

use std::fmt::Write;

/// The most repetitions that RE2 takes.
const MAX_REPEAT: u32 = 1000;

const NO_GROUP: &str = "what stands behind `(?` is no group; looking around is not possible";

/// The expression in the syntax of the `regex` crate.
///
/// # Errors
/// What is wrong with it, as half a sentence.
pub(in crate::l7) fn translate(text: &str) -> Result<String, String> {
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

pub(super) struct Reader<'t> {
    pub(super) rest: &'t str,
    pub(super) out: String,
    depth: usize,
    last: Last,
    /// The names of groups.
    names: Vec<&'t str>,
}

impl<'t> Reader<'t> {
    pub(super) fn next(&mut self) -> Option<char> {
        let char = self.rest.chars().next()?;
        self.rest = self.rest.get(char.len_utf8()..).unwrap_or_default();
        Some(char)
    }

    pub(super) fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// What stands before `end`, which is read too.
    pub(super) fn until(&mut self, end: &str) -> Option<&'t str> {
        let (before, behind) = self.rest.split_once(end)?;
        self.rest = behind;
        Some(before)
    }

    pub(super) fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Atom;
    }

    pub(super) fn literal(&mut self, char: char) {
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
}
