//! The lints in order, and what each gets to see.

use super::allow::Allows;
use super::edit::Trees;
use super::finding::{Code, Finding, Related, Suggestion};
use super::{pl001, pl002, pl003, pl004, pl005, pl006};
use crate::options::Options;
use crate::rule::{Document, Location};
use crate::world::World;

/// One after the other over the whole set.
const LINTS: [fn(&Run<'_>, &mut Vec<Found>); 6] = [
    pl001::run,
    pl002::run,
    pl003::run,
    pl004::run,
    pl005::run,
    pl006::run,
];

/// Looks for what a set of policies will do that its authors most likely did not mean.
///
/// Findings come in the order of the documents, then by line. Without a `world` the lints that
/// need to know who exists (PL002) say nothing. Documents that one semantics refuses are looked
/// at like all others.
///
/// ```
/// use porin_policy::{Options, lint, parse_documents};
/// let parsed = parse_documents("db.yaml", "
/// apiVersion: cilium.io/v2
/// kind: CiliumNetworkPolicy
/// metadata: {name: db}
/// spec:
///   endpointSelector: {}
///   egress: []
/// ");
/// let findings = lint(&parsed.documents, None, &Options::new());
/// assert_eq!(findings[0].code.name(), "PL001");
/// assert_eq!(findings[0].location.to_string(), "db.yaml:7:11");
/// ```
pub fn lint(documents: &[Document], world: Option<&World>, options: &Options) -> Vec<Finding> {
    let run = Run {
        documents,
        world,
        options,
        allows: Allows::of(documents, options),
        trees: Trees::default(),
    };
    let mut found = Vec::new();
    for lint in LINTS {
        lint(&run, &mut found);
    }
    found.sort_by_key(Found::order);
    found.into_iter().map(|found| found.finding).collect()
}

/// What a lint works on.
pub(super) struct Run<'a> {
    pub(super) documents: &'a [Document],
    pub(super) world: Option<&'a World>,
    pub(super) options: &'a Options,
    /// Every allowance of every document, in order.
    pub(super) allows: Allows<'a>,
    pub(super) trees: Trees<'a>,
}

/// A finding and the number of its document.
pub(super) struct Found {
    document: usize,
    finding: Finding,
}

impl Found {
    pub(super) fn new(
        run: &Run<'_>,
        code: Code,
        (document, location): (usize, Location),
        related: Option<Related>,
        reason: String,
        suggestion: Suggestion,
    ) -> Option<Self> {
        let policy = run.documents.get(document)?.name.clone();
        let finding = Finding {
            code,
            level: code.level(),
            location,
            policy,
            related,
            reason,
            suggestion,
        };
        Some(Self { document, finding })
    }

    fn order(&self) -> (usize, u32, Code) {
        (
            self.document,
            self.finding.location.line(),
            self.finding.code,
        )
    }
}
