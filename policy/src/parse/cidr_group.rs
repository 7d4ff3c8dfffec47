//! `CiliumCIDRGroup`.

use std::collections::BTreeMap;

use porin_identity::{check_label_key, check_label_value};

use super::at::{At, Reader};
use super::block::block;
use super::error::ParseError;
use super::meta;
use super::staging;
use crate::service::CidrGroup;

/// Labels of Kubernetes objects with these prefixes are Cilium's own and say nothing of a group.
const OWN_LABELS: &str = "io.cilium.k8s";
/// Labels with this prefix say which group a block is in.
const MEMBERSHIP: &str = "io.cilium.policy.cidrgroupname";

/// A group of blocks. One that is no block refuses the group: what is left out might be denied
/// somewhere.
pub(super) fn cidr_group(reader: &mut Reader<'_>, root: &At<'_>) -> Result<CidrGroup, ParseError> {
    reader.fields(root, &["apiVersion", "kind", "metadata", "spec"])?;
    let name = meta::plain_name(reader, root, "group")?;
    staging::none(reader, root)?;
    let Some(spec) = root.get("spec") else {
        let reason = "`spec` is missing; add `externalCIDRs` with the blocks of the group";
        return Err(reader.invalid(root, reason));
    };
    reader.fields(&spec, &["externalCIDRs"])?;
    if spec.get("externalCIDRs").is_none() {
        let reason = "`externalCIDRs` is missing; list the blocks, or write `externalCIDRs: []`";
        return Err(reader.invalid(&spec, reason));
    }
    let blocks = reader.each(&spec, "externalCIDRs", |reader, at| {
        block(reader, at).map(|block| block.trunc())
    })?;
    Ok(CidrGroup {
        name,
        labels: labels(reader, root)?,
        blocks,
        location: reader.location(root),
    })
}

fn labels(reader: &Reader<'_>, root: &At<'_>) -> Result<BTreeMap<Box<str>, Box<str>>, ParseError> {
    let Some(metadata) = root.get("metadata") else {
        return Ok(BTreeMap::new());
    };
    let mut labels = reader.texts_of(&metadata, "labels")?;
    let Some(at) = metadata.get("labels") else {
        return Ok(labels);
    };
    for (key, value) in at.entries() {
        let checked = check_label_key(key)
            .and_then(|()| check_label_value(reader.text(&value).unwrap_or_default()));
        if let Err(reason) = checked {
            let reason = format!("`{key}` is no label of Kubernetes: {reason}; mend or remove it");
            return Err(reader.invalid(&value, reason));
        }
        if key.starts_with(MEMBERSHIP) {
            let reason = "this label says that a block is in another group; remove it, and list the block there";
            return Err(reader.invalid(&value, reason));
        }
    }
    labels.retain(|key, _| !key.starts_with(OWN_LABELS));
    Ok(labels)
}
