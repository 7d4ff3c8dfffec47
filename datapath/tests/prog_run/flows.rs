//! What an established flow owes to the policy, the names and the addresses of this moment.

use porin_datapath::{EndpointSpec, Frame, Limits, Loader};
use porin_flow::{DropReason, EndpointId, ObservationKind, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState, RuleCookie};
use porin_testbed::suite::Outcome;

use crate::node::{
    A, ANY_PORT, B, ID_A, ID_B, at, bare, entry, everything, limits, nothing, open, tcp_port, v4,
    v6,
};

/// A may open connections to B's port 80 and B answer; nothing else.
fn client(cookie: u32) -> MapState {
    [entry(
        Direction::Egress,
        ID_B,
        tcp_port(80),
        EntryAction::Allow,
        cookie,
    )]
    .into_iter()
    .collect()
}

fn server(cookie: u32) -> MapState {
    [entry(
        Direction::Ingress,
        ID_A,
        tcp_port(80),
        EntryAction::Allow,
        cookie,
    )]
    .into_iter()
    .collect()
}

pub(crate) fn answers_pass_and_openings_do_not(loader: Loader) -> Outcome {
    open(loader, |node| {
        node.datapath
            .install(&[(A, &client(20)), (B, &server(21))])?;
        for (a, b) in [(v4(A), v4(B)), (v6(A), v6(B))] {
            let (a, b) = (at(a, 4000), at(b, 80));
            // B may not begin.
            let opening = Frame::tcp(b, a, TcpFlags::SYN);
            assert_eq!(
                node.cross(B, &opening).reason(),
                Some(DropReason::POLICY_DENIED)
            );
            // A may, and then B answers.
            let begun = node.cross(A, &Frame::tcp(a, b, TcpFlags::SYN));
            assert_eq!(begun.reason(), None);
            let cookies: Vec<_> = begun.seen.iter().map(|seen| seen.cookie.get()).collect();
            assert_eq!(cookies, [20, 21], "one verdict at each hook");
            let answer = node.cross(B, &Frame::tcp(b, a, TcpFlags::SYN | TcpFlags::ACK));
            assert_eq!(answer.reason(), None);
            assert!(answer.seen.is_empty(), "nothing new: {:?}", answer.seen);
            // A bare SYN is no answer.
            assert_eq!(
                node.cross(B, &opening).reason(),
                Some(DropReason::POLICY_DENIED)
            );
            // Another port is another flow.
            let other = Frame::tcp(b, at(a.ip(), 4001), TcpFlags::ACK);
            assert_eq!(
                node.cross(B, &other).reason(),
                Some(DropReason::POLICY_DENIED)
            );
            assert_eq!(
                node.cross(A, &Frame::tcp(a, b, TcpFlags::ACK)).reason(),
                None
            );
        }
        Ok(())
    })
}

pub(crate) fn a_change_stops_and_frees_a_running_flow(loader: Loader) -> Outcome {
    open(loader, |node| {
        let (a, b) = (at(v4(A), 4000), at(v4(B), 80));
        let forth = Frame::tcp(a, b, TcpFlags::ACK);
        let back = Frame::tcp(b, a, TcpFlags::ACK);
        for stopped in [A, B] {
            node.datapath
                .install(&[(A, &client(20)), (B, &server(21))])?;
            assert_eq!(node.cross(A, &forth).reason(), None);
            assert_eq!(node.cross(B, &back).reason(), None);

            node.datapath.install(&[(stopped, &nothing())])?;
            // Whichever way the next packet goes.
            assert_eq!(
                node.cross(B, &back).reason(),
                Some(DropReason::POLICY_DENIED)
            );
            assert_eq!(
                node.cross(A, &forth).reason(),
                Some(DropReason::POLICY_DENIED)
            );
            assert_eq!(
                node.cross(B, &back).reason(),
                Some(DropReason::POLICY_DENIED)
            );

            node.datapath
                .install(&[(A, &client(30)), (B, &server(31))])?;
            let freed = node.cross(B, &back);
            assert_eq!(freed.reason(), None, "the answer of a flow that goes on");
            let told = freed
                .seen
                .iter()
                .map(|seen| (seen.reply, seen.cookie.get()));
            let told: Vec<_> = told.collect();
            assert_eq!(told, [(Some(true), 31), (Some(true), 30)]);
            assert_eq!(node.cross(A, &forth).reason(), None);
            node.datapath.clear_flows()?;
        }
        Ok(())
    })
}

