//! From documents back to text.

mod text;

pub(crate) use text::json_text;
