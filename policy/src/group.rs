//! Groups whose members a cloud provider knows.

use std::collections::BTreeMap;

use sha2::{Digest, Sha224};

use crate::print::{Fields, Json};

/// A group that a cloud provider resolves. The operator that does so puts a label on the blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupPeer {
    /// What the provider is asked for.
    pub aws: Option<AwsGroup>,
    /// The label's key, of source `cidrgroup`: `extgrp.cilium.io/HASH`.
    pub label: Box<str>,
}

/// `aws`: network interfaces that have all of these labels and one of these security groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AwsGroup {
    /// `labels`, by key.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// `securityGroupsIds`.
    pub ids: Vec<Box<str>>,
    /// `securityGroupsNames`.
    pub names: Vec<Box<str>>,
    /// `region`, which upstream does not use.
    pub region: Option<Box<str>>,
}

impl GroupPeer {
    /// The group, with the label that the operator of Cilium 1.20 gives it: SHA-224 over the group
    /// as JSON without blanks and empty fields, in unpadded base64 of the alphabet for URLs.
    pub fn new(aws: Option<AwsGroup>) -> Self {
        let mut group = Fields::default();
        group.some("aws", aws.as_ref().map(AwsGroup::fields));
        let hash = base64(&Sha224::digest(Json::from(group).to_string()));
        Self {
            aws,
            label: format!("extgrp.cilium.io/{hash}").into(),
        }
    }
}

impl AwsGroup {
    /// The fields that are not empty, in the order of their declaration.
    pub(crate) fn fields(&self) -> Fields {
        let mut labels = Fields::default();
        for (key, value) in &self.labels {
            labels.put(key, value);
        }
        let mut fields = Fields::default();
        fields.some("labels", (!labels.is_empty()).then_some(labels));
        fields.filled("securityGroupsIds", &self.ids);
        fields.filled("securityGroupsNames", &self.names);
        fields.some("region", self.region.as_ref());
        fields
    }
}

/// Base64 of RFC 4648 §5, without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        let letter = |at: usize| ALPHABET.get((bits >> (18 - 6 * at)) as usize & 63);
        text.extend(
            (0..=chunk.len())
                .filter_map(letter)
                .map(|byte| char::from(*byte)),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Cilium 1.20.1.
    #[test]
    fn labels_are_those_of_the_operator() {
        let boxed = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
        let all = AwsGroup {
            labels: [
                ("b".into(), "<2>".into()),
                ("a".into(), "1&\u{2028}\u{8}\n".into()),
            ]
            .into(),
            ids: boxed(&["sg-1", "sg-2"]),
            names: boxed(&["web \"x\" \\"]),
            region: Some("eu-west-1".into()),
        };
        for (aws, label) in [
            (None, "XN0VqHNggIe-B6QbfxoE6W06Zv56mw-qxx-NBQ"),
            (
                Some(AwsGroup::default()),
                "051KSaNUjsZOkvFzai_hwbHpbGinVoL2BanFoA",
            ),
            (
                Some(AwsGroup {
                    ids: boxed(&["sg-1"]),
                    ..AwsGroup::default()
                }),
                "zbNb9W6aenSjAJK8RoTgcPT5ygDqKmqJKoQb4w",
            ),
            (Some(all), "3dVuUMiLuyMaCF6OmN0X6n-L1BNK8ErDUULr_A"),
        ] {
            assert_eq!(
                *GroupPeer::new(aws).label,
                *format!("extgrp.cilium.io/{label}")
            );
        }
    }
}
