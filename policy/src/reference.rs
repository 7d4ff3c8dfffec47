//! The slow and obvious evaluator: straight from documents and labels, for tests and fuzzing.
//!
//! It walks every rule for every question, keeps nothing, and shares no deciding code with the
//! rest of the crate, so that agreement between the two means something.

use porin_identity::{
    Family, IdentityId, Labels, Operator, Requirement, Selector, Snapshot, key, source,
};

use crate::l7::{HttpRule, KafkaRule, L7Rules, Mismatch};
use crate::peers::{CidrPeer, Entity, Peer, Peers};
use crate::port_rule::{Port, PortProtocol, PortSpec};
use crate::rule::{Action, Document, PolicyName, Rule, Spec};
use crate::{
    AllowLocalhost, AuthMode, Direction, Enforcement, L7Policy, NamedPorts, Options, Parser,
    PolicySet, PortNames, Protocol, Query, Redirect, ResolveError, Semantics, Verdict,
};

/// The slow and obvious evaluator of one subject.
#[derive(Debug)]
pub struct Reference<'a> {
    set: &'a PolicySet,
    identities: &'a Snapshot,
    subject: IdentityId,
    labels: &'a Labels,
    named: Option<&'a NamedPorts>,
    own: Option<&'a PortNames>,
}

/// What the reference evaluator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What happens.
    pub verdict: Verdict,
    /// Where a redirected connection goes.
    pub redirect: Option<Redirect>,
    /// What the connection has to prove; [`AuthMode::Disabled`] if nothing is asked.
    pub auth: AuthMode,
    /// What the proxy is told about a redirected connection.
    pub l7: Option<L7Policy>,
}

/// One way in which a rule covers a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cover {
    does: Covering,
    /// Protocol, port and end of the range as written; zeros without ports.
    written: (u8, u16, u16),
    protocol: Protocol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Covering {
    Deny,
    Allow,
    Inspect(Parser, bool),
}

impl<'a> Reference<'a> {
    /// An evaluator for one subject.
    ///
    /// # Errors
    /// [`ResolveError::UnknownIdentity`] if the identity is not in the snapshot.
    pub fn new(
        set: &'a PolicySet,
        identities: &'a Snapshot,
        subject: IdentityId,
    ) -> Result<Self, ResolveError> {
        match identities.labels(subject) {
            Some(labels) => Ok(Self {
                set,
                identities,
                subject,
                labels,
                named: None,
                own: None,
            }),
            None => Err(ResolveError::UnknownIdentity { identity: subject }),
        }
    }

    /// The same with the named ports of all identities: egress rules mean those of the peer, ingress
    /// rules those of the subject.
    #[must_use]
    pub fn named_ports(self, named: &'a NamedPorts) -> Self {
        Self {
            named: Some(named),
            ..self
        }
    }

    /// The same with the ports of the subject itself, where not all workloads of its identity agree.
    #[must_use]
    pub fn own_ports(self, own: &'a PortNames) -> Self {
        Self {
            own: Some(own),
            ..self
        }
    }

    /// Why the policy cannot be computed at all; answers mean nothing then.
    #[must_use]
    pub fn conflict(&self) -> Option<ResolveError> {
        None
    }

    /// Answers a question.
    #[must_use]
    pub fn check(&self, query: &Query) -> Answer {
        let answer = |verdict| Answer {
            verdict,
            redirect: None,
            auth: AuthMode::Disabled,
            l7: None,
        };
        if !self.enforced(query.direction) {
            return answer(Verdict::Allow);
        }
        if self.closed() {
            return answer(Verdict::Deny);
        }
        let covers = self.covers(query);
        if covers.iter().any(|cover| cover.does == Covering::Deny) {
            return answer(Verdict::Deny);
        }
        for parser in [
            Parser::Http,
            Parser::Kafka,
            Parser::Other,
            Parser::Tls,
            Parser::Dns,
        ] {
            let asks =
                |cover: &&Cover| matches!(cover.does, Covering::Inspect(p, _) if p == parser);
            if let Some(asking) = covers.iter().find(asks) {
                let unrestricted = self.unrestricted(parser, asking, &covers, query);
                let redirect = Some(Redirect {
                    parser,
                    unrestricted,
                });
                return Answer {
                    redirect,
                    ..answer(Verdict::Redirect)
                };
            }
        }
        let allowed = !covers.is_empty() || self.built_in_allowance(query);
        answer(if allowed {
            Verdict::Allow
        } else {
            Verdict::Deny
        })
    }