pub(crate) fn an_equal_verdict_is_no_news(loader: Loader) -> Outcome {
    open(loader, |node| {
        let frame = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
        assert_eq!(node.cross(A, &frame).seen.len(), 2);
        let wider: MapState = client(20).iter().chain(everything(16).iter()).collect();
        node.datapath.install(&[(B, &wider)])?;
        let again = node.cross(A, &frame);
        assert_eq!((again.reason(), again.seen.len()), (None, 0), "{again:?}");
        Ok(())
    })
}

pub(crate) fn a_relabel_takes_hold(loader: Loader) -> Outcome {
    open(loader, |node| {
        node.datapath.install(&[(B, &server(21))])?;
        let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
        let back = Frame::tcp(at(v4(B), 80), at(v4(A), 4000), TcpFlags::ACK);
        assert_eq!(node.cross(A, &forth).reason(), None);
        node.datapath.set_identity(A, IdentityId::new(1003))?;
        assert_eq!(
            node.cross(B, &back).reason(),
            Some(DropReason::POLICY_DENIED)
        );
        let dropped = node.cross(A, &forth);
        assert_eq!(dropped.reason(), Some(DropReason::POLICY_DENIED));
        let names: Vec<_> = dropped.seen.iter().map(|seen| seen.source.get()).collect();
        assert_eq!(names, [1003]);
        node.datapath.set_identity(A, ID_A)?;
        assert_eq!(node.cross(A, &forth).reason(), None);
        Ok(())
    })
}

pub(crate) fn a_successor_inherits_nothing(loader: Loader) -> Outcome {
    open(loader, |node| {
        node.datapath
            .install(&[(A, &client(20)), (B, &server(21))])?;
        let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
        let back = Frame::tcp(at(v4(B), 80), at(v4(A), 4000), TcpFlags::ACK);
        assert_eq!(node.cross(A, &forth).reason(), None);
        assert_eq!(node.cross(B, &back).reason(), None);

        // Another workload on the same address and device; it may be asked
        // and may ask, but B lets only the old identity in.
        node.datapath.remove_endpoint(A)?;
        let mut spec = node.spec(A);
        spec.identity = IdentityId::new(1003);
        node.datapath.add_endpoint(spec)?;
        assert_eq!(node.leave(A, &forth).reason(), Some(DropReason::NOT_READY));
        node.datapath.install(&[(A, &client(40))])?;
        node.datapath.set_ready(A)?;
        let left = node.leave(A, &forth);
        assert_eq!(left.reason(), None, "its own policy allows");
        let at_b = node.arrive(B, &forth, left.mark);
        assert_eq!(at_b.reason(), Some(DropReason::POLICY_DENIED));

        // And of the same identity: what B sends to the old one's connection
        // is a new connection to the successor.
        node.datapath.clear_flows()?;
        node.datapath.set_identity(A, ID_A)?;
        assert_eq!(node.cross(A, &forth).reason(), None);
        node.datapath.remove_endpoint(A)?;
        node.add(A)?;
        node.datapath.install(&[(A, &client(40))])?;
        node.datapath.set_ready(A)?;
        let mark = node.datapath.mark(B).ok_or("known")?;
        let late = node.arrive(A, &back, mark);
        assert_eq!(late.reason(), Some(DropReason::POLICY_DENIED), "{late:?}");
        Ok(())
    })
}

