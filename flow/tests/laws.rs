//! Laws of the ring, of escaping and of the forms of a flow.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use porin_flow::{
    Attributed, Attribution, DropReason, Endpoint, EndpointId, Escaped, EventType, Extra, Flow,
    FlowBuilder, FlowVerdict, Icmp, Observation, ObservationKind, Outcome, PolicyMatch, PolicyRef,
    Read, Reader, Ring, TcpFlags, Timestamp, Tuple,
};
use porin_identity::{Identities, IdentityId, Labels};
use porin_policy::{Direction, Protocol, RuleCookie};
use proptest::prelude::*;

/// What happens to a ring, one step at a time.
#[derive(Debug, Clone)]
enum Step {
    Push,
    Read(usize),
    Join,
    JoinLast(u64),
    Follow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Push),
        4 => (0_usize..8).prop_map(Step::Read),
        1 => Just(Step::Join),
        1 => (0_u64..12).prop_map(Step::JoinLast),
        1 => Just(Step::Follow),
    ];
    prop::collection::vec(step, 0..200)
}

/// A reader and the number of the record it must see or miss next.
struct Witness {
    reader: Reader<u64>,
    next: u64,
}

impl Witness {
    fn read(&mut self, oldest: u64, written: u64) {
        match self.reader.read() {
            None => assert_eq!(self.next, written),
            Some(Read::Lost(lost)) => {
                assert!(lost > 0);
                self.next += lost;
                assert_eq!(self.next, oldest);
            }
            Some(Read::Record(record)) => {
                assert_eq!(record, self.next);
                self.next += 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn readers_account_for_every_record(capacity in 1_usize..9, steps in steps()) {
        let ring = Ring::new(NonZeroUsize::new(capacity).expect("from one"));
        let mut witnesses = Vec::new();
        let mut written = 0_u64;
        for step in steps {
            let oldest = written.saturating_sub(capacity as u64);
            let (reader, next) = match step {
                Step::Push => {
                    ring.push(written);
                    written += 1;
                    continue;
                }
                Step::Read(which) => {
                    let count = witnesses.len().max(1);
                    if let Some(witness) = witnesses.get_mut(which % count) {
                        Witness::read(witness, oldest, written);
                    }
                    continue;
                }
                Step::Join => (ring.reader(), oldest),
                Step::JoinLast(count) => {
                    (ring.reader_of_last(count), written.saturating_sub(count).max(oldest))
                }
                Step::Follow => (ring.follower(), written),
            };
            witnesses.push(Witness { reader, next });
        }
        prop_assert_eq!(ring.written(), written);
        prop_assert_eq!(ring.len() as u64, written.min(capacity as u64));
        for witness in &mut witnesses {
            while witness.next < written {
                witness.read(written.saturating_sub(capacity as u64), written);
            }
            prop_assert_eq!(witness.reader.read(), None);
        }
    }

    #[test]
    fn escaped_text_has_no_control_character(text in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]){0,40}") {
        let shown = Escaped(&text).to_string();
        prop_assert!(!shown.contains(char::is_control));
        if !text.contains(char::is_control) {
            prop_assert_eq!(shown, text);
        }
    }

    #[test]
    fn time_reads_back(nanos: u64) {
        let time = Timestamp::from_nanos(nanos);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn no_form_of_a_flow_lets_control_characters_through(text in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]){1,20}") {
        let shared: Arc<str> = text.as_str().into();
        let end = Arc::new(Endpoint { name: Some(Arc::clone(&shared)), namespace: Some(Arc::clone(&shared)), ..Endpoint::default() });
        let extra = Extra { summary: Some(text.as_str().into()), node_labels: vec![text.as_str().into()], ..Extra::default() };
        let policy = PolicyRef::new(&text, Some(&text), &text, 1);
        let mut flow = Flow {
            node: Arc::clone(&shared),
            source: Some(end),
            direction: Some(Direction::Ingress),
            rule: Some(shared),
            extra: Some(Box::new(extra)),
            ..Flow::default()
        };
        flow.policies.ingress_allowed.push(Arc::new(policy));
        let line = flow.compact().with_node().with_policies().to_string();
        prop_assert!(!line.contains(char::is_control), "{line:?}");
        let json = flow.to_json();
        prop_assert!(!json.contains(char::is_control), "{json:?}");
        prop_assert_eq!(Flow::from_json(&json), Ok(flow));
    }