    /// Whether policy is enforced on the subject in a direction.
    #[must_use]
    pub fn enforced(&self, direction: Direction) -> bool {
        let options = self.set.options();
        let exempt = options.enforcement == Enforcement::Never
            || (self.is("host") && !options.host_firewall);
        let selected = || self.selecting(direction).next().is_some();
        !exempt && (self.always() || self.closed() || selected())
    }

    fn options(&self) -> &Options {
        self.set.options()
    }

    fn strict(&self) -> bool {
        self.options().semantics == Semantics::Strict
    }

    fn is(&self, name: &str) -> bool {
        let mut labels = self.labels.iter();
        labels.any(|label| {
            label.key() == name && (!self.strict() || label.source() == source::RESERVED)
        })
    }

    fn always(&self) -> bool {
        self.options().enforcement == Enforcement::Always || self.is("init")
    }

    /// The specs that select the subject and speak of a direction.
    fn selecting(&self, direction: Direction) -> impl Iterator<Item = (&'a Document, &'a Spec)> {
        let (labels, strict) = (self.labels, self.strict());
        let documents = self
            .set
            .documents()
            .filter(|_| self.subject != IdentityId::HOST);
        let specs =
            documents.flat_map(|document| document.specs.iter().map(move |spec| (document, spec)));
        specs.filter(move |(document, spec)| {
            let rules = spec.rules.iter().any(|rule| rule.direction == direction);
            let lists = spec
                .empty_lists
                .iter()
                .any(|list| list.direction == direction);
            (rules || (strict && lists)) && is_subject(&document.name, &spec.subject, labels)
        })
    }

    /// Whether a refused document that meant to guard the subject was turned into a denial.
    fn closed(&self) -> bool {
        let meant = |name: &PolicyName, subjects: &[Selector]| {
            let inside =
                name.namespace.is_none() || self.labels.namespace() == name.namespace.as_deref();
            let named = subjects
                .iter()
                .any(|subject| is_subject(name, subject, self.labels));
            inside && (subjects.is_empty() || named)
        };
        let mut closed = self
            .set
            .closed()
            .filter(|_| self.subject != IdentityId::HOST);
        closed.any(|(name, subjects)| meant(name, subjects))
    }

    fn default_deny(&self, direction: Direction) -> bool {
        let heeded = self.options().non_default_deny;
        let mut specs = self.selecting(direction);
        let on = |spec: &Spec| !heeded || spec.default_deny.get(direction) != Some(false);
        self.always() || specs.any(|(_, spec)| on(spec))
    }

    fn built_in_allowance(&self, query: &Query) -> bool {
        if self.selecting(query.direction).next().is_none() {
            return false;
        }
        !self.default_deny(query.direction) || self.is_local_host(query)
    }

    fn is_local_host(&self, query: &Query) -> bool {
        query.direction == Direction::Ingress
            && self.options().allow_localhost == AllowLocalhost::Always
            && self.subject != IdentityId::HOST
            && self
                .identities
                .labels(query.peer)
                .is_some_and(|labels| labels.reserved("host"))
    }

    fn covers(&self, query: &Query) -> Vec<Cover> {
        let eased = !self.default_deny(query.direction);
        let mut covers = Vec::new();
        for (document, spec) in self.selecting(query.direction) {
            for rule in spec
                .rules
                .iter()
                .filter(|rule| rule.direction == query.direction)
            {
                if !self.peers_fit(document, spec, rule, query.peer) {
                    continue;
                }
                for (written, protocol, l7) in self.ports_fit(rule, query) {
                    let does = match rule.action {
                        Action::Deny | Action::Pass => Covering::Deny,
                        Action::Allow => inspection(l7, protocol, eased),
                    };
                    covers.push(Cover {
                        does,
                        written,
                        protocol,
                    });
                }
            }
        }
        covers
    }