/// Endpoints come faster than the clock that tells their flows apart from those of others.
pub(crate) fn births_outrun_the_clock(loader: Loader) -> Outcome {
    let limits = Limits {
        endpoints: 4096,
        ..limits()
    };
    bare(loader, limits, |node| {
        let absent = EndpointSpec {
            id: EndpointId::new(9),
            ifindex: 4711,
            identity: IdentityId::new(1009),
            addresses: Vec::new(),
        };
        for _ in 0..3000 {
            assert!(node.datapath.add_endpoint(absent.clone()).is_err());
        }
        for (id, policy) in [(A, client(20)), (B, server(21))] {
            node.add(id)?;
            node.datapath.install(&[(id, &policy)])?;
            node.datapath.set_ready(id)?;
        }
        let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
        let back = Frame::tcp(at(v4(B), 80), at(v4(A), 4000), TcpFlags::ACK);
        assert_eq!(node.cross(A, &forth).reason(), None);
        assert_eq!(node.cross(B, &back).reason(), None);
        node.datapath.remove_endpoint(A)?;
        node.add(A)?;
        node.datapath.install(&[(A, &client(40))])?;
        node.datapath.set_ready(A)?;
        let mark = node.datapath.mark(B).ok_or("known")?;
        let late = node.arrive(A, &back, mark);
        assert_eq!(late.reason(), Some(DropReason::POLICY_DENIED), "{late:?}");
        Ok(())
    })
}

/// Both ends are others than when the flow began: neither is asked to answer for his forerunner.
pub(crate) fn successors_at_both_ends_inherit_nothing(loader: Loader) -> Outcome {
    open(loader, |node| {
        let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::SYN);
        let back = Frame::tcp(at(v4(B), 80), at(v4(A), 4000), TcpFlags::ACK);
        let settle = |node: &mut crate::node::Node, id, policy: &MapState| {
            node.datapath.remove_endpoint(id)?;
            node.add(id)?;
            node.datapath.install(&[(id, policy)])?;
            node.datapath
                .set_ready(id)
                .map_err(porin_testbed::suite::Failed::from)
        };
        node.datapath.set_held(B)?;
        assert_eq!(node.cross(A, &forth).reason(), Some(DropReason::NOT_READY));
        settle(node, A, &client(40))?;
        settle(node, B, &everything(41))?;
        let late = node.cross(B, &back);
        assert_eq!(late.reason(), Some(DropReason::POLICY_DENIED), "{late:?}");
        assert_eq!(node.cross(A, &forth).reason(), None, "his own flow");
        assert_eq!(node.cross(B, &back).reason(), None);
        Ok(())
    })
}

pub(crate) fn an_address_that_changes_hands(loader: Loader) -> Outcome {
    open(loader, |node| {
        let friend = IdentityId::new(2001);
        let stranger = IdentityId::new(2002);
        let allow = entry(Direction::Ingress, friend, ANY_PORT, EntryAction::Allow, 22);
        node.datapath
            .install(&[(B, &[allow].into_iter().collect())])?;
        for text in [
            "192.0.2.1/32",
            "198.51.100.0/24",
            "2001:db8::1/128",
            "2001:db8:1::/48",
        ] {
            let net: ipnet::IpNet = text.parse()?;
            let target = if net.addr().is_ipv4() { v4(B) } else { v6(B) };
            let frame = Frame::udp(at(net.addr(), 9), at(target, 9));
            let denied = Some(DropReason::POLICY_DENIED);
            assert_eq!(node.arrive(B, &frame, 0).reason(), denied, "{text}: world");
            node.datapath.upsert_prefix(net, friend)?;
            assert_eq!(node.arrive(B, &frame, 0).reason(), None, "{text}: friend");
            assert!(node.arrive(B, &frame, 0).seen.is_empty());
            node.datapath.upsert_prefix(net, stranger)?;
            assert_eq!(
                node.arrive(B, &frame, 0).reason(),
                denied,
                "{text}: stranger"
            );
            node.datapath.upsert_prefix(net, friend)?;
            assert_eq!(node.arrive(B, &frame, 0).reason(), None);
            node.datapath.remove_prefix(net)?;
            assert_eq!(
                node.arrive(B, &frame, 0).reason(),
                denied,
                "{text}: nobody's"
            );
        }
        Ok(())
    })
}