    #[test]
    fn recorded_observations_read_back(seen in observation()) {
        let flow = FlowBuilder::new("node").record(&seen, &identities().snapshot(), &Names);
        let json = flow.to_json();
        prop_assert_eq!(Flow::from_json(&json), Ok(flow), "{}", json);
    }
}

fn identities() -> Identities {
    let mut identities = Identities::default();
    let labels: Labels = "k8s:app=web,k8s:io.kubernetes.pod.namespace=shop"
        .parse()
        .expect("labels");
    identities
        .insert_fixed(IdentityId::new(1000), labels)
        .expect("a free number");
    identities
}

/// One local endpoint, one rule and one policy that switched default deny on.
struct Names;

impl Attribution for Names {
    fn rule(&self, _: EndpointId, cookie: RuleCookie) -> Option<Attributed> {
        cookie.is_rule().then(|| Attributed {
            policy: Arc::new(PolicyRef::new(
                "CiliumNetworkPolicy",
                Some("shop"),
                "web",
                3,
            )),
            rule: "cnp/shop/web ingress[0] (web.yaml:7:5)".into(),
        })
    }

    fn default_deny(&self, _: EndpointId, _: Direction) -> Vec<Arc<PolicyRef>> {
        vec![Arc::new(PolicyRef::new(
            "CiliumClusterwideNetworkPolicy",
            None,
            "deny-all",
            3,
        ))]
    }

    fn endpoint(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        let labels: Labels = "k8s:app=web,k8s:io.kubernetes.pod.namespace=shop"
            .parse()
            .ok()?;
        let end = Endpoint::of_identity(IdentityId::new(1000), labels);
        Some(Arc::new(Endpoint {
            id,
            name: Some("web-0".into()),
            ..end
        }))
    }

    fn endpoint_at(&self, _: IpAddr) -> Option<Arc<Endpoint>> {
        None
    }
}

fn observation() -> impl Strategy<Value = Observation> {
    let kind = prop_oneof![
        Just(ObservationKind::Verdict),
        Just(ObservationKind::Drop),
        Just(ObservationKind::Trace),
        Just(ObservationKind::Close),
    ];
    let outcome = prop_oneof![
        Just(Outcome::Forward),
        Just(Outcome::Redirect),
        Just(Outcome::Audit),
        (1_u8..=255).prop_map(|number| Outcome::Drop(DropReason::new(number))),
    ];
    let place = (
        kind,
        outcome,
        any::<bool>(),
        prop::option::of(any::<bool>()),
        0_u32..40,
        0_u8..7,
    );
    (place, tuple(), any::<u64>()).prop_map(|(place, tuple, time)| {
        let (kind, outcome, egress, reply, cookie, match_kind) = place;
        Observation {
            time: Timestamp::from_nanos(time),
            kind,
            direction: if egress {
                Direction::Egress
            } else {
                Direction::Ingress
            },
            endpoint: EndpointId::new(7),
            source: IdentityId::new(if egress { 1000 } else { 2 }),
            destination: IdentityId::new(if egress { 2 } else { 1000 }),
            tuple,
            outcome,
            reply,
            cookie: RuleCookie::new(cookie),
            match_kind: PolicyMatch::from_number(match_kind).expect("below seven"),
            epoch: 1,
            ifindex: 4,
            length: 60,
            totals: None,
        }
    })
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let protocol = prop_oneof![Just(1_u8), Just(6), Just(17), Just(58), Just(132), Just(47)];
    (any::<bool>(), protocol, any::<[u16; 3]>(), any::<[u8; 2]>()).prop_map(
        |(v6, protocol, n, icmp)| {
            let address = |last: u16| match v6 {
                true => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)),
                false => IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | u32::from(last))),
            };
            let protocol = Protocol::new(protocol);
            let ports = protocol.has_ports();
            Tuple {
                source: address(n[0]),
                destination: address(n[1]),
                protocol,
                source_port: if ports { n[0] } else { 0 },
                destination_port: if ports { n[1] } else { 0 },
                tcp_flags: if protocol == Protocol::TCP {
                    TcpFlags::from_bits(n[2])
                } else {
                    TcpFlags::NONE
                },
                icmp: matches!(protocol, Protocol::ICMP | Protocol::ICMPV6).then_some(Icmp {
                    kind: icmp[0],
                    code: icmp[1],
                }),
            }
        },
    )
}

