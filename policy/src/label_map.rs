//! A map by labels and by the keys of labels, asked with borrowed text.

use std::collections::HashMap;

use porin_identity::{Label, source};

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
#[derive(Debug)]
pub(crate) struct LabelMap<T> {
    pairs: HashMap<Box<str>, T>,
    keys: HashMap<Box<str>, T>,
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

impl<T> Default for LabelMap<T> {
    fn default() -> Self {
        Self {
            pairs: HashMap::new(),
            keys: HashMap::new(),
        }
    }
}

impl<T: Default> LabelMap<T> {
    fn map(&self, with_value: bool) -> &HashMap<Box<str>, T> {
        if with_value { &self.pairs } else { &self.keys }
    }

    fn map_mut(&mut self, with_value: bool) -> &mut HashMap<Box<str>, T> {
        if with_value {
            &mut self.pairs
        } else {
            &mut self.keys
        }
    }

    pub(crate) fn get(&self, wanted: &Wanted) -> Option<&T> {
        self.map(wanted.with_value).get(&wanted.text)
    }

    pub(crate) fn entry(&mut self, wanted: Wanted) -> &mut T {
        self.map_mut(wanted.with_value)
            .entry(wanted.text)
            .or_default()
    }

    /// The values for a label's pair and key, in its source and in every source.
    pub(crate) fn asked_by<'a>(&'a self, label: &'a Label) -> impl Iterator<Item = &'a T> {
        let source = label.source().len();
        Wanted::of(label)
            .into_iter()
            .flat_map(move |(text, with_value)| {
                let map = self.map(with_value);
                let anywhere = text.get(source..).and_then(|text| map.get(text));
                map.get(text).into_iter().chain(anywhere)
            })
    }

    /// Changes the values for a label's pair and key in its source, made first if they are missing.
    pub(crate) fn change(&mut self, label: &Label, mut change: impl FnMut(&mut T)) {
        for (text, with_value) in Wanted::of(label) {
            let map = self.map_mut(with_value);
            match map.get_mut(text) {
                Some(value) => change(value),
                None => change(map.entry(text.into()).or_default()),
            }
        }
    }

    /// Forgets the values for a label's pair and key that are not worth keeping any more.
    pub(crate) fn tidy(&mut self, label: &Label, is_empty: impl Fn(&T) -> bool) {
        for (text, with_value) in Wanted::of(label) {
            let map = self.map_mut(with_value);
            if map.get(text).is_some_and(&is_empty) {
                map.remove(text);
            }
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        self.pairs.retain(|_, value| keep(value));
        self.keys.retain(|_, value| keep(value));
    }
}
