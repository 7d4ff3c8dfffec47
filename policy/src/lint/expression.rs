//! What an HTTP expression fits beside what its author had in mind. It is compared with the whole
//! value, and a path comes with its query.

/// Something to say about an expression.
#[derive(Debug)]
pub(super) struct Remark {
    /// What it fits, with the name of the field before it.
    pub(super) reason: String,
    pub(super) advice: String,
    /// A narrower expression to put in its place.
    pub(super) instead: Option<String>,
}

/// The methods of RFC 9110 §9 and RFC 5789.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// A method in lower case, or one that is written out and goes on.
pub(super) fn method(text: &str) -> Option<Remark> {
    let words: Vec<&str> = text.split('|').collect();
    let lower = words.iter().find(|word| {
        let upper = word.to_ascii_uppercase();
        **word != upper && METHODS.contains(&upper.as_str())
    });
    if let Some(word) = lower {
        return Some(Remark {
            reason: format!("`{text}` fits no request for `{word}`: methods are in capitals"),
            advice: format!("write `{}`", word.to_ascii_uppercase()),
            instead: None,
        });
    }
    let stem = |word: &str| {
        word.strip_suffix(".*")
            .filter(|stem| METHODS.contains(stem))
            .map(str::to_owned)
    };
    if !words.iter().any(|word| stem(word).is_some()) {
        return None;
    }
    let stems: Vec<String> = words
        .iter()
        .map(|word| stem(word).unwrap_or_else(|| (*word).to_owned()))
        .collect();
    let instead = stems.join("|");
    Some(Remark {
        reason: format!("`{text}` fits every method that begins so, whatever it is"),
        advice: format!("write `{instead}`"),
        instead: Some(instead),
    })
}

/// A path that seems to be a part of one, or whose end is no end of a segment.
pub(super) fn path(text: &str) -> Option<Remark> {
    let parts = alternatives(text);
    if let Some(part) = parts.iter().find(|part| begins_elsewhere(part)) {
        return Some(Remark {
            reason: format!("`{text}` never fits by `{part}`: every path begins with `/`"),
            advice: "an expression has to fit the whole path: begin it with `/`, and bracket what `|` separates"
                .to_owned(),
            instead: None,
        });
    }
    let [part] = parts.as_slice() else {
        return None;
    };
    if seems_a_prefix(part) {
        let stem = part.trim_start_matches('^');
        return Some(Remark {
            reason: format!(
                "`{text}` fits `{stem}` alone and nothing below it, for it has to fit the whole path"
            ),
            advice: format!(
                "write `{stem}.*` for all that begins so, or `{}` for just that path",
                stem.trim_end_matches('/')
            ),
            instead: None,
        });
    }
    let stem = part
        .strip_suffix(".*")
        .filter(|stem| ends_inside_a_segment(stem))?;
    let instead = format!("{stem}([/?].*)?");
    Some(Remark {
        reason: format!(
            "`{text}` fits every path that begins so, `{}-other` too",
            stem.trim_start_matches('^')
        ),
        advice: format!("write `{instead}` for it and all below it"),
        instead: Some(instead),
    })
}

/// A host whose dots are any character.
pub(super) fn host(text: &str) -> Option<Remark> {
    let instead = escape_dots(text)?;
    Some(Remark {
        reason: format!("`{text}` has dots that stand for any character"),
        advice: format!("write `{instead}`"),
        instead: Some(instead),
    })
}

/// What `|` separates outside of brackets.
fn alternatives(text: &str) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.extend(text.get(begin..at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(begin..));
    parts
}

/// Whether the first letter is plain, must be there, and is no slash.
fn begins_elsewhere(part: &str) -> bool {
    let mut letters = part.trim_start_matches('^').chars();
    let first = match letters.next() {
        Some('\\') => letters
            .next()
            .filter(|letter| !letter.is_ascii_alphanumeric()),
        first => first.filter(char::is_ascii_alphanumeric),
    };
    let optional = matches!(letters.next(), Some('?' | '*' | '{'));
    first.is_some_and(|letter| letter != '/') && !optional
}

