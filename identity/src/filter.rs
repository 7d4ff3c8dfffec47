//! Which labels make an identity.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::ParseFilterError;
use crate::label::{Label, key, source};
use crate::labels::Labels;
use crate::selector::Selector;

/// Chooses the labels that make an identity.
///
/// Labels that differ on every start of a workload (a hash of its template, its number in a set)
/// would give every workload an identity of its own and fill the kernel's tables. A filter is a
/// list of patterns, each the beginning of a label: `prefix`, `source:prefix`, or `!prefix` to
/// leave labels out. The longest pattern that fits decides, leaving out before taking in; a label
/// that none fits stays, unless the filter has a pattern that takes labels in.
///
/// Labels that the orchestrator or the project itself set (namespace, service account, cluster,
/// labels of the namespace, and every source other than `k8s`, `container` and `unspec`) always
/// stay: without them, workloads would merge that policies must tell apart.
///
/// ```
/// use porin_identity::{LabelFilter, Labels};
/// let filter: LabelFilter = "!pod-template-hash".parse()?;
/// let labels: Labels = "k8s:app=api,k8s:pod-template-hash=6d4f".parse()?;
/// assert_eq!(filter.apply(&labels).to_string(), "k8s:app=api");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFilter {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    exclude: bool,
    source: Option<String>,
    prefix: String,
}

impl LabelFilter {
    /// The filter that leaves nothing out.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            patterns: Vec::new(),
        }
    }

    /// Does this label take part in the identity?
    #[must_use]
    pub fn keeps(&self, label: &Label) -> bool {
        let filtered = matches!(
            label.source(),
            source::K8S | source::CONTAINER | source::UNSPEC
        );
        if !filtered || key::is_trusted(label.key()) {
            return true;
        }
        let fitting = self.patterns.iter().filter(|pattern| pattern.fits(label));
        match fitting.max_by_key(|pattern| (pattern.prefix.len(), pattern.exclude)) {
            Some(pattern) => !pattern.exclude,
            None => self.patterns.iter().all(|pattern| pattern.exclude),
        }
    }

    /// The labels that make the identity.
    #[must_use]
    pub fn apply(&self, labels: &Labels) -> Labels {
        if labels.iter().all(|label| self.keeps(label)) {
            return labels.clone();
        }
        labels
            .iter()
            .filter(|label| self.keeps(label))
            .cloned()
            .collect()
    }

    /// What the filter would do to these workloads and selectors, before it does it.
    #[must_use]
    pub fn preview(&self, workloads: &[Labels], selectors: &[Selector]) -> FilterPreview {
        let filtered: Vec<Labels> = workloads.iter().map(|labels| self.apply(labels)).collect();
        let distinct = |sets: &[Labels]| sets.iter().collect::<BTreeSet<_>>().len();
        let changes = selectors
            .iter()
            .enumerate()
            .filter_map(|(place, selector)| {
                let before_and_after = workloads.iter().zip(&filtered);
                let hits = before_and_after
                    .map(|(full, kept)| (selector.matches(full), selector.matches(kept)));
                let (mut stops, mut starts) = (0, 0);
                hits.for_each(|(before, after)| {
                    stops += usize::from(before && !after);
                    starts += usize::from(!before && after);
                });
                (stops + starts > 0).then_some(SelectorChange {
                    selector: place,
                    stops,
                    starts,
                })
            });
        FilterPreview {
            identities_before: distinct(workloads),
            identities_after: distinct(&filtered),
            changes: changes.collect(),
        }
    }
}

/// What a [`LabelFilter`] would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPreview {
    /// Distinct label sets without the filter.
    pub identities_before: usize,
    /// Distinct label sets with it.
    pub identities_after: usize,
    /// The selectors that would choose other workloads; those not listed stay as they are.
    pub changes: Vec<SelectorChange>,
}

/// A selector that would choose other workloads under a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectorChange {
    /// Its place in the list that was given.
    pub selector: usize,
    /// How many workloads it would no longer choose.
    pub stops: usize,
    /// How many workloads it would newly choose: terms that ask for absence.
    pub starts: usize,
}

impl Default for LabelFilter {
    /// Leaves out what Kubernetes' own controllers put on every workload anew.
    fn default() -> Self {
        let excluded = [
            "pod-template-hash",
            "controller-revision-hash",
            "pod-template-generation",
            "controller-uid",
            "job-name",
            "batch.kubernetes.io/",
            "statefulset.kubernetes.io/pod-name",
            "apps.kubernetes.io/pod-index",
        ];
        let pattern = |prefix: &str| Pattern {
            exclude: true,
            source: None,
            prefix: prefix.to_owned(),
        };
        Self {
            patterns: excluded.into_iter().map(pattern).collect(),
        }
    }
}

impl Pattern {
    fn fits(&self, label: &Label) -> bool {
        let source = self.source.as_deref();
        source.is_none_or(|source| source == label.source())
            && label.key().starts_with(&self.prefix)
    }
}

impl FromStr for LabelFilter {
    type Err = ParseFilterError;

    /// Patterns with commas or white space between them; the empty text leaves nothing out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|part| !part.is_empty());
        Ok(Self {
            patterns: parts.map(pattern).collect::<Result<_, _>>()?,
        })
    }
}

fn pattern(text: &str) -> Result<Pattern, ParseFilterError> {
    let refuse = || ParseFilterError::Pattern {
        pattern: text.to_owned(),
    };
    let (exclude, rest) = text
        .strip_prefix('!')
        .map_or((false, text), |rest| (true, rest));
    let (source, prefix) = match rest.split_once(':') {
        Some((source, prefix)) => (Some(source), prefix),
        None => (None, rest),
    };
    let label = Label::new(source.unwrap_or(source::UNSPEC), prefix, "").map_err(|_| refuse())?;
    if label.key().contains(':') {
        return Err(refuse());
    }
    Ok(Pattern {
        exclude,
        source: source.map(str::to_owned),
        prefix: prefix.to_owned(),
    })
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, pattern) in self.patterns.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let exclude = if pattern.exclude { "!" } else { "" };
            write!(f, "{comma}{exclude}")?;
            if let Some(source) = &pattern.source {
                write!(f, "{source}:")?;
            }
            f.write_str(&pattern.prefix)?;
        }
        Ok(())
    }
}
