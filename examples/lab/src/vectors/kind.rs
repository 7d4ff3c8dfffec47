//! The kinds of vector files.

use std::path::Path;

use super::tally::Outcome;
use super::{Fault, Runner, flow, l7, parse, policy, primitives, table};
use crate::failure::Failure;

/// What the cases of a file are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Documents, identities and flows with their verdicts.
    Policy,
    /// Documents that are accepted or refused.
    PolicyParse,
    /// Selectors, blocks minus exceptions, port ranges.
    PolicyPrimitives,
    /// Names against rules and selectors of names.
    PolicyDns,
    /// Who reaches whom in a cluster, step by step.
    Table,
    /// L7 rules: what is accepted, what it asks, what passes.
    L7(l7::Kind),
    /// Filters on sample flows.
    FlowFilters,
    /// Arguments that become filters.
    FlowArguments,
    /// Flows as the reference client prints them.
    FlowPrint,
    /// Flows in their JSON form.
    FlowSample,
    /// A known kind whose subject is not built yet.
    NotYet(&'static str),
}

/// Kinds whose every case is not applicable yet.
const LATER: [&str; 10] = [
    "flow-export",
    "flow-getflows",
    "flow-metrics",
    "flow-wire",
    "l7-dns-message",
    "l7-fqdn-cache",
    "l7-http1-raw",
    "l7-jwt-verify",
    "l7-kafka-wire",
    "l7-tls-clienthello",
];

impl Kind {
    /// The kind that the file's name tells.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let directory = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        let unknown = || Failure::UnknownKind {
            path: path.to_path_buf(),
        };
        let stem = name
            .split_once(".jsonl")
            .map(|(stem, _)| stem)
            .ok_or_else(unknown)?;
        Ok(match stem {
            "policy-generated" | "policy-unit" | "policy-examples" | "policy-differential" => {
                Self::Policy
            }
            "policy-parse" => Self::PolicyParse,
            "policy-primitives" => Self::PolicyPrimitives,
            "policy-dns" => Self::PolicyDns,
            "knp-cyclonus" | "knp-generated" | "knp-recipes" | "anp-conformance"
            | "anp-generated" => Self::Table,
            "flow-filters" => Self::FlowFilters,
            "flow-cli-args" => Self::FlowArguments,
            "flow-sample" => Self::FlowSample,
            "in" if directory == Some("flow-print") => Self::FlowPrint,
            _ => match l7::Kind::of(stem) {
                Some(kind) => Self::L7(kind),
                None => Self::NotYet(
                    LATER
                        .into_iter()
                        .find(|known| *known == stem)
                        .ok_or_else(unknown)?,
                ),
            },
        })
    }

    /// What runs the lines of a file of this kind.
    pub(crate) fn runner(self, path: &Path) -> Result<Runner, Failure> {
        Ok(match self {
            Self::Policy => Box::new(|_, line, engines| policy::run(line, engines)),
            Self::PolicyParse => Box::new(|_, line, _| parse::run(line)),
            Self::PolicyPrimitives => Box::new(|_, line, _| primitives::run(line)),
            Self::Table => Box::new(|_, line, engines| table::run(line, engines)),
            Self::PolicyDns => Box::new(|_, line, _| l7::policy_names(line)),
            Self::L7(kind) => Box::new(move |_, line, _| kind.run(line)),
            Self::FlowFilters => flow::filters(path)?,
            Self::FlowArguments => Box::new(|_, line, _| flow::arguments(line)),
            Self::FlowPrint => flow::print(path)?,
            Self::FlowSample => Box::new(|_, line, _| Ok(flow::round_trip(line))),
            Self::NotYet(kind) => Box::new(move |_, _, _| -> Result<Outcome, Fault> {
                Ok(Outcome::NotApplicable(kind.to_owned()))
            }),
        })
    }
}