/// A literal that begins with an anchor and ends without, or ends with a slash.
fn seems_a_prefix(part: &str) -> bool {
    let stem = part.trim_start_matches('^');
    let literal = stem.len() > 1 && stem.starts_with('/') && stem.bytes().all(is_literal);
    literal && (part.starts_with('^') || part.ends_with('/'))
}

fn ends_inside_a_segment(stem: &str) -> bool {
    let stem = stem.trim_start_matches('^');
    stem.starts_with('/')
        && stem.bytes().all(is_literal)
        && stem
            .bytes()
            .next_back()
            .is_some_and(|last| last.is_ascii_alphanumeric())
}

fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_')
}

/// The text with a backslash before each dot that stands for one character; `None` if there is none.
fn escape_dots(text: &str) -> Option<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len() + 4);
    let (mut class, mut before) = (false, None);
    for (at, letter) in letters.iter().enumerate() {
        let quoted = before == Some('\\');
        class = (class || *letter == '[' && !quoted) && (*letter != ']' || quoted);
        let repeated = matches!(letters.get(at + 1), Some('*' | '+' | '?' | '{'));
        let between = before.is_some_and(|letter: char| {
            letter.is_ascii_alphanumeric() || matches!(letter, '*' | '+' | ')' | ']')
        });
        if *letter == '.' && !quoted && !class && !repeated && between {
            escaped.push('\\');
        }
        escaped.push(*letter);
        before = if quoted && *letter == '\\' {
            None
        } else {
            Some(*letter)
        };
    }
    (escaped != text).then_some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_expressions_draw_no_remark() {
        for text in ["GET", "GET|POST", ".*", "P.*", "[A-Z]+"] {
            assert!(method(text).is_none(), "{text}");
        }
        for text in [
            "/",
            "/api",
            "/api/v1/.*",
            "/api/.*|/public",
            "/a(b|c)/.*",
            ".*",
            ".*\\.png",
            "[^/]+",
            "(/api)?/x",
            "/api([/?].*)?",
            "/api/v[0-9]+/.*",
            "/file\\.txt",
            "/x\\.*",
            "a?/x",
        ] {
            assert!(path(text).is_none(), "{text}");
        }
        for text in [
            "localhost",
            "api\\.example\\.com",
            ".*\\.example\\.com",
            "[a-z.]+",
            "a.*b",
        ] {
            assert!(host(text).is_none(), "{text}");
        }
    }

    #[test]
    fn expressions_that_fit_something_else_draw_one() {
        for text in ["get", "GET|post", "POST.*", "GET|POST.*"] {
            assert!(method(text).is_some(), "{text}");
        }
        for text in [
            "api/.*",
            "/v1|v2/.*",
            "\\.png",
            "^/api",
            "/api/",
            "/api.*",
            "/a/b-c.*",
            "^/x.*",
        ] {
            assert!(path(text).is_some(), "{text}");
        }
        for text in ["api.example.com", ".*.example.com", "(a|b).example\\.com"] {
            assert!(host(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_stands_instead_draws_no_further_remark() {
        for text in ["POST.*", "GET|POST.*"] {
            let instead = method(text)
                .and_then(|remark| remark.instead)
                .unwrap_or_default();
            assert!(
                !instead.is_empty() && method(&instead).is_none(),
                "{instead}"
            );
        }
        for text in ["/api.*", "^/api.*"] {
            let instead = path(text)
                .and_then(|remark| remark.instead)
                .unwrap_or_default();
            assert!(!instead.is_empty() && path(&instead).is_none(), "{instead}");
        }
        let instead = host("(a|b).example.com").and_then(|remark| remark.instead);
        assert_eq!(instead.as_deref(), Some("(a|b)\\.example\\.com"));
        assert!(host("(a|b)\\.example\\.com").is_none());
    }
}
