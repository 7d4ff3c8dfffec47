//! From a document to what the engine works with: scoped, expanded, numbered, and independent of
//! the layout of the file.

use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use porin_identity::Selector;

use crate::level::Level;
use crate::peer::{PeerSelector, PeerSet, Scope, peer_set};
use crate::ports::{PortGroup, port_groups};
use crate::rule::{Action, Document, Location, PolicyName, Spec};
use crate::{Direction, Options, RuleCookie, RuleRef, Semantics};

/// A document ready for deciding.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) name: PolicyName,
    pub(crate) specs: Vec<CompiledSpec>,
    pub(crate) rules: Vec<(RuleCookie, Arc<RuleRef>)>,
    /// Over what the document means, not over how it is laid out; made when it is asked for.
    pub(crate) digest: OnceLock<[u8; 32]>,
}

#[derive(Debug)]
pub(crate) struct CompiledSpec {
    pub(crate) subject: Selector,
    ingress: Lane,
    egress: Lane,
}

/// What one spec says about one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) rules: Vec<CompiledRule>,
    /// Whether the spec has entries in this direction at all.
    pub(crate) enables: bool,
    /// Whether those entries switch default deny on.
    pub(crate) default_deny: bool,
}

#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) cookie: RuleCookie,
    pub(crate) level: Level,
    pub(crate) action: Action,
    pub(crate) peers: PeerSet,
    pub(crate) ports: Vec<PortGroup>,
}

impl CompiledSpec {
    pub(crate) fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl Compiled {
    /// Every block and every exception that a rule names, without those of length zero: they name
    /// the world itself.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.peer_selectors()
            .filter_map(|peer| match peer {
                PeerSelector::Cidr(cidr) => Some(cidr),
                PeerSelector::Labels(_) | PeerSelector::Entity(_) => None,
            })
            .flat_map(|cidr| cidr.block().into_iter().chain(cidr.except.iter().copied()))
            .map(|block| block.trunc())
            .filter(|block| block.prefix_len() > 0)
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

/// Compiles a document; `cookie` numbers its rules.
pub(crate) fn compile(
    document: &Document,
    options: &Options,
    mut cookie: impl FnMut(&RuleRef) -> RuleCookie,
) -> Compiled {
    let mut rules = Vec::new();
    let mut number = |rule: RuleRef| {
        let number = cookie(&rule);
        rules.push((number, Arc::new(rule)));
        number
    };
    let scope = Scope::new(&document.name, options);
    let specs = document.specs.iter().enumerate();
    let specs = specs
        .map(|(place, spec)| compile_spec(document, place, spec, &scope, options, &mut number))
        .collect();
    Compiled {
        name: document.name.clone(),
        specs,
        rules,
        digest: OnceLock::new(),
    }
}

fn compile_spec(
    document: &Document,
    place: usize,
    spec: &Spec,
    scope: &Scope,
    options: &Options,
    number: &mut impl FnMut(RuleRef) -> RuleCookie,
) -> CompiledSpec {
    let subject = scope.subject(&spec.subject);
    let mut lanes = Direction::ALL.map(|direction| empty_lane(spec, direction, options));
    for rule in &spec.rules {
        let has_ports = rule.ports.is_some();
        let scoped = |peer: &Selector| scope.peer(peer, &spec.subject);
        let peers = peer_set(&rule.peers, has_ports, scoped);
        let ports = port_groups(rule.ports.as_deref(), options.semantics);
        let cookie = number(RuleRef {
            policy: document.name.clone(),
            spec: place,
            direction: rule.direction,
            action: rule.action,
            index: rule.index,
            location: rule.location.clone(),
        });
        let compiled = CompiledRule {
            cookie,
            level: Level::NORMAL,
            action: rule.action,
            peers,
            ports,
        };
        let [ingress, egress] = &mut lanes;
        match rule.direction {
            Direction::Ingress => ingress.rules.push(compiled),
            Direction::Egress => egress.rules.push(compiled),
        }
    }
    let [ingress, egress] = lanes;
    CompiledSpec {
        subject,
        ingress,
        egress,
    }
}

/// A direction counts as soon as it has a rule; under `Strict` also when its list is present and
/// empty, because an author who writes `egress: []` means that nothing may leave.
fn empty_lane(spec: &Spec, direction: Direction, options: &Options) -> Lane {
    let has_rules = spec.rules.iter().any(|rule| rule.direction == direction);
    let has_list = spec
        .empty_lists
        .iter()
        .any(|list| list.direction == direction);
    let enables = has_rules || (has_list && options.semantics == Semantics::Strict);
    let asked = spec
        .default_deny
        .get(direction)
        .filter(|_| options.non_default_deny);
    Lane {
        rules: Vec::new(),
        enables,
        default_deny: enables && asked.unwrap_or(true),
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
    let mut rules = Vec::new();
    let mut close = |(spec, subject): (usize, &Selector)| {
        let subject = scope.subject(subject);
        let [ingress, egress] = Direction::ALL.map(|direction| {
            let rule = RuleRef {
                policy: refused.clone(),
                spec,
                direction,
                action: Action::Deny,
                index: 0,
                location: location.clone(),
            };
            let cookie = cookie(&rule);
            rules.push((cookie, Arc::new(rule)));
            let (peers, ports) = (PeerSet::Anybody, port_groups(None, Semantics::Strict));
            let denial = CompiledRule {
                cookie,
                level: Level::NORMAL,
                action: Action::Deny,
                peers,
                ports,
            };
            Lane {
                rules: vec![denial],
                enables: true,
                default_deny: true,
            }
        });
        CompiledSpec {
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
        name: refused.clone(),
        specs,
        rules,
        digest: OnceLock::new(),
    }
}
