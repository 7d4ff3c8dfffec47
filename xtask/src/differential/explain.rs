//! Which known defect of the peer a difference comes from.
//!
//! An entry of the list explains a difference only if the two agree about the same question once
//! the world has lost what the defect needs, or, where it lies in the order of a map, once the
//! peer was asked so often that its own answers vary.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    asking::Asking,
    case::{Compared, Difference, list},
};
use crate::failure::Failure;

/// A difference, and the entry that explains it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) entry: Option<&'static str>,
    pub(super) text: String,
}

/// An entry of the list of defects that are not imitated.
struct Entry {
    name: &'static str,
    /// Whether it can show in such a difference.
    fits: fn(&Difference) -> bool,
    /// The world without what it needs; none if the world has nothing of the kind.
    mend: fn(&Compared) -> Option<Value>,
    /// Whether later entries look at the mended world: several documents may be refused by us
    /// only, each for its own reason.
    lasting: bool,
}

const ENTRIES: &[Entry] = &[
    Entry {
        name: "X12",
        fits: |_| true,
        mend: |compared| {
            without(compared, |difference, _| {
                difference.text.contains("Requires")
            })
        },
        lasting: true,
    },
    Entry {
        name: "X13",
        fits: |_| true,
        mend: |compared| {
            without(compared, |difference, object| {
                difference.text.contains("unknown field") || asks_for_lost_content(object)
            })
        },
        lasting: true,
    },
    Entry {
        name: "X14",
        fits: |_| true,
        mend: |compared| without(compared, |_, object| kind(object) == "NetworkPolicy"),
        lasting: true,
    },
    Entry {
        name: "X16",
        fits: |_| true,
        mend: |compared| {
            without(compared, |_, object| {
                any_map(object, &|map| {
                    map.contains_key("cidrGroupRef") && map.contains_key("except")
                })
            })
        },
        lasting: true,
    },
    Entry {
        name: "X18",
        fits: |difference| difference.parts == ["auth"],
        mend: without_tiers,
        lasting: false,
    },
    Entry {
        name: "X19",
        fits: |difference| difference.flow.is_some(),
        mend: without_clusters,
        lasting: false,
    },
    Entry {
        name: "X20",
        fits: |difference| difference.flow.is_some(),
        mend: without_zero_exceptions,
        lasting: false,
    },
    Entry {
        name: "X22",
        fits: |difference| difference.flow.is_none(),
        mend: without_denials,
        lasting: false,
    },
    Entry {
        name: "X23",
        fits: |difference| difference.flow.is_some(),
        mend: without_baseline,
        lasting: false,
    },
];

/// Everything in which a case differs, once each, with what explains it.
pub(super) fn findings(asking: &Asking, compared: &Compared) -> Result<Vec<Finding>, Failure> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<(&Difference, Option<&'static str>)> = compared
        .differences()
        .iter()
        .filter(|difference| difference.flow.is_none_or(|flow| seen.insert(flow)))
        .map(|difference| (difference, None))
        .collect();
    let mut mended = None;
    for entry in ENTRIES {
        let fits = |(difference, found): &(&Difference, Option<_>)| {
            found.is_none() && (entry.fits)(difference)
        };
        if !open.iter().any(fits) {
            continue;
        }
        let Some(world) = (entry.mend)(mended.as_ref().unwrap_or(compared)) else {
            continue;
        };
        let Some(now) = asking.anew(world)? else {
            continue;
        };
        for each in open.iter_mut().filter(|each| fits(each)) {
            if agree(compared, &now, each.0) {
                each.1 = Some(entry.name);
            }
        }
        if entry.lasting {
            mended = Some(now);
        }
    }
    if open.iter().any(varies)
        && let Some(often) = asking.often(compared.case.clone())?
    {
        let answered = |question| {
            let flows = list(&often, "flows");
            flows
                .iter()
                .any(|flow| super::case::question(flow) == question)
        };
        for each in open.iter_mut().filter(|each| varies(each)) {
            let question = each.0.flow.and_then(|flow| compared.question(flow));
            if question.is_some_and(|question| !answered(question)) {
                each.1 = Some("X18");
            }
        }
    }
    let finding = |(difference, entry): (&Difference, _)| Finding {
        entry,
        text: difference.text.clone(),
    };
    Ok(open.into_iter().map(finding).collect())
}

