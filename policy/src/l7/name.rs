//! Names and patterns of names: one language, read a little differently by its three users.

/// A name or a pattern of names, as `dns` rules, `toFQDNs` and `serverNames` use them.
///
/// 1. Case does not matter, nor does one dot at the end, of pattern or name.
/// 2. Without `*`, the name itself.
/// 3. Only stars: every name. What counts as a name is where the readings differ, see the
///    constructors.
/// 4. Two or more stars and a dot in front: one or more whole labels, whatever they are.
/// 5. Every other run of stars: letters, digits, `-` and `_`, any number of them. It never crosses a
///    dot, and it may be nothing.
///
/// (Cilium 1.20, `pkg/fqdn/matchpattern`; before 1.19 rule 4 did not exist.)
///
/// ```
/// use porin_policy::NamePattern;
/// let pattern = NamePattern::dns("*.example.com");
/// assert!(pattern.matches("API.example.com."));
/// assert!(!pattern.matches("a.b.example.com"));
/// assert!(NamePattern::dns("**.example.com").matches("a.b.example.com"));
/// assert!(NamePattern::dns("*example.com").matches("evilexample.com")); // as written
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    /// Any text at all.
    Anything,
    /// One or more labels that are not empty, or the root.
    AnyName,
    /// The labels from the end on; `deep`: one or more whole labels stand before them.
    Labels { deep: bool, tail: Box<str> },
}

impl NamePattern {
    /// The pattern of a DNS rule: only stars are every query, however odd its name.
    pub fn dns(text: &str) -> Self {
        Self::read(text, Form::Anything)
    }

    /// The pattern of a `toFQDNs` element: only stars are every well-formed name, and the root.
    pub fn fqdn(text: &str) -> Self {
        Self::read(text, Form::AnyName)
    }

    /// A server name (SNI): only stars are every name. That there is a name at all is asked for by
    /// the list it stands in.
    pub fn server(text: &str) -> Self {
        Self::read(text, Form::Anything)
    }

    /// A name, without any pattern: `matchName`.
    pub fn exact(name: &str) -> Self {
        Self(Form::Labels {
            deep: false,
            tail: lower(strip_dot(name)),
        })
    }

    fn read(text: &str, every: Form) -> Self {
        let text = strip_dot(text);
        let rest = text.trim_start_matches('*');
        let stars = text.len() - rest.len();
        let deep = stars >= 2 && rest.starts_with('.');
        Self(match rest.strip_prefix('.') {
            None if rest.is_empty() && stars > 0 => every,
            Some(tail) if deep => Form::Labels {
                deep,
                tail: lower(tail),
            },
            _ => Form::Labels {
                deep,
                tail: lower(text),
            },
        })
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        let name = strip_dot(name);
        match &self.0 {
            Form::Anything => true,
            Form::AnyName => name.is_empty() || name.split('.').all(is_label),
            Form::Labels { deep: false, tail } => same_labels(tail, name),
            Form::Labels { deep: true, tail } => {
                let (given, asked) = (name.split('.').count(), tail.split('.').count());
                let before = given.saturating_sub(asked);
                before > 0
                    && name.split('.').take(before).all(is_label)
                    && same_labels_of(tail, name.split('.').skip(before))
            }
        }
    }

    /// The name, in lower case and without a dot at the end, if only one fits.
    pub(crate) fn only_name(&self) -> Option<&str> {
        match &self.0 {
            Form::Labels { deep: false, tail } if !tail.contains('*') => Some(tail),
            _ => None,
        }
    }
}

/// A name without the one dot that may stand at its end.
pub(crate) fn strip_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn lower(text: &str) -> Box<str> {
    text.to_ascii_lowercase().into()
}

fn same_labels(pattern: &str, name: &str) -> bool {
    same_labels_of(pattern, name.split('.'))
}

fn same_labels_of<'n>(pattern: &str, mut name: impl Iterator<Item = &'n str>) -> bool {
    pattern
        .split('.')
        .all(|asked| name.next().is_some_and(|given| fits(asked, given)))
        && name.next().is_none()
}

/// Whether a label fits a label with stars.
fn fits(pattern: &str, label: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern.eq_ignore_ascii_case(label);
    };
    let Some((start, mut label)) = label.split_at_checked(head.len()) else {
        return false;
    };
    // What the stars take is a part of the label, and the other parts are such bytes themselves.
    if !start.eq_ignore_ascii_case(head) || !label.bytes().all(is_label_byte) {
        return false;
    }
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        // The first place leaves the most for the parts behind.
        let mut places = label.as_bytes().windows(part.len());
        match places.position(|place| place.eq_ignore_ascii_case(part.as_bytes())) {
            None => return false,
            Some(at) => label = label.get(at + part.len()..).unwrap_or_default(),
        }
    }
    label
        .len()
        .checked_sub(end.len())
        .and_then(|at| label.get(at..))
        .is_some_and(|last| last.eq_ignore_ascii_case(end))
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(is_label_byte)
}

/// What a star stands for.
pub(crate) fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stay_within_their_label() {
        for (pattern, name, fits) in [
            ("a*b*c.d", "A-1bxc.d.", true),
            ("a*b*c.d", "abc.d", true),
            ("a*b*c.d", "ab.c.d", false),
            ("*a*a*", "aa", true),
            ("*a*a*", "a", false),
            ("ab*ba", "aba", false),
            ("*.example.com", ".example.com", true),
            ("**.example.com", ".example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", false),
            ("**.*.com", "x.com", false),
            ("***", "a b", true),
            ("svc.io..", "svc.io.", false),
            ("svc.io..", "svc.io..", true),
            (".", "", true),
            (".", ".", true),
        ] {
            assert_eq!(
                NamePattern::dns(pattern).matches(name),
                fits,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn only_stars_are_read_as_the_place_asks() {
        for (name, of_fqdn) in [
            ("a.b", true),
            ("", true),
            (".", true),
            ("..", false),
            ("a b", false),
        ] {
            for stars in ["*", "**", "*."] {
                assert!(NamePattern::dns(stars).matches(name));
                assert_eq!(
                    NamePattern::fqdn(stars).matches(name),
                    of_fqdn,
                    "{stars} {name}"
                );
            }
        }
    }

    /// The same rules as a search through everything that a star may be.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len())
                .take_while(|end| name[..*end].iter().copied().all(is_label_byte))
                .any(|end| slowly(rest, &name[end..])),
            Some((byte, rest)) => {
                name.first()
                    .is_some_and(|given| given.eq_ignore_ascii_case(byte))
                    && slowly(rest, &name[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_a_slow_search_does(
            pattern in "[ab.*-]{1,9}",
            name in "[abA. -]{0,10}",
        ) {
            let (text, whole) = (strip_dot(&pattern), strip_dot(&name).as_bytes());
            let stars = text.len() - text.trim_start_matches('*').len();
            prop_assume!(stars == 0 || stars < text.len());
            let asked = match text.get(stars..) {
                // Whole labels in front: with them, every number of single stars has to be tried.
                Some(tail) if stars >= 2 && tail.starts_with('.') => (1..=name.len() + 1).any(|n| {
                    slowly(format!("{}{tail}", vec!["*"; n].join(".")).as_bytes(), whole)
                        && name.split('.').take(n).all(is_label)
                }),
                _ => slowly(text.as_bytes(), whole),
            };
            prop_assert_eq!(NamePattern::dns(&pattern).matches(&name), asked);
        }
    }
}
