//! What a plain scalar means: YAML 1.1 as the tools around Kubernetes read it.

/// The type of a scalar that was written without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    Number,
    Text,
}

impl Plain {
    /// How an error calls it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Number => "a number",
            Self::Text => "text",
        }
    }
}

/// Types a plain scalar.
pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Plain::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Plain::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Plain::Number,
        _ => match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text),
            _ => Plain::Text,
        },
    }
}

/// Whether a text made of letters, digits and inner punctuation may stand without quotes.
pub(crate) fn is_plain_text(text: &str) -> bool {
    let first = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    let rest = text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b':')
    });
    first && rest && !text.ends_with(':') && resolve(text) == Plain::Text
}

fn number(text: &str) -> Plain {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Plain::Number;
    }
    let digits: String = unsigned.chars().filter(|c| *c != '_').collect();
    match integer(&digits) {
        Some(Some(value)) if text.starts_with('-') => Plain::Int(-value),
        Some(Some(value)) => Plain::Int(value),
        Some(None) => Plain::Number,
        None if is_float(&digits) => Plain::Number,
        None => Plain::Text,
    }
}

/// `None`: no integer; `Some(None)`: an integer too large.
fn integer(digits: &str) -> Option<Option<i64>> {
    let (radix, rest) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'0'..=b'7', ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let fits = !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
    fits.then(|| i64::from_str_radix(rest, radix).ok())
}

/// `[digits][.digits][e[sign]digits]` with a digit before the exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !power.is_empty() && digits(power)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_typed_as_yaml_1_1() {
        for text in ["y", "Yes", "on", "TRUE"] {
            assert_eq!(resolve(text), Plain::Bool(true), "{text}");
        }
        for text in ["n", "NO", "off", "False"] {
            assert_eq!(resolve(text), Plain::Bool(false), "{text}");
        }
        for (text, value) in [
            ("80", 80),
            ("-1", -1),
            ("0x50", 80),
            ("010", 8),
            ("0o10", 8),
            ("0b11", 3),
            ("1_000", 1000),
        ] {
            assert_eq!(resolve(text), Plain::Int(value), "{text}");
        }
        for text in [
            "1.5",
            ".5",
            "1.",
            "1e3",
            ".inf",
            "-.Inf",
            ".nan",
            "99999999999999999999",
        ] {
            assert_eq!(resolve(text), Plain::Number, "{text}");
        }
        for text in [
            "yEs",
            "TCP",
            "10.0.0.0/8",
            "10.0.0.1",
            "1.2.3",
            ".",
            "-",
            "+",
            "e3",
            "1e",
            "0x",
            "089a",
            "a",
            "2018-11-30",
            "nULL",
        ] {
            assert_eq!(resolve(text), Plain::Text, "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(resolve(text), Plain::Null, "{text}");
        }
    }
}
