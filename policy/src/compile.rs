//! From a document to what the engine works with: scoped, expanded, numbered, and independent of
//! the layout of the file.

use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use porin_identity::Selector;

use crate::level::Level;
use crate::peer::PeerSelector;
use crate::peer_set::{PeerCompiler, PeerSet};
use crate::peers::{FqdnPeer, Peer, Peers};
use crate::ports::{PortGroup, port_groups};
use crate::rule::{
    Action, AuthMode, Document, Guards, Location, PolicyKind, PolicyName, Rule, Spec, Tier,
};
use crate::scope::Scope;
use crate::service::Service;
use crate::{Direction, NetworkPolicyReading, Options, RuleCookie, RuleRef, Semantics};

/// A document ready for deciding.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) name: Arc<PolicyName>,
    pub(crate) specs: Vec<CompiledSpec>,
    pub(crate) rules: Vec<(RuleCookie, Arc<RuleRef>)>,
    /// The blocks and exceptions that its rules name, whoever else they speak of.
    blocks: Vec<IpNet>,
    /// Over what the document means, not over how it is laid out; made when it is asked for.
    pub(crate) digest: OnceLock<[u8; 32]>,
}

#[derive(Debug)]
pub(crate) struct CompiledSpec {
    pub(crate) guards: Guards,
    pub(crate) subject: Selector,
    ingress: Lane,
    egress: Lane,
}

/// What one spec says about one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) rules: Vec<CompiledRule>,
    enforced: Standing,
    tried: Standing,
}

/// Whether the rules that are in force make the spec count.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Standing {
    /// Whether the spec has entries in this direction at all.
    pub(crate) enables: bool,
    /// Whether those entries switch default deny on.
    pub(crate) default_deny: bool,
}

/// Whether staged rules take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// They do not: what is enforced.
    Enforced,
    /// They do: what would be.
    Tried,
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) cookie: RuleCookie,
    pub(crate) level: Level,
    pub(crate) action: Action,
    pub(crate) peers: PeerSet,
    pub(crate) ports: Vec<PortGroup>,
    pub(crate) auth: Option<AuthMode>,
    pub(crate) staged: bool,
}

impl CompiledSpec {
    pub(crate) fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Whether what is tried differs from what is enforced.
    pub(crate) fn is_staged(&self) -> bool {
        [&self.ingress, &self.egress].into_iter().any(|lane| {
            lane.rules.iter().any(|rule| rule.staged) || lane.enforced.enables != lane.tried.enables
        })
    }
}

impl Lane {
    pub(crate) fn standing(&self, trial: Trial) -> Standing {
        match trial {
            Trial::Enforced => self.enforced,
            Trial::Tried => self.tried,
        }
    }

    /// The rules that take part.
    pub(crate) fn rules_in(&self, trial: Trial) -> impl Iterator<Item = &CompiledRule> {
        let all = trial == Trial::Tried;
        self.rules.iter().filter(move |rule| all || !rule.staged)
    }
}

impl Compiled {
    /// Every block and every exception that a rule names.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        let selectors = self.peer_selectors();
        let of_services = selectors.filter_map(|peer| match peer {
            PeerSelector::Cidr(cidr) => cidr.block(),
            PeerSelector::Labels(_) | PeerSelector::Entity(_) | PeerSelector::Fqdn(_) => None,
        });
        of_services
            .chain(self.blocks.iter().copied())
            .map(|block| block.trunc())
    }

    pub(crate) fn peer_selectors(&self) -> impl Iterator<Item = &PeerSelector> {
        let lanes = self
            .specs
            .iter()
            .flat_map(|spec| [&spec.ingress, &spec.egress]);
        let rules = lanes.flat_map(|lane| lane.rules.iter());
        rules.flat_map(|rule| match &rule.peers {
            PeerSet::Picked(picked) => picked.as_slice(),
            PeerSet::Nobody | PeerSet::Anybody => &[],
        })
    }
}

/// The names that a document's rules speak of.
pub(crate) fn fqdns(document: &Document) -> impl Iterator<Item = &FqdnPeer> {
    peers(document).filter_map(|peer| match peer {
        Peer::Fqdn(name) => Some(name),
        _ => None,
    })
}

/// The blocks and exceptions that a document's rules speak of.
fn blocks(document: &Document) -> impl Iterator<Item = IpNet> {
    let cidrs = peers(document).filter_map(|peer| match peer {
        Peer::Cidr(cidr) => Some(cidr),
        _ => None,
    });
    cidrs.flat_map(|cidr| cidr.block().into_iter().chain(cidr.except.iter().copied()))
}

