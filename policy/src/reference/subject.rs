//! Whose policy it is: which specs select the subject, and what they switch on.

use porin_identity::{IdentityId, Labels, Selector, Snapshot, source};

use super::scope::is_subject;
use crate::rule::{Action, Document, Guards, PolicyKind, PolicyName, Rule, Spec};
use crate::{
    AllowLocalhost, Direction, Enforcement, NamedPorts, NetworkPolicyReading, Options, PolicySet,
    PortNames, Protocol, Query, Semantics,
};

/// Whose policy it is, and all that it depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) set: &'a PolicySet,
    pub(super) identities: &'a Snapshot,
    pub(super) id: IdentityId,
    pub(super) labels: &'a Labels,
    pub(super) named: Option<&'a NamedPorts>,
    pub(super) own: Option<&'a PortNames>,
}

/// A spec that selects the subject and has something to say about a direction.
#[derive(Debug, Clone)]
pub(super) struct Speaking<'a> {
    pub(super) document: &'a Document,
    /// Which spec of the document.
    pub(super) place: usize,
    pub(super) spec: &'a Spec,
    /// Its rules that are in force, in the order in which they are read.
    pub(super) rules: Vec<&'a Rule>,
    /// Whether it switches default deny on.
    isolates: bool,
}

impl<'a> Subject<'a> {
    pub(super) fn options(&self) -> &'a Options {
        self.set.options()
    }

    pub(super) fn strict(&self) -> bool {
        self.options().semantics == Semantics::Strict
    }

    /// Whether labels name a reserved identity. Upstream looks for the key alone, whoever set it.
    pub(super) fn names_reserved(&self, labels: &Labels, name: &str) -> bool {
        labels.iter().any(|label| {
            label.key() == name && (!self.strict() || label.source() == source::RESERVED)
        })
    }

    /// Whether policy is enforced in a direction.
    pub(super) fn enforced(&self, direction: Direction) -> bool {
        let host = self.names_reserved(self.labels, "host") && !self.options().host_firewall;
        let exempt = host || self.options().enforcement == Enforcement::Never;
        !exempt && (self.always() || self.closed() || !self.speaking(direction).is_empty())
    }

    /// Whether default deny is on whatever the policies say.
    fn always(&self) -> bool {
        let mode = self.options().enforcement == Enforcement::Always;
        mode || self.names_reserved(self.labels, "init")
    }

    pub(super) fn default_deny(&self, direction: Direction) -> bool {
        self.always() || self.isolated(direction)
    }

    /// Whether a policy switches default deny on. The policies that can are those of the tier
    /// Normal, and with the denial that tier ends: the tier after it has no say.
    pub(super) fn isolated(&self, direction: Direction) -> bool {
        let speaking = self.speaking(direction);
        self.closed() || speaking.iter().any(|spec| spec.isolates)
    }

    /// Whether a rule of the direction passes flows on.
    pub(super) fn passes(&self, direction: Direction) -> bool {
        let speaking = self.speaking(direction);
        let mut rules = speaking.iter().flat_map(|spec| &spec.rules);
        rules.any(|rule| rule.action == Action::Pass)
    }

    /// Whether the local host reaches the subject unless a policy objects.
    pub(super) fn admits_local_host(&self, direction: Direction) -> bool {
        direction == Direction::Ingress
            && self.options().allow_localhost == AllowLocalhost::Always
            && self.id != IdentityId::HOST
    }

    /// Whether a refused document that meant to guard the subject was turned into a denial.
    pub(super) fn closed(&self) -> bool {
        let meant = |name: &PolicyName, subjects: &[Selector]| {
            let everybody = [Selector::everything()];
            let subjects = if subjects.is_empty() {
                &everybody
            } else {
                subjects
            };
            let mut subjects = subjects.iter();
            subjects.any(|subject| is_subject(name, subject, self.labels))
        };
        let mut closed = self.set.closed();
        self.id != IdentityId::HOST && closed.any(|(name, subjects)| meant(name, subjects))
    }

    /// The specs that select the subject and speak of a direction, in the order of the texts
    /// `kind/namespace/name`.
    pub(super) fn speaking(&self, direction: Direction) -> Vec<Speaking<'a>> {
        let mut documents: Vec<&Document> = self.set.documents().collect();
        documents.sort_by_cached_key(|document| {
            let PolicyName {
                kind,
                namespace,
                name,
            } = &document.name;
            let namespace = namespace.as_deref().unwrap_or_default();
            format!("{}/{namespace}/{name}", kind.short_name())
        });
        let mut speaking = Vec::new();
        for document in documents {
            for (place, spec) in document.specs.iter().enumerate() {
                if self.selected_by(document, spec) {
                    speaking.extend(self.speaks(document, place, spec, direction));
                }
            }
        }
        speaking
    }

    fn selected_by(&self, document: &Document, spec: &Spec) -> bool {
        let name = &document.name;
        let staged = &self.options().staged_namespaces;
        let tried = name
            .namespace
            .as_deref()
            .is_some_and(|own| staged.contains(own));
        let guarded = match spec.guards {
            Guards::Nodes => self.id == IdentityId::HOST,
            Guards::Endpoints => self.id != IdentityId::HOST,
        };
        let pod = !name.kind.is_kubernetes() || self.labels.namespace().is_some();
        !tried && guarded && pod && is_subject(name, &spec.subject, self.labels)
    }

    fn speaks(
        &self,
        document: &'a Document,
        place: usize,
        spec: &'a Spec,
        direction: Direction,
    ) -> Option<Speaking<'a>> {
        let kind = document.name.kind;
        if document.staging == crate::Staging::Whole {
            return None;
        }
        let of = |rule: &&Rule| rule.direction == direction && !document.staging.holds(kind, rule);
        let mut rules: Vec<&Rule> = spec.rules.iter().filter(of).collect();
        if !kind.is_kubernetes() {
            // The list of denials stands after that of allowances.
            rules.sort_by_key(|rule| rule.action == Action::Deny);
        }
        let lists = || {
            spec.empty_lists
                .iter()
                .any(|list| list.direction == direction)
        };
        let heeded = self.options().non_default_deny;
        let (speaks, isolates) = match kind {
            PolicyKind::NetworkPolicy => (self.has_type(spec, direction, &rules), true),
            _ if kind.is_kubernetes() => (!rules.is_empty(), false),
            _ => (
                !rules.is_empty() || (self.strict() && lists()),
                !heeded || spec.default_deny.get(direction) != Some(false),
            ),
        };
        speaks.then_some(Speaking {
            document,
            place,
            spec,
            rules,
            isolates,
        })
    }

    /// Whether a NetworkPolicy speaks of a direction.
    fn has_type(&self, spec: &Spec, direction: Direction, rules: &[&Rule]) -> bool {
        let named = |direction| spec.policy_types.is_some_and(|types| types.get(direction));
        let listed = match (direction, spec.policy_types) {
            (Direction::Ingress, None) => true,
            (Direction::Egress, None) => !rules.is_empty(),
            (direction, Some(types)) => types.get(direction),
        };
        match self.options().network_policies {
            NetworkPolicyReading::Kubernetes => listed,
            NetworkPolicyReading::Cilium if !rules.is_empty() => true,
            NetworkPolicyReading::Cilium => match direction {
                Direction::Ingress => named(Direction::Ingress) || !named(Direction::Egress),
                Direction::Egress => named(Direction::Egress),
            },
        }
    }

    /// The number of a named port that a flow would have to use: on ingress a port of the subject,
    /// on egress one of the peer.
    pub(super) fn port_named(&self, name: &str, protocol: Protocol, query: &Query) -> Option<u16> {
        let of = |id| self.named.and_then(|named| named.get(id));
        let names = match query.direction {
            Direction::Ingress => self.own.or_else(|| of(&self.id)),
            Direction::Egress => of(&query.peer),
        };
        names?.get(name, protocol)
    }
}