fn denied(reason: DropReason, cookie: u32, kind: ObservationKind) -> Flow {
    let seen = Observation {
        time: Timestamp::from_nanos(1_772_443_800_737_000_000),
        kind,
        direction: Direction::Ingress,
        endpoint: EndpointId::new(7),
        source: IdentityId::WORLD,
        destination: IdentityId::new(1000),
        tuple: Tuple {
            source: "203.0.113.9".parse().expect("an address"),
            destination: "10.0.0.7".parse().expect("an address"),
            protocol: Protocol::TCP,
            source_port: 40000,
            destination_port: 443,
            tcp_flags: TcpFlags::SYN,
            icmp: None,
        },
        outcome: Outcome::Drop(reason),
        reply: None,
        cookie: RuleCookie::new(cookie),
        match_kind: PolicyMatch::None,
        epoch: 1,
        ifindex: 4,
        length: 60,
        totals: None,
    };
    FlowBuilder::new("node").record(&seen, &identities().snapshot(), &Names)
}

#[test]
fn a_default_denial_names_the_policies_that_switched_it_on() {
    let flow = denied(DropReason::POLICY_DENIED, 0, ObservationKind::Verdict);
    assert_eq!(
        flow.compact().with_policies().to_string(),
        "Mar  2 09:30:00.737: 203.0.113.9:40000 (world) <> shop/web-0:443 (ID:1000) \
         policy-verdict:none INGRESS DENIED BY deny-all (CiliumClusterwideNetworkPolicy) (TCP Flags: SYN)"
    );
    assert_eq!(flow.policies.ingress_denied[0].name.as_ref(), "deny-all");
    assert_eq!(flow.rule, None);
}

#[test]
fn a_denying_rule_is_named_alone() {
    let flow = denied(DropReason::POLICY_DENY, 20, ObservationKind::Verdict);
    let names: Vec<&str> = flow
        .policies
        .ingress_denied
        .iter()
        .map(|policy| &*policy.name)
        .collect();
    assert_eq!(names, ["web"]);
    assert_eq!(
        flow.rule.as_deref(),
        Some("cnp/shop/web ingress[0] (web.yaml:7:5)")
    );
}

#[test]
fn own_drop_reasons_are_unknown_to_hubble_and_named_beside() {
    let flow = denied(DropReason::NOT_READY, 0, ObservationKind::Drop);
    assert_eq!(flow.verdict, FlowVerdict::Dropped);
    assert_eq!(
        flow.event,
        Some(EventType {
            class: EventType::DROP,
            sub: 240
        })
    );
    assert!(
        flow.policies.ingress_denied.is_empty(),
        "no policy dropped it"
    );
    let json: serde_json::Value = serde_json::from_str(&flow.to_json()).expect("JSON");
    let message = &json["flow"];
    assert_eq!(message["drop_reason"], 240);
    assert_eq!(message.get("drop_reason_desc"), None);
    assert_eq!(
        message["extensions"]["@type"],
        "type.googleapis.com/google.protobuf.Struct"
    );
    assert_eq!(message["extensions"]["value"]["drop_reason"], "NOT_READY");
    assert!(
        flow.to_string().contains("Endpoint not ready DROPPED"),
        "{flow}"
    );
}

#[test]
fn every_named_drop_reason_reads_back() {
    for (reason, name) in DropReason::NAMED {
        assert_eq!(name.parse(), Ok(*reason));
        assert_eq!(reason.name(), *name);
        assert_eq!(
            reason.hubble_name() == "DROP_REASON_UNKNOWN",
            reason.get() >= 240
        );
        assert_ne!(reason.to_string(), reason.get().to_string());
    }
}

#[test]
fn a_known_address_with_another_identity_keeps_the_judged_identity() {
    let mut flow = denied(DropReason::POLICY_DENIED, 0, ObservationKind::Verdict);
    let destination = flow.destination.take().expect("an end");
    assert_eq!(destination.name.as_deref(), Some("web-0"));
    let source = flow.source.take().expect("an end");
    assert_eq!(
        (source.identity, source.name.as_deref()),
        (IdentityId::WORLD, None)
    );
    assert!(source.labels.reserved("world"));
}

#[test]
fn a_reader_that_waits_gets_what_is_written() {
    let ring = Ring::new(NonZeroUsize::MIN);
    let mut follower = ring.follower();
    let writer = ring.clone();
    let handle = std::thread::spawn(move || writer.push(1));
    assert_eq!(
        follower.wait(std::time::Duration::from_secs(10)),
        Some(Read::Record(1))
    );
    handle.join().expect("the writer ends");
}