fn peers(document: &Document) -> impl Iterator<Item = &Peer> {
    let rules = document.specs.iter().flat_map(|spec| &spec.rules);
    rules.flat_map(|rule| match &rule.peers {
        Peers::Listed(peers) => peers.as_slice(),
        Peers::Unspecified | Peers::Unnamed => &[],
    })
}

/// Compiles a document; `cookie` numbers its rules.
pub(crate) fn compile(
    document: &Document,
    options: &Options,
    services: &[Service],
    mut cookie: impl FnMut(&RuleRef) -> RuleCookie,
) -> Compiled {
    let count = document.specs.iter().map(|spec| spec.rules.len()).sum();
    let mut rules = Vec::with_capacity(count);
    let mut number = |rule: RuleRef| {
        let number = cookie(&rule);
        rules.push((number, Arc::new(rule)));
        number
    };
    let scope = Scope::new(&document.name, options);
    let name = Arc::new(document.name.clone());
    let specs = document.specs.iter().enumerate();
    let specs = specs
        .map(|(place, spec)| {
            let peers = PeerCompiler {
                policy: &name,
                kind: document.name.kind,
                scope: &scope,
                subject: &spec.subject,
                options,
                services,
            };
            compile_spec(document, place, spec, &peers, &mut number)
        })
        .collect();
    Compiled {
        name,
        specs,
        rules,
        blocks: blocks(document).collect(),
        digest: OnceLock::new(),
    }
}

fn compile_spec(
    document: &Document,
    place: usize,
    spec: &Spec,
    peers: &PeerCompiler<'_>,
    number: &mut impl FnMut(RuleRef) -> RuleCookie,
) -> CompiledSpec {
    let [mut ingress, mut egress] =
        Direction::ALL.map(|direction| empty_lane(document, spec, direction, peers.options));
    for rule in &spec.rules {
        let cookie = number(RuleRef {
            policy: Arc::clone(peers.policy),
            spec: place,
            direction: rule.direction,
            action: rule.action,
            index: rule.index,
            location: rule.location.clone(),
        });
        let lane = match rule.direction {
            Direction::Ingress => &mut ingress,
            Direction::Egress => &mut egress,
        };
        if counts(document, spec, rule.direction, peers.options) {
            let staged = is_staged(document, rule, peers.options);
            lane.rules
                .push(compile_rule(spec, rule, peers, cookie, staged));
        }
    }
    CompiledSpec {
        guards: spec.guards,
        subject: match spec.guards {
            Guards::Endpoints => peers.scope.subject(&spec.subject),
            Guards::Nodes => spec.subject.clone(),
        },
        ingress,
        egress,
    }
}

fn compile_rule(
    spec: &Spec,
    rule: &Rule,
    peers: &PeerCompiler<'_>,
    cookie: RuleCookie,
    staged: bool,
) -> CompiledRule {
    let semantics = peers.options.semantics;
    let level = Level::of(spec, rule.index);
    // A peer that nobody knows yet may be anybody: what does not allow then denies everything.
    let unknown = matches!(&rule.peers, Peers::Listed(listed) if listed.contains(&Peer::Unknown));
    let (action, peers, ports) = if unknown && rule.action != Action::Allow {
        (Action::Deny, PeerSet::Anybody, port_groups(None, semantics))
    } else {
        let ports = port_groups(rule.ports.as_deref(), semantics);
        (rule.action, peers.peers(rule), ports)
    };
    CompiledRule {
        cookie,
        level,
        action,
        peers,
        ports,
        auth: rule.auth,
        staged,
    }
}

fn is_staged(document: &Document, rule: &Rule, options: &Options) -> bool {
    let namespace = document.name.namespace.as_deref();
    let of_namespace = namespace.is_some_and(|name| options.staged_namespaces.contains(name));
    of_namespace || document.staging.holds(document.name.kind, rule)
}

/// Whether the rules of a direction count. `policyTypes` of a NetworkPolicy may leave them out
/// (Kubernetes API reference, NetworkPolicySpec); upstream lets them count all the same.
fn counts(document: &Document, spec: &Spec, direction: Direction, options: &Options) -> bool {
    let by_types = document.name.kind == PolicyKind::NetworkPolicy
        && options.network_policies == NetworkPolicyReading::Kubernetes;
    !by_types || is_typed(spec, direction)
}

/// The directions of a NetworkPolicy: those listed; by default ingress, and egress if it has rules.
fn is_typed(spec: &Spec, direction: Direction) -> bool {
    match (spec.policy_types, direction) {
        (Some(types), _) => types.get(direction),
        (None, Direction::Ingress) => true,
        (None, Direction::Egress) => spec.rules.iter().any(|rule| rule.direction == direction),
    }
}

