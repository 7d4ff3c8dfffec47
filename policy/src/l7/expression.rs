//! Regular expressions of policies: the language they are written in, and how large they may be.

use regex::bytes::{Regex, RegexBuilder};

use super::re2;

/// The longest expression that is read, in bytes.
pub(crate) const MAX_LENGTH: usize = 4096;

/// The most memory that one compiled expression may take, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// The deepest nesting of groups.
const MAX_NESTING: u32 = 100;

/// An expression that a value must match from its first to its last byte.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    /// A text without any operator.
    Literal(Box<str>),
    /// Anything else.
    Regex(Regex),
    /// What no value matches.
    Nothing,
}

impl Expression {
    /// Reads an expression in the syntax of RE2, as Go accepts it (that of the policy API).
    ///
    /// # Errors
    /// What is wrong with it, as half a sentence.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("longer than {MAX_LENGTH} bytes"));
        }
        if !text.bytes().any(is_operator) {
            return Ok(Self::Literal(text.into()));
        }
        let translated = re2::translate(text)?;
        RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
            .size_limit(MAX_COMPILED)
            .nest_limit(MAX_NESTING)
            .build()
            .map(Self::Regex)
            .map_err(|error| reason(&error))
    }

    /// Whether an expression would compile: what a policy is refused for when it is read.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub(crate) fn check(text: &str) -> Result<(), String> {
        match is_plain(text) {
            true => Ok(()),
            false => Self::compile(text).map(|_| ()),
        }
    }

    /// Whether the whole value matches.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Literal(text) => text.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
            Self::Nothing => false,
        }
    }
}

/// Short words and paths with `.` and `.*`, as most rules have: these need no try.
fn is_plain(text: &str) -> bool {
    let mut last = 0;
    text.len() <= 256
        && text.bytes().all(|byte| {
            let fits = !is_operator(byte) || byte == b'.' || byte == b'*' && last == b'.';
            last = byte;
            fits
        })
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'\\'
            | b'.'
            | b'+'
            | b'*'
            | b'?'
            | b'('
            | b')'
            | b'|'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'^'
            | b'$'
    )
}

fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("larger than {} KiB when compiled", MAX_COMPILED >> 10)
        }
        error => error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .trim_start_matches("error: ")
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, value: &str) -> bool {
        Expression::compile(text).unwrap().matches(value.as_bytes())
    }

    #[test]
    fn values_are_matched_whole() {
        for (text, value, fits) in [
            ("/foo", "/foo", true),
            ("/foo", "/foo/", false),
            ("/foo", "x/foo", false),
            ("^/foo$", "/foo", true),
            ("/a|/b", "/a", true),
            ("/a|/b", "/ab", false),
            ("/a|/b", "/a/b", false),
            ("GET|POST", "POST", true),
            ("/(?i)case", "/CASE", true),
            ("/(?i)case", "/CASE\n", false),
            ("foo.bar", "fooXbar", true),
            ("/\\d+", "/42", true),
            ("/\\d+", "/\u{665}", false),
            ("/\\w+", "/\u{e9}", false),
            ("/.", "/\u{e9}", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(text, value), fits, "{text} {value}");
        }
    }

    #[test]
    fn what_other_engines_read_differently_is_read_as_re2_does() {
        for (text, value, fits) in [
            ("/users/{id}", "/users/{id}", true),
            ("/a{,3}", "/a{,3}", true),
            ("/a{2}", "/aa", true),
            ("/a{01}", "/a{01}", true),
            ("[a&&b]", "&", true),
            ("[+--]", ",", true),
            ("[a~~b]", "~", true),
            ("[[a]", "[", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[[:digit:]_]", "7", true),
            ("[\\d-z]", "-", true),
            ("[\\D]", "7", false),
            ("\\<b\\>", "<b>", true),
            ("\\Q.*\\E+", ".**", true),
            ("\\101\\x42\\x{43}", "ABC", true),
            ("\\/\\_\\-", "/_-", true),
            ("(?P<name>a)(?<b>b)", "ab", true),
            ("(?s:.)(?-s:.)", "\na", true),
            ("(?U)a+", "aa", true),
            ("a #b", "a #b", true),
            ("\\p{^Lu}\\pN", "a1", true),
            ("a??", "", true),
            ("\\s", "\x0b", false),
        ] {
            assert_eq!(matches(text, value), fits, "{text} {value}");
        }
    }

    #[test]
    fn what_is_no_expression_of_re2_is_refused() {
        for text in [
            "(",
            ")",
            "a)(b",
            "[",
            "[a",
            "[]",
            "[b-a]",
            "[a--b]",
            "[[:word",
            "[[:none:]]",
            "*",
            "a|*",
            "(*)",
            "a**",
            "a+*",
            "a{2}{3}",
            "a{1001}",
            "a{3,2}",
            "\\",
            "\\1",
            "\\8",
            "\\C",
            "\\y",
            "\\E",
            "\\xg0",
            "\\x{110000}",
            "(?=a)",
            "(?<=a)",
            "(?x)a",
            "(?i",
            "(?-)a",
            "(?i-:a)",
            "(?P<n>a)(?<n>b)",
            "(?i--s)",
            "(?P<>a)",
            "[\\b]",
            "\\p{none}",
            "\\u0041",
        ] {
            assert!(Expression::compile(text).is_err(), "{text}");
            assert!(Expression::check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_reason() {
        for text in [
            "\\pL{1000}".to_owned(),
            "((a{100}){100}){100}".to_owned(),
            "(.{1000}){100}".to_owned(),
            vec!["a"; 100_000].join("|"),
            "(".repeat(500) + &")".repeat(500),
        ] {
            let reason = Expression::check(&text).unwrap_err();
            assert!(!reason.is_empty() && reason.len() < 120, "{reason}");
        }
    }

    #[test]
    fn what_passes_the_check_compiles() {
        let dots = ".".repeat(256);
        for text in [dots.as_str(), "/a.*", "/.*.*/x", "GET", "a,b"] {
            assert!(
                Expression::check(text).is_ok() && Expression::compile(text).is_ok(),
                "{text}"
            );
        }
    }
}
