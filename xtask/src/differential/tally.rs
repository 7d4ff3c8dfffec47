use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::{
    case::{Compared, Outcome},
    explain::Finding,
};

/// What came of all worlds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    flows: usize,
    /// Differences by the entry that explains them.
    explained: BTreeMap<&'static str, usize>,
    unexplained: usize,
    /// Flows without one answer of the peer.
    varying: u64,
    shared: u64,
    documents: usize,
    refused: usize,
    unresolved: usize,
    /// Worlds that our engine does not understand yet, by what is missing.
    missing: BTreeMap<String, usize>,
    pub(super) described: usize,
}

impl Tally {
    pub(super) fn count(&mut self, compared: &Compared, findings: &[Finding]) {
        let case = &compared.case;
        let number = |pointer| case.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        self.documents += super::case::list(case, "policies").len();
        self.refused += super::case::list(case, "policy_errors").len();
        self.unresolved +=
            usize::from(case.get("resolve_error").is_some_and(|error| error == true));
        self.varying += number("/left_out/varying");
        self.shared += number("/left_out/shared");
        if let Outcome::NotApplicable(what) = &compared.told.outcome {
            *self.missing.entry(what.clone()).or_default() += 1;
            return;
        }
        self.flows += compared.flows().len();
        for finding in findings {
            match finding.entry {
                Some(entry) => *self.explained.entry(entry).or_default() += 1,
                None => self.unexplained += 1,
            }
        }
    }

    pub(super) fn flows(&self) -> usize {
        self.flows
    }

    pub(super) fn unexplained(&self) -> usize {
        self.unexplained
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} documents, {} of them refused by the peer; {} policies that it cannot compute",
            self.documents, self.refused, self.unresolved
        )?;
        writeln!(
            f,
            "left out: {} flows that it answers now so, now so; {} behind a shared proxy port (X5)",
            self.varying, self.shared
        )?;
        for (what, worlds) in &self.missing {
            writeln!(
                f,
                "not asked: {worlds} worlds, `{what}` is not understood yet"
            )?;
        }
        for (entry, count) in &self.explained {
            writeln!(f, "{entry} {count}")?;
        }
        let explained: usize = self.explained.values().sum();
        writeln!(
            f,
            "{} flows, {explained} explained, {} unexplained",
            self.flows, self.unexplained
        )
    }
}
