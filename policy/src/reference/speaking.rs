//! Which specs select the subject and have something to say.

use porin_identity::IdentityId;

use super::scope::is_subject;
use super::subject::Subject;
use crate::rule::{Action, Document, Guards, PolicyKind, PolicyName, Rule, Spec};
use crate::{Direction, NetworkPolicyReading, Staging};

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
    pub(super) isolates: bool,
}

impl<'a> Subject<'a> {
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
        !tried && guarded && is_subject(name, &spec.subject, self.labels)
    }

    fn speaks(
        &self,
        document: &'a Document,
        place: usize,
        spec: &'a Spec,
        direction: Direction,
    ) -> Option<Speaking<'a>> {
        let kind = document.name.kind;
        if document.staging == Staging::Whole {
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
        // A direction of which every rule is only tried is only tried itself; an empty list is none
        // of these rules.
        let closes = !kind.is_kubernetes() && self.strict() && lists();
        let mut written = spec.rules.iter();
        if rules.is_empty() && !closes && written.any(|rule| rule.direction == direction) {
            return None;
        }
        let heeded = self.options().non_default_deny;
        let (speaks, isolates) = match kind {
            PolicyKind::NetworkPolicy => (self.has_type(spec, direction, &rules), true),
            _ if kind.is_kubernetes() => (!rules.is_empty(), false),
            _ => (
                !rules.is_empty() || closes,
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
}