    /// The port elements of a rule that fit: as written, their protocol, their content rules.
    fn ports_fit<'r>(
        &self,
        rule: &'r Rule,
        query: &Query,
    ) -> Vec<((u8, u16, u16), Protocol, &'r L7Rules)> {
        let Some(elements) = &rule.ports else {
            return vec![((0, 0, 0), Protocol::ANY, &L7Rules::None)];
        };
        let mut fitting = Vec::new();
        for element in elements {
            for port in element
                .ports
                .iter()
                .filter(|port| self.port_fits(port, query))
            {
                let written = (
                    query.protocol.get(),
                    number(port),
                    port.end_port.unwrap_or(0),
                );
                fitting.push((written, query.protocol, &element.l7));
            }
        }
        fitting
    }

    fn port_fits(&self, port: &PortSpec, query: &Query) -> bool {
        let protocol = match port.protocol {
            PortProtocol::Any => query.protocol.has_ports(),
            PortProtocol::Tcp => query.protocol == Protocol::TCP,
            PortProtocol::Udp => query.protocol == Protocol::UDP,
            PortProtocol::Sctp => query.protocol == Protocol::SCTP,
            _ => false,
        };
        let end = port.end_port.filter(|end| *end > number(port));
        let number = match (number(port), end) {
            (0, Some(end)) if self.strict() => query.port <= end,
            (0, _) => true,
            (first, Some(end)) => (first..=end).contains(&query.port),
            (first, None) => first == query.port,
        };
        protocol && number
    }

    fn peers_fit(&self, document: &Document, spec: &Spec, rule: &Rule, peer: IdentityId) -> bool {
        match &rule.peers {
            Peers::Unspecified => rule.ports.is_some(),
            Peers::Unnamed => false,
            Peers::Listed(peers) => {
                let anybody = peers
                    .iter()
                    .any(|peer| self.is_anybody(document, spec, peer));
                let labels = self.identities.labels(peer);
                let fits = |labels| {
                    peers
                        .iter()
                        .any(|peer| self.peer_fits(document, spec, peer, labels))
                };
                anybody || labels.is_some_and(fits)
            }
        }
    }

    fn is_anybody(&self, document: &Document, spec: &Spec, peer: &Peer) -> bool {
        match peer {
            Peer::Entity(entity) => *entity == Entity::All,
            Peer::Endpoints(selector) => {
                let scoped = document.name.namespace.is_some()
                    || !names_init(&spec.subject)
                    || self.options().default_local_cluster;
                selector.is_everything() && !scoped
            }
            _ => false,
        }
    }

    fn peer_fits(&self, document: &Document, spec: &Spec, peer: &Peer, labels: &Labels) -> bool {
        match peer {
            Peer::Endpoints(selector) => {
                selector.matches(labels) && self.in_scope(document, spec, selector, labels)
            }
            Peer::Cidr(cidr) => self.cidr_fits(cidr, labels),
            Peer::Entity(entity) => self.entity_fits(*entity, labels),
            _ => false,
        }
    }

    /// What a peer selector leaves unsaid: the namespace and the cluster of the policy.
    fn in_scope(
        &self,
        document: &Document,
        spec: &Spec,
        selector: &Selector,
        labels: &Labels,
    ) -> bool {
        let terms = selector.requirements();
        let names = |wanted: &str| {
            terms
                .iter()
                .any(|term| of_k8s(term) && term.key.key() == wanted)
        };
        if terms
            .iter()
            .any(|term| term.key.source() == source::RESERVED)
        {
            return true;
        }
        let metadata = |term: &Requirement| {
            of_k8s(term) && term.key.key().starts_with(key::NAMESPACE_LABELS_PREFIX)
        };
        let namespace = names(key::NAMESPACE)
            || match &document.name.namespace {
                Some(own) => terms.iter().any(metadata) || labels.namespace() == Some(own),
                None => names_init(&spec.subject) || labels.namespace().is_some(),
            };
        let options = self.options();
        let cluster = !options.default_local_cluster
            || names(key::CLUSTER)
            || labels.get(source::K8S, key::CLUSTER) == Some(&options.cluster_name);
        namespace && cluster
    }

    fn cidr_fits(&self, cidr: &CidrPeer, labels: &Labels) -> bool {
        let families = self.options().families;
        let inside = |block: &ipnet::IpNet| match block.prefix_len() {
            0 => labels.reserved(families.world_name(Family::of(&block.addr()))),
            _ => labels.blocks().any(|own| block.contains(&own)),
        };
        let worlds = ["world", "world-ipv4", "world-ipv6"];
        worlds.iter().any(|world| labels.reserved(world))
            && cidr.block().is_some_and(|block| inside(&block))
            && !cidr.except.iter().any(inside)
    }

    fn entity_fits(&self, entity: Entity, labels: &Labels) -> bool {
        let one_of = |names: &[&str]| names.iter().any(|name| labels.reserved(name));
        let part = || {
            one_of(&[
                "host",
                "remote-node",
                "init",
                "ingress",
                "health",
                "unmanaged",
            ]) || one_of(&["kube-apiserver", "aggregate-cluster"])
        };
        match entity {
            Entity::All => true,
            Entity::None => false,
            Entity::World => one_of(&["world", "world-ipv4", "world-ipv6", "aggregate-world"]),
            Entity::RemoteNode => one_of(&["remote-node", "aggregate-remote-node"]),
            Entity::Cluster => {
                let own = &self.options().cluster_name;
                part() || labels.get(source::K8S, key::CLUSTER) == Some(own)
            }
            Entity::ClusterMesh => {
                let mut keys = labels.iter().map(porin_identity::Label::key);
                part() || one_of(&["aggregate-cluster-mesh"]) || keys.any(|key| key == key::CLUSTER)
            }
            Entity::WorldIpv4
            | Entity::WorldIpv6
            | Entity::Host
            | Entity::Init
            | Entity::Ingress
            | Entity::Health
            | Entity::Unmanaged
            | Entity::KubeApiserver => one_of(&[entity.name()]),
        }
    }

    /// Whether the parser's rules let everything through.
    fn unrestricted(
        &self,
        parser: Parser,
        asking: &Cover,
        covers: &[Cover],
        query: &Query,
    ) -> bool {
        if parser == Parser::Tls {
            return true;
        }
        let upstream_dns = !self.strict() && parser == Parser::Dns;
        let together = |cover: &Cover| !upstream_dns || cover.written == asking.written;
        let open = |cover: &Cover| cover.does == Covering::Inspect(parser, true) && together(cover);
        let plain = |cover: &Cover| {
            let told = upstream_dns || !(cover.written.1 == 0 && cover.written.2 != 0);
            let stream = upstream_dns || matches!(cover.protocol, Protocol::ANY | Protocol::TCP);
            cover.does == Covering::Allow && told && stream && together(cover)
        };
        let lifted =
            || covers.iter().any(plain) || (!upstream_dns && self.built_in_allowance(query));
        covers.iter().any(open) || (!self.strict() && lifted())
    }
}

