//! The flow table when many want a place in it.

use porin_datapath::{Frame, Limits, Loader};
use porin_flow::{DropReason, TcpFlags};
use porin_policy::{Direction, EntryAction, MapState};
use porin_testbed::suite::Outcome;

use crate::node::{A, B, ID_A, ID_B, Node, at, bare, entry, everything, limits, tcp_port, v4};

/// Both endpoints under a policy, with room for so many flows.
fn room(
    loader: Loader,
    flows: u32,
    policy: &MapState,
    body: impl FnOnce(&mut Node) -> Outcome + Send,
) -> Outcome {
    let small = Limits { flows, ..limits() };
    bare(loader, small, |node| {
        for id in [A, B] {
            node.add(id)?;
            node.datapath.install(&[(id, policy)])?;
            node.datapath.set_ready(id)?;
        }
        body(node)
    })
}

fn datagram(number: u16) -> Frame {
    Frame::udp(at(v4(A), 1024 + number), at(v4(B), 53))
}

pub(crate) fn two_thirds_fit_without_a_loss(loader: Loader) -> Outcome {
    room(loader, 4096, &everything(16), |node| {
        let count = 4096 / 3 * 2;
        for number in 0..count {
            assert_eq!(node.cross(A, &datagram(number)).reason(), None);
        }
        assert_eq!(node.datapath.flows()?.len(), usize::from(count));
        for number in 0..count {
            let known = node.cross(A, &datagram(number));
            assert_eq!((known.reason(), known.seen.len()), (None, 0), "{number}");
        }
        Ok(())
    })
}

/// Of flows that compete for a place the one goes that would end first anyway.
pub(crate) fn a_flood_spares_what_lives_longer(loader: Loader) -> Outcome {
    room(loader, 64, &everything(16), |node| {
        let (a, b) = (at(v4(A), 4000), at(v4(B), 80));
        let forth = Frame::tcp(a, b, TcpFlags::ACK);
        let back = Frame::tcp(b, a, TcpFlags::ACK);
        node.cross(A, &Frame::tcp(a, b, TcpFlags::SYN));
        assert_eq!(node.cross(B, &back).reason(), None);
        for number in 0..2000 {
            assert_eq!(node.cross(A, &datagram(number)).reason(), None);
        }
        assert!(node.datapath.flows()?.len() <= 64);
        for frame in [(A, &forth), (B, &back)] {
            let known = node.cross(frame.0, frame.1);
            assert_eq!((known.reason(), known.seen.len()), (None, 0));
        }
        Ok(())
    })
}

/// A flow that lost its place is judged like a new one: who may begin goes on, who may only answer
/// does not.
pub(crate) fn a_full_table_opens_nothing(loader: Loader) -> Outcome {
    let one_way: MapState = [
        entry(
            Direction::Egress,
            ID_B,
            tcp_port(80),
            EntryAction::Allow,
            20,
        ),
        entry(
            Direction::Ingress,
            ID_A,
            tcp_port(80),
            EntryAction::Allow,
            21,
        ),
    ]
    .into_iter()
    .collect();
    room(loader, 8, &one_way, |node| {
        let denied = Some(DropReason::POLICY_DENIED);
        let ends = |port| (at(v4(A), port), at(v4(B), 80));
        for port in 1024..1224 {
            let (a, b) = ends(port);
            assert_eq!(
                node.cross(A, &Frame::tcp(a, b, TcpFlags::SYN)).reason(),
                None
            );
        }
        assert!(node.datapath.flows()?.len() <= 8);
        let (mut known, mut lost) = (0, 0);
        for port in 1024..1224 {
            let (a, b) = ends(port);
            let answer = node.cross(B, &Frame::tcp(b, a, TcpFlags::ACK)).reason();
            if answer.is_none() {
                known += 1;
            } else {
                assert_eq!(answer, denied);
                lost += 1;
            }
        }
        assert!(
            (1..=8).contains(&known) && lost >= 192,
            "{known} known, {lost} lost"
        );
        let (a, b) = ends(1024);
        assert_eq!(
            node.cross(A, &Frame::tcp(a, b, TcpFlags::ACK)).reason(),
            None
        );
        assert_eq!(
            node.cross(B, &Frame::tcp(b, a, TcpFlags::ACK)).reason(),
            None
        );
        Ok(())
    })
}