pub(crate) fn a_flow_ends(loader: Loader) -> Outcome {
    open(loader, |node| {
        let (a, b) = (at(v4(A), 4000), at(v4(B), 80));
        let kinds = |judged: &crate::node::Judged| {
            judged.seen.iter().map(|seen| seen.kind).collect::<Vec<_>>()
        };
        let send = |flags| Frame::tcp(a, b, flags);
        let verdicts = [ObservationKind::Verdict; 2];
        assert_eq!(kinds(&node.cross(A, &send(TcpFlags::SYN))), verdicts);
        let fin = TcpFlags::FIN | TcpFlags::ACK;
        assert_eq!(kinds(&node.cross(A, &send(fin))), []);
        let closed = node.cross(B, &Frame::tcp(b, a, fin));
        assert_eq!(kinds(&closed), [ObservationKind::Close], "told once");
        assert_eq!(
            kinds(&node.cross(A, &send(TcpFlags::ACK))),
            [],
            "the last words"
        );
        // The same ports again are a new flow, judged as such.
        assert_eq!(kinds(&node.cross(A, &send(TcpFlags::SYN))), verdicts);
        assert_eq!(
            kinds(&node.cross(A, &send(TcpFlags::RST))),
            [ObservationKind::Close]
        );
        let flows = node.datapath.flows()?;
        assert_eq!(flows.len(), 1);
        assert!(
            flows
                .iter()
                .all(|flow| flow.ended && flow.initiator == (a.ip(), a.port()))
        );
        Ok(())
    })
}

pub(crate) fn a_lost_entry_is_judged_again(loader: Loader) -> Outcome {
    open(loader, |node| {
        node.datapath
            .install(&[(A, &client(20)), (B, &server(21))])?;
        let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
        let back = Frame::tcp(at(v4(B), 80), at(v4(A), 4000), TcpFlags::ACK);
        assert_eq!(node.cross(A, &forth).reason(), None);
        node.datapath.clear_flows()?;
        assert_eq!(
            node.cross(B, &back).reason(),
            Some(DropReason::POLICY_DENIED)
        );
        assert_eq!(node.cross(A, &forth).reason(), None);
        assert_eq!(node.cross(B, &back).reason(), None);

        // B may begin as well, A may not be asked: an answer that came too
        // late is judged as B's own and must not lock A out of its flow.
        let both: MapState = server(21).iter().chain(everything(50).iter()).collect();
        node.datapath.install(&[(B, &both)])?;
        node.datapath.clear_flows()?;
        let late = node.cross(B, &back);
        assert_eq!(late.reason(), Some(DropReason::POLICY_DENIED));
        assert_eq!(node.cross(A, &forth).reason(), None);
        assert_eq!(node.cross(B, &back).reason(), None);
        assert!(
            late.seen
                .iter()
                .any(|seen| seen.cookie == RuleCookie::new(50))
        );
        Ok(())
    })
}

/// Both families share one trie, but a block of one says nothing of the other.
pub(crate) fn families_stay_apart(loader: Loader) -> Outcome {
    open(loader, |node| {
        let friend = IdentityId::new(2001);
        let allow = entry(Direction::Ingress, friend, ANY_PORT, EntryAction::Allow, 22);
        node.datapath
            .install(&[(B, &[allow].into_iter().collect())])?;
        let denied = Some(DropReason::POLICY_DENIED);
        let four = Frame::udp(at("192.0.2.1".parse()?, 9), at(v4(B), 9));
        let six = Frame::udp(at("2001:db8::1".parse()?, 9), at(v6(B), 9));
        let low = Frame::udp(at("::1:2".parse()?, 9), at(v6(B), 9));
        for block in ["::/0", "::/64", "::ffff:0:0/96", "::ffff:192.0.2.0/120"] {
            node.datapath.upsert_prefix(block.parse()?, friend)?;
            assert_eq!(node.arrive(B, &four, 0).reason(), denied, "{block}");
        }
        assert_eq!(node.arrive(B, &six, 0).reason(), None);
        assert_eq!(node.arrive(B, &low, 0).reason(), None);
        node.datapath.remove_prefix("::/0".parse()?)?;
        node.datapath.remove_prefix("::/64".parse()?)?;
        node.datapath.upsert_prefix("0.0.0.0/0".parse()?, friend)?;
        assert_eq!(node.arrive(B, &four, 0).reason(), None);
        assert_eq!(node.arrive(B, &six, 0).reason(), denied);
        assert_eq!(node.arrive(B, &low, 0).reason(), denied);
        Ok(())
    })
}
