//! JSON as a value.

use std::fmt;

use super::json_text;

pub(crate) enum Json {
    Text(String),
    Number(u16),
    Bool(bool),
    List(Vec<Json>),
    Map(Fields),
}

/// The fields of an object, in the order in which they were put.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, Json)>);

impl Fields {
    pub(crate) fn put(&mut self, name: &str, value: impl Into<Json>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Puts what is there.
    pub(crate) fn some(&mut self, name: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Puts a list that has elements.
    pub(crate) fn filled(&mut self, name: &str, list: impl IntoIterator<Item = impl Into<Json>>) {
        let list: Vec<Json> = list.into_iter().map(Into::into).collect();
        if !list.is_empty() {
            self.put(name, list);
        }
    }

    /// Names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An object of one field.
pub(crate) fn only(name: &str, value: impl Into<Json>) -> Json {
    let mut fields = Fields::default();
    fields.put(name, value);
    fields.into()
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&Box<str>> for Json {
    fn from(text: &Box<str>) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for Json {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(list: Vec<Json>) -> Self {
        Self::List(list)
    }
}

impl From<Fields> for Json {
    fn from(fields: Fields) -> Self {
        Self::Map(fields)
    }
}

impl fmt::Display for Json {
    /// Without blanks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&json_text(text)),
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::List(list) => {
                f.write_str("[")?;
                for (place, item) in list.iter().enumerate() {
                    f.write_str(if place > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Map(Fields(fields)) => {
                f.write_str("{")?;
                for (place, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if place > 0 { "," } else { "" })?;
                    write!(f, "{}:{value}", json_text(name))?;
                }
                f.write_str("}")
            }
        }
    }
}
