//! The lints in order, and what each gets to see.

use super::clause::Clauses;
use super::code::Code;
use super::edit::Trees;
use super::finding::{Finding, Related, Suggestion};
use super::people::People;
use super::replaced::Replaced;
use super::shadow::Shadows;
use super::{
    pl001, pl002, pl003, pl004, pl005, pl006, pl010, pl011, pl012, pl013, pl014, pl015, pl016,
    pl017, pl018, pl019, pl020, pl021, pl022, pl023, pl024, pl025, pl026, pl027, pl028, pl029,
    pl030, pl031, pl032, pl033,
};
use crate::options::Options;
use crate::peers::{Peer, Peers};
use crate::rule::{Document, Location, Rule, Spec};
use crate::world::World;

/// One after the other over the whole set.
const LINTS: [fn(&Run<'_>, &mut Vec<Found>); 30] = [
    pl001::run,
    pl002::run,
    pl003::run,
    pl004::run,
    pl005::run,
    pl006::run,
    pl010::run,
    pl011::run,
    pl012::run,
    pl013::run,
    pl014::run,
    pl015::run,
    pl016::run,
    pl017::run,
    pl018::run,
    pl019::run,
    pl020::run,
    pl021::run,
    pl022::run,
    pl023::run,
    pl024::run,
    pl025::run,
    pl026::run,
    pl027::run,
    pl028::run,
    pl029::run,
    pl030::run,
    pl031::run,
    pl032::run,
    pl033::run,
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
    let replaced = Replaced::of(documents);
    let clauses = Clauses::of(documents, &replaced, options);
    let run = Run {
        documents,
        people: world.map(|world| People::of(world, &options.cluster_name)),
        options,
        shadows: Shadows::of(&clauses),
        clauses,
        replaced,
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
    /// Who exists, if a world was given.
    pub(super) people: Option<People<'a>>,
    pub(super) options: &'a Options,
    /// Every rule of every document, in order.
    pub(super) clauses: Clauses<'a>,
    /// Which of them have no say for others.
    pub(super) shadows: Shadows,
    pub(super) trees: Trees<'a>,
    pub(super) replaced: Replaced,
}

impl<'a> Run<'a> {
    /// Every spec in force with its document, in order.
    pub(super) fn specs(&self) -> impl Iterator<Item = (&'a Document, &'a Spec)> {
        let specs =
            |document: &'a Document| document.specs.iter().map(move |spec| (document, spec));
        let documents: &'a [Document] = self.documents;
        let in_force = |(place, _): &(usize, &Document)| self.replaced.by(*place).is_none();
        let in_force = documents.iter().enumerate().filter(in_force);
        in_force.flat_map(move |(_, document)| specs(document))
    }

    /// Every peer that is written down, in order.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerAt<'a>> {
        let documents: &'a [Document] = self.documents;
        documents.iter().enumerate().flat_map(|(document, of)| {
            let rules = of
                .specs
                .iter()
                .flat_map(|spec| spec.rules.iter().map(move |rule| (spec, rule)));
            rules.flat_map(move |(spec, rule)| {
                let listed = match &rule.peers {
                    Peers::Listed(listed) => listed.as_slice(),
                    Peers::Unspecified | Peers::Unnamed => &[],
                };
                listed.iter().enumerate().map(move |(place, peer)| PeerAt {
                    document,
                    of,
                    spec,
                    rule,
                    place,
                    peer,
                })
            })
        })
    }
}

/// A peer and where it stands.
pub(super) struct PeerAt<'a> {
    pub(super) document: usize,
    pub(super) of: &'a Document,
    pub(super) spec: &'a Spec,
    pub(super) rule: &'a Rule,
    /// The place among the peers of its rule.
    pub(super) place: usize,
    pub(super) peer: &'a Peer,
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
