//! What is told of flows as a whole: at their end, and while they go on.

use std::path::Path;
use std::time::Duration;

use porin_datapath::sys::Map;
use porin_datapath::{Aggregation, Config, Datapath, Frame, Loader};
use porin_flow::{Observation, ObservationKind, TcpFlags, Traffic};
use porin_policy::{Direction, RuleCookie};
use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome};

use crate::adoption::{config, node, rest};
use crate::common::with_bpffs;
use crate::node::{A, B, ID_A, ID_B, Node, at, everything, open, v4};

fn there(flags: TcpFlags) -> Frame {
    Frame::tcp(at(v4(A), 4000), at(v4(B), 80), flags)
}

fn back(flags: TcpFlags) -> Frame {
    Frame::tcp(at(v4(B), 80), at(v4(A), 4000), flags)
}

/// The end of a flow says what it came to, and by which rule it was allowed.
pub(crate) fn a_flow_ends_with_its_totals(loader: Loader) -> Outcome {
    open(loader, |node| {
        let frames = [
            (A, there(TcpFlags::SYN)),
            (B, back(TcpFlags::SYN | TcpFlags::ACK)),
            (A, there(TcpFlags::ACK)),
            (B, back(TcpFlags::ACK)),
            (A, there(TcpFlags::FIN | TcpFlags::ACK)),
        ];
        for (from, frame) in &frames {
            let crossed = node.cross(*from, frame);
            let told = crossed.seen.iter().any(|seen| seen.totals.is_some());
            assert!(crossed.passed && !told, "{crossed:?}");
        }
        let last = back(TcpFlags::FIN | TcpFlags::ACK);
        let seen = node.cross(B, &last).seen;
        let [end] = seen.as_slice() else {
            return Err(format!("one end is told: {seen:?}").into());
        };
        assert_eq!(end.kind, ObservationKind::Close);
        assert_eq!(end.cookie, RuleCookie::new(16));
        let totals = end.totals.ok_or("the end has totals")?;
        let length = last.bytes().len() as u64;
        let traffic = |packets: u32| Traffic {
            packets,
            bytes: u64::from(packets) * length,
        };
        assert_eq!((totals.sent, totals.received), (traffic(3), traffic(3)));
        let second = Duration::from_secs(1);
        assert!(totals.handshake.is_some_and(|took| took < second) && totals.age < second);
        Ok(())
    })
}

/// Runs `body` on a node that tells so much, with the table of its flows.
fn telling(
    loader: Loader,
    aggregation: Aggregation,
    body: impl Fn(&mut Node, &Map) -> Outcome + Sync,
) -> Outcome {
    let begin = |root: &Path| -> Outcome {
        let (namespace, peer) = (Namespace::current()?, Namespace::new()?);
        let devices = [
            namespace.veth("a", &peer, "a")?.index,
            namespace.veth("b", &peer, "b")?.index,
        ];
        let config = Config {
            aggregation,
            ..config(loader, root)
        };
        let mut node = node(Datapath::open(&config)?, devices)?;
        for id in [A, B] {
            node.add(id)?;
            node.datapath.install(&[(id, &everything(16))])?;
            node.datapath.set_ready(id)?;
        }
        let flows = Map::from_pin(&root.join("node/maps/flows"))?;
        body(&mut node, &flows)?;
        Ok(node.datapath.close()?)
    };
    Namespace::new()?.run(|| with_bpffs(begin))?
}

fn traces(node: &mut Node, from: porin_flow::EndpointId, frame: &Frame) -> Vec<Observation> {
    let crossed = node.cross(from, frame);
    assert!(crossed.passed, "{crossed:?}");
    let is_trace = |seen: &Observation| seen.kind == ObservationKind::Trace;
    crossed.seen.into_iter().filter(is_trace).collect()
}

/// A flow that goes on is reported when it takes a new state and when its time has come; once, by
/// the hook that its packet meets first.
pub(crate) fn a_flow_that_goes_on_is_reported(loader: Loader) -> Outcome {
    let hour = Duration::from_secs(3600);
    telling(loader, Aggregation::Interval(hour), |node, flows| {
        assert_eq!(traces(node, A, &there(TcpFlags::SYN)), []);
        assert_eq!(
            traces(node, B, &back(TcpFlags::SYN | TcpFlags::ACK)).len(),
            1,
            "answered"
        );
        assert_eq!(
            traces(node, A, &there(TcpFlags::ACK)).len(),
            1,
            "established"
        );
        assert_eq!(traces(node, A, &there(TcpFlags::ACK)), []);
        assert_eq!(traces(node, B, &back(TcpFlags::ACK)), []);
        rest(flows, 3400)?;
        let seen = traces(node, A, &there(TcpFlags::ACK));
        let [report] = seen.as_slice() else {
            return Err(format!("one report: {seen:?}").into());
        };
        assert_eq!((report.endpoint, report.direction), (A, Direction::Egress));
        let totals = report.totals.ok_or("a report has totals")?;
        assert_eq!((totals.sent.packets, totals.received.packets), (4, 2));
        assert_eq!(traces(node, A, &there(TcpFlags::ACK)), []);
        Ok::<(), Failed>(())
    })?;
    telling(loader, Aggregation::Packets, |node, _| {
        traces(node, A, &there(TcpFlags::SYN));
        for _ in 0..3 {
            assert_eq!(traces(node, B, &back(TcpFlags::ACK)).len(), 2);
        }
        Ok(())
    })
}

/// What falls silent is told of once, by who looks; not what a packet has ended.
pub(crate) fn silence_is_told_of(loader: Loader) -> Outcome {
    telling(loader, Aggregation::Flows, |node, flows| {
        let (a, b) = (at(v4(A), 4000), at(v4(B), 53));
        let (question, answer) = (Frame::udp(a, b), Frame::udp(b, a));
        let sweep = |node: &mut Node| -> Result<Vec<Observation>, Failed> {
            let mut seen = Vec::new();
            node.datapath.sweep(|observation| seen.push(observation))?;
            Ok(seen)
        };
        for round in 0..2 {
            assert!(node.cross(A, &question).passed && node.cross(B, &answer).passed);
            assert!(node.cross(A, &there(TcpFlags::SYN)).passed);
            assert!(node.cross(B, &back(TcpFlags::RST)).passed);
            assert_eq!(sweep(node)?, [], "nothing is over");
            rest(flows, 70)?;
            let seen = sweep(node)?;
            let [end] = seen.as_slice() else {
                return Err(format!("one end in round {round}: {seen:?}").into());
            };
            assert_eq!(end.kind, ObservationKind::Close);
            assert_eq!((end.endpoint, end.direction), (A, Direction::Egress));
            assert_eq!((end.source, end.destination), (ID_A, ID_B));
            assert_eq!(
                (end.tuple.source_port, end.tuple.destination_port),
                (4000, 53)
            );
            assert_eq!(end.cookie, RuleCookie::new(16));
            let totals = end.totals.ok_or("the end has totals")?;
            let length = question.bytes().len() as u64;
            let once = Traffic {
                packets: 1,
                bytes: length,
            };
            assert_eq!((totals.sent, totals.received), (once, once));
            assert_eq!(sweep(node)?, [], "told once");
        }
        Ok(())
    })
}
