use serde_json::Value;

/// The parts of a world that can be left out piece by piece.
const PARTS: [&str; 5] = [
    "/flows",
    "/objects",
    "/identities",
    "/services",
    "/named_ports",
];

/// A smaller world that fails still: nothing of its flows, documents, identities, services and
/// names of ports can be left out any more.
#[must_use]
pub fn smallest(world: &Value, fails: impl Fn(&Value) -> bool) -> Value {
    let mut world = world.clone();
    let mut again = true;
    while again {
        again = false;
        for part in PARTS {
            let mut place = 0;
            while let Some(smaller) = without(&world, part, place) {
                if fails(&smaller) {
                    (world, again) = (smaller, true);
                } else {
                    place += 1;
                }
            }
        }
    }
    world
}

/// The world without the element or field at a place of a part, counted from the outside inward.
fn without(world: &Value, part: &str, place: usize) -> Option<Value> {
    let mut smaller = world.clone();
    let part = smaller.pointer_mut(part)?;
    remove(part, &mut place.clone()).then_some(())?;
    written(&mut smaller);
    Some(smaller)
}

fn remove(value: &mut Value, place: &mut usize) -> bool {
    match value {
        Value::Array(items) if *place < items.len() => {
            items.remove(*place);
            true
        }
        Value::Object(fields) if *place < fields.len() => {
            let key = fields.keys().nth(*place).cloned().unwrap_or_default();
            fields.remove(&key).is_some()
        }
        Value::Array(items) => {
            *place -= items.len();
            items.iter_mut().any(|item| remove(item, place))
        }
        Value::Object(fields) => {
            *place -= fields.len();
            fields.values_mut().any(|field| remove(field, place))
        }
        _ => false,
    }
}

/// Writes the documents anew.
fn written(world: &mut Value) {
    let objects = world.get("objects").and_then(Value::as_array);
    let texts: Vec<Value> = objects
        .map(|objects| {
            objects
                .iter()
                .map(|object| object.to_string().into())
                .collect()
        })
        .unwrap_or_default();
    if let Some(policies) = world.get_mut("policies") {
        *policies = texts.into();
    }
}