fn number(port: &PortSpec) -> u16 {
    match port.port {
        Port::Number(number) => number,
        Port::Name(_) => 0,
    }
}

fn is_subject(policy: &PolicyName, subject: &Selector, labels: &Labels) -> bool {
    let Some(own) = policy.namespace.as_deref() else {
        return subject.matches(labels);
    };
    let overwritten = |term: &Requirement| {
        let equals = matches!(term.operator, Operator::Equals(_));
        equals && term.key.source() == source::K8S && term.key.key() == key::NAMESPACE
    };
    let mut terms = subject.requirements().iter();
    labels.namespace() == Some(own) && terms.all(|term| overwritten(term) || term.matches(labels))
}

fn of_k8s(term: &Requirement) -> bool {
    term.key.is_any() || term.key.source() == source::K8S
}

fn names_init(subject: &Selector) -> bool {
    let mut terms = subject.requirements().iter();
    terms.any(|term| term.key.source() == source::RESERVED && term.key.key() == "init")
}

/// What an allowing rule asks of the content. Where nothing is denied by default (`eased`), HTTP
/// and DNS rules let everything through.
fn inspection(l7: &L7Rules, protocol: Protocol, eased: bool) -> Covering {
    let tcp = protocol == Protocol::TCP;
    match l7 {
        L7Rules::Dns(rules) if !rules.is_empty() => {
            let all = |pattern: &str| {
                let stars = pattern.strip_suffix('.').unwrap_or(pattern);
                !stars.is_empty() && stars.chars().all(|star| star == '*')
            };
            let mut patterns = rules
                .iter()
                .filter_map(|rule| rule.match_pattern.as_deref());
            Covering::Inspect(Parser::Dns, eased || patterns.any(all))
        }
        L7Rules::Http(rules) if tcp && !rules.is_empty() => {
            Covering::Inspect(Parser::Http, eased || rules.iter().any(takes_all))
        }
        L7Rules::Kafka(rules) if tcp && !rules.is_empty() => {
            let all = rules.iter().any(|rule| *rule == KafkaRule::default());
            Covering::Inspect(Parser::Kafka, all)
        }
        L7Rules::Other { rules, .. } if tcp => {
            let all = rules.is_empty() || rules.iter().any(std::collections::BTreeMap::is_empty);
            Covering::Inspect(Parser::Other, all)
        }
        _ => Covering::Allow,
    }
}

fn takes_all(rule: &HttpRule) -> bool {
    let HttpRule {
        method,
        path,
        host,
        headers,
        header_matches,
    } = rule;
    let can_fail = header_matches
        .iter()
        .any(|header| header.mismatch == Mismatch::Fail);
    method.is_none() && path.is_none() && host.is_none() && headers.is_empty() && !can_fail
}
