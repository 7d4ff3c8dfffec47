use serde_json::Value;

/// Sets a field of an object.
pub(crate) fn put(object: &mut Value, field: impl Into<String>, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(field.into(), value);
    }
}
