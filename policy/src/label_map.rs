//! A map by labels and by the keys of labels, asked with borrowed text.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use porin_identity::{Label, LabelHash, source};

/// What a selector term asks for: a key, or a key with a value, in one source or in every source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    text: Box<str>,
    with_value: bool,
}

/// Values by what labels are asked for by.
///
/// The texts are those of labels (`source:key=value`, `source:key`); what is asked for in every
/// source stands without one (`:key=value`, `:key`). So all of them are parts of a label's own text.
///
/// `P` holds the text of a pair: [`Box<str>`], or [`ByText`] where somebody carries the label.
#[derive(Debug)]
pub(crate) struct LabelMap<P, T> {
    pairs: HashMap<P, T, LabelHash>,
    keys: HashMap<Box<str>, T, LabelHash>,
}

/// A label that is found by its text.
#[derive(Debug)]
pub(crate) struct ByText(Label);

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ByText {}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

impl Wanted {
    pub(crate) fn key(source: &str, key: &str) -> Self {
        let source = if source == source::ANY { "" } else { source };
        Self {
            text: format!("{source}:{key}").into(),
            with_value: false,
        }
    }

    pub(crate) fn pair(source: &str, key: &str, value: &str) -> Self {
        let Self { text, .. } = Self::key(source, key);
        let text = if value.is_empty() {
            text
        } else {
            format!("{text}={value}").into()
        };
        Self {
            text,
            with_value: true,
        }
    }

    /// A label's own pair and key, in its source.
    fn of(label: &Label) -> [(&str, bool); 2] {
        let text = label.as_str();
        let key = text
            .get(..label.source().len() + 1 + label.key().len())
            .unwrap_or(text);
        [(text, true), (key, false)]
    }
}

impl<P, T> Default for LabelMap<P, T> {
    fn default() -> Self {
        Self {
            pairs: HashMap::default(),
            keys: HashMap::default(),
        }
    }
}

impl<P: Borrow<str> + Eq + Hash, T> LabelMap<P, T> {
    fn find(&self, text: &str, with_value: bool) -> Option<&T> {
        if with_value {
            self.pairs.get(text)
        } else {
            self.keys.get(text)
        }
    }

    pub(crate) fn get(&self, wanted: &Wanted) -> Option<&T> {
        self.find(&wanted.text, wanted.with_value)
    }

    /// The values for a label's pair and key, in its source and in every source.
    pub(crate) fn asked_by<'a>(&'a self, label: &'a Label) -> impl Iterator<Item = &'a T> {
        let source = label.source().len();
        Wanted::of(label)
            .into_iter()
            .flat_map(move |(text, with_value)| {
                let anywhere = text.get(source..);
                let anywhere = anywhere.and_then(|text| self.find(text, with_value));
                self.find(text, with_value).into_iter().chain(anywhere)
            })
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        self.pairs.retain(|_, value| keep(value));
        self.keys.retain(|_, value| keep(value));
    }
}

impl<T: Default> LabelMap<Box<str>, T> {
    /// The value for what is asked, made first if it is missing.
    pub(crate) fn entry(&mut self, wanted: Wanted) -> &mut T {
        let map = if wanted.with_value {
            &mut self.pairs
        } else {
            &mut self.keys
        };
        map.entry(wanted.text).or_default()
    }
}

impl<T: Default> LabelMap<ByText, T> {
    /// Changes the values for a label's pair and key in its source, made first if they are missing.
    pub(crate) fn change(&mut self, label: &Label, mut change: impl FnMut(&mut T)) {
        let [(pair, _), (key, _)] = Wanted::of(label);
        match self.pairs.get_mut(pair) {
            Some(value) => change(value),
            None => change(self.pairs.entry(ByText(label.clone())).or_default()),
        }
        match self.keys.get_mut(key) {
            Some(value) => change(value),
            None => change(self.keys.entry(key.into()).or_default()),
        }
    }

    /// Forgets the values for a label's pair and key that are not worth keeping any more.
    pub(crate) fn tidy(&mut self, label: &Label, is_empty: impl Fn(&T) -> bool) {
        let [(pair, _), (key, _)] = Wanted::of(label);
        if self.pairs.get(pair).is_some_and(&is_empty) {
            self.pairs.remove(pair);
        }
        if self.keys.get(key).is_some_and(&is_empty) {
            self.keys.remove(key);
        }
    }
}
