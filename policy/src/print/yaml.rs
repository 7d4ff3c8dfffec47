//! YAML in block style; every text is quoted, so that none is taken for something else.

use super::json::{Fields, Json};
use super::json_text;

impl Fields {
    /// The object as lines of YAML.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        map(self, 0, &mut out);
        out
    }
}

fn map(fields: &Fields, depth: usize, out: &mut String) {
    for (place, (name, value)) in fields.iter().enumerate() {
        // The first field of a list's element stands behind its hyphen.
        if place > 0 || !out.ends_with("- ") {
            indent(depth, out);
        }
        let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match bare {
            true => out.push_str(name),
            false => out.push_str(&json_text(name)),
        }
        out.push(':');
        below(value, depth, out);
    }
}

/// What stands behind a colon.
fn below(value: &Json, depth: usize, out: &mut String) {
    match value {
        Json::Map(fields) if !fields.is_empty() => {
            out.push('\n');
            map(fields, depth + 1, out);
        }
        Json::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                indent(depth, out);
                out.push_str("- ");
                match item {
                    Json::Map(fields) if !fields.is_empty() => map(fields, depth + 1, out),
                    other => out.push_str(&format!("{other}\n")),
                }
            }
        }
        other => out.push_str(&format!(" {other}\n")),
    }
}

fn indent(depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
}