fn empty_lane(document: &Document, spec: &Spec, direction: Direction, options: &Options) -> Lane {
    let standing = |with_staged: bool| {
        let in_force = |rule: &&Rule| with_staged || !is_staged(document, rule, options);
        let mut own = spec.rules.iter().filter(|rule| rule.direction == direction);
        let has_rules = own.clone().any(|rule| in_force(&rule));
        // Of other kinds an empty list is in force beside one whose rules are only tried.
        let typed = document.name.kind == PolicyKind::NetworkPolicy;
        let only_staged = typed && !has_rules && own.next().is_some();
        let enables = !only_staged
            && (with_staged || !is_wholly_staged(document, options))
            && enables(document, spec, direction, has_rules, options);
        let asked = spec
            .default_deny
            .get(direction)
            .filter(|_| options.non_default_deny);
        Standing {
            enables,
            default_deny: enables && spec.tier == Tier::Normal && asked.unwrap_or(true),
        }
    };
    let own = spec.rules.iter().filter(|rule| rule.direction == direction);
    Lane {
        rules: Vec::with_capacity(own.count()),
        enforced: standing(false),
        tried: standing(true),
    }
}

fn is_wholly_staged(document: &Document, options: &Options) -> bool {
    let namespace = document.name.namespace.as_deref();
    let of_namespace = namespace.is_some_and(|name| options.staged_namespaces.contains(name));
    of_namespace || document.staging == crate::Staging::Whole
}

/// A direction counts as soon as it has a rule; under `Strict` also when its list is present and
/// empty, because an author who writes `egress: []` means that nothing may leave. A NetworkPolicy
/// isolates in the directions of its types.
fn enables(
    document: &Document,
    spec: &Spec,
    direction: Direction,
    has_rules: bool,
    options: &Options,
) -> bool {
    if document.name.kind == PolicyKind::NetworkPolicy {
        return match options.network_policies {
            NetworkPolicyReading::Kubernetes => is_typed(spec, direction),
            NetworkPolicyReading::Cilium => has_rules || is_typed_upstream(spec, direction),
        };
    }
    let listed = || {
        let mut lists = spec.empty_lists.iter();
        lists.any(|list| list.direction == direction)
    };
    let cilium_kind = !document.name.kind.is_kubernetes();
    has_rules || (cilium_kind && options.semantics == Semantics::Strict && listed())
}

/// Upstream isolates on ingress unless the types name egress alone.
fn is_typed_upstream(spec: &Spec, direction: Direction) -> bool {
    let listed = |direction| spec.policy_types.is_some_and(|types| types.get(direction));
    match direction {
        Direction::Ingress => listed(Direction::Ingress) || !listed(Direction::Egress),
        Direction::Egress => listed(Direction::Egress),
    }
}

/// A refused document turned into denials: whom it meant to guard (everybody in its namespace, if
/// that cannot be read) reaches nobody and is reached by nobody.
pub(crate) fn closed(
    refused: &PolicyName,
    subjects: &[Selector],
    location: &Location,
    options: &Options,
    mut cookie: impl FnMut(&RuleRef) -> RuleCookie,
) -> Compiled {
    let scope = Scope::new(refused, options);
    let name = Arc::new(refused.clone());
    let mut rules = Vec::new();
    let standing = Standing {
        enables: true,
        default_deny: true,
    };
    let mut close = |(spec, subject): (usize, &Selector)| {
        let subject = scope.subject(subject);
        let [ingress, egress] = Direction::ALL.map(|direction| {
            let rule = RuleRef {
                policy: Arc::clone(&name),
                spec,
                direction,
                action: Action::Deny,
                index: 0,
                location: location.clone(),
            };
            let cookie = cookie(&rule);
            rules.push((cookie, Arc::new(rule)));
            let denial = CompiledRule {
                cookie,
                level: Level::NORMAL,
                action: Action::Deny,
                peers: PeerSet::Anybody,
                ports: port_groups(None, Semantics::Strict),
                auth: None,
                staged: false,
            };
            Lane {
                rules: vec![denial],
                enforced: standing,
                tried: standing,
            }
        });
        CompiledSpec {
            guards: Guards::Endpoints,
            subject,
            ingress,
            egress,
        }
    };
    let everybody = [Selector::everything()];
    let subjects = if subjects.is_empty() {
        &everybody
    } else {
        subjects
    };
    let specs = subjects.iter().enumerate().map(&mut close).collect();
    Compiled {
        name,
        specs,
        rules,
        blocks: Vec::new(),
        digest: OnceLock::new(),
    }
}
