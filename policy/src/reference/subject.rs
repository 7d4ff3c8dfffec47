//! Whose policy it is: which specs select the subject, and what they switch on.

use porin_identity::{IdentityId, Labels, Selector, Snapshot, source};

use super::scope::is_subject;
use crate::rule::{Action, PolicyName};
use crate::{
    AllowLocalhost, Direction, Enforcement, NamedPorts, Options, PolicySet, PortNames, Protocol,
    Query, Semantics,
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
