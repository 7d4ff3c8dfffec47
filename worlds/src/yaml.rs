use serde_json::Value;

/// Writes an object as block YAML; texts are quoted as JSON quotes them.
pub(crate) fn write(object: &Value) -> String {
    let mut text = String::new();
    block(object, 0, &mut text);
    text
}

/// Writes a value whose first line begins where the text ends.
fn block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (at, (key, value)) in fields.iter().enumerate() {
                if at > 0 {
                    indent(depth, text);
                }
                text.push_str(&plain_or_quoted(key));
                text.push(':');
                nested(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    indent(depth, text);
                }
                text.push_str("- ");
                block(item, depth + 1, text);
            }
        }
        other => {
            text.push_str(&other.to_string());
            text.push('\n');
        }
    }
}

/// Writes the value of a field: on its own lines if it has any.
fn nested(value: &Value, depth: usize, text: &mut String) {
    let own_lines = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if own_lines {
        text.push('\n');
        indent(depth + 1, text);
        block(value, depth + 1, text);
    } else {
        text.push(' ');
        block(value, depth, text);
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

fn plain_or_quoted(key: &str) -> String {
    if key.chars().all(|letter| letter.is_ascii_alphabetic()) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn nesting_is_indented() {
        let object = json!({"a": [{"b": {}, "c": [1, "x: y"]}, []], "d/e": null});
        let expected =
            "a:\n  - b: {}\n    c:\n      - 1\n      - \"x: y\"\n  - []\n\"d/e\": null\n";
        assert_eq!(super::write(&object), expected);
    }
}