/// Whether a difference may come from the order of a map: derived authentication modes.
fn varies((difference, found): &(&Difference, Option<&'static str>)) -> bool {
    found.is_none() && difference.parts == ["auth"]
}

/// Whether the mended world is answered alike where the other was not: or by neither, if it is
/// the one that cannot be computed.
fn agree(compared: &Compared, mended: &Compared, difference: &Difference) -> bool {
    let unresolved = mended.case.get("resolve_error");
    if unresolved.is_some_and(|error| *error == true) {
        return mended.differences().is_empty();
    }
    match difference.flow {
        Some(flow) => compared
            .question(flow)
            .is_some_and(|asked| mended.asks(&asked) && !mended.differs(&asked)),
        None => mended.differences().iter().all(|left| left.flow.is_some()),
    }
}

/// The world without the documents that only we refuse and that are of a kind.
fn without(compared: &Compared, of_the_kind: fn(&Difference, &Value) -> bool) -> Option<Value> {
    let objects = list(&compared.case, "objects");
    let refused: BTreeSet<usize> = compared
        .differences()
        .iter()
        .filter(|difference| difference.text.starts_with("the reference accepts"))
        .filter_map(|difference| {
            let at = difference.document?;
            of_the_kind(difference, objects.get(at)?).then_some(at)
        })
        .collect();
    keep(compared, |at, _| !refused.contains(&at))
}

/// Whether a policy asks for content that the peer no longer knows, and so allows all of.
fn asks_for_lost_content(object: &Value) -> bool {
    any_map(object, &|map| {
        ["kafka", "l7", "l7proto"]
            .iter()
            .any(|kind| map.contains_key(*kind))
    })
}

fn without_tiers(compared: &Compared) -> Option<Value> {
    keep(compared, |_, object| kind(object) != "ClusterNetworkPolicy")
}

fn without_baseline(compared: &Compared) -> Option<Value> {
    keep(compared, |_, object| {
        object
            .pointer("/spec/tier")
            .is_none_or(|tier| tier != "Baseline")
    })
}

/// The world in which no peer is looked for in the own cluster only, if some are in another one
/// and a policy names namespaces.
fn without_clusters(compared: &Compared) -> Option<Value> {
    let objects = list(&compared.case, "objects");
    let names_namespaces = objects.iter().any(|object| {
        kind(object) == "ClusterNetworkPolicy"
            && any_map(object, &|map| map.contains_key("namespaces"))
    });
    let mut world = compared.case.clone();
    let scoped = world.pointer_mut("/config/default_local_cluster")?;
    if !names_namespaces || *scoped != true {
        return None;
    }
    *scoped = false.into();
    Some(world)
}

/// The world in which nothing excepts a whole family, if blocks pick pods.
fn without_zero_exceptions(compared: &Compared) -> Option<Value> {
    if *compared.case.pointer("/config/cidr_match/pods")? != true {
        return None;
    }
    change(compared, |object| {
        let mut object = object.clone();
        remove_zero_exceptions(&mut object);
        Some(object)
    })
}

/// The world in which nothing is denied.
fn without_denials(compared: &Compared) -> Option<Value> {
    change(compared, |object| {
        let mut object = object.clone();
        remove_fields(&mut object, &["ingressDeny", "egressDeny"]);
        Some(object)
    })
}

/// The world with those documents only; none if that is all of them.
fn keep(compared: &Compared, wanted: impl Fn(usize, &Value) -> bool) -> Option<Value> {
    let mut at = 0..;
    change(compared, |object| {
        wanted(at.next()?, object).then(|| object.clone())
    })
}

/// The world with other documents; none if they are the same.
fn change(compared: &Compared, change: impl FnMut(&Value) -> Option<Value>) -> Option<Value> {
    let old = list(&compared.case, "objects");
    let new: Vec<Value> = old.iter().filter_map(change).collect();
    if new == old {
        return None;
    }
    let mut world = compared.case.clone();
    let fields = world.as_object_mut()?;
    let texts: Vec<String> = new.iter().map(Value::to_string).collect();
    fields.insert("policies".to_owned(), texts.into());
    fields.insert("objects".to_owned(), new.into());
    Some(world)
}

fn kind(object: &Value) -> &str {
    object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether some map inside a value is such a one.
fn any_map(value: &Value, such: &impl Fn(&serde_json::Map<String, Value>) -> bool) -> bool {
    match value {
        Value::Object(map) => such(map) || map.values().any(|value| any_map(value, such)),
        Value::Array(items) => items.iter().any(|value| any_map(value, such)),
        _ => false,
    }
}

fn remove_zero_exceptions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(blocks)) = map.get_mut("except") {
                let zero = |block: &Value| block.as_str().is_some_and(|text| text.ends_with("/0"));
                blocks.retain(|block| !zero(block));
            }
            map.values_mut().for_each(remove_zero_exceptions);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_zero_exceptions),
        _ => {}
    }
}

fn remove_fields(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !names.contains(&name.as_str()));
            map.values_mut()
                .for_each(|value| remove_fields(value, names));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| remove_fields(value, names)),
        _ => {}
    }
}
