//! What a packet costs, in lookups of a 16-byte key.

use std::time::Duration;

use porin_datapath::{Floor, Frame, Hook, Loader, TestPacket};
use porin_flow::TcpFlags;
use porin_policy::{Direction, EntryAction};
use porin_testbed::suite::Outcome;

use crate::node::{A, B, ID_B, at, entry, open, tcp_port, v4, v6};

const REPEAT: u32 = 100_000;
const ROUNDS: usize = 9;

/// Both hooks of an established flow, less two empty programs.
pub(crate) fn established(loader: Loader) -> Outcome {
    open(loader, |node| {
        let floor = Floor::load()?;
        let from = node.datapath.program(Hook::FromEndpoint)?;
        let to = node.datapath.program(Hook::ToEndpoint)?;
        for (name, one, other) in [("ipv4", v4(A), v4(B)), ("ipv6", v6(A), v6(B))] {
            let frame = Frame::tcp(at(one, 4000), at(other, 80), TcpFlags::ACK);
            let crossed = node.cross(A, &frame);
            assert!(crossed.passed, "{crossed:?}");
            let mark = node.datapath.mark(A).ok_or("the endpoint is there")?;
            let packet = |ifindex, mark| TestPacket {
                bytes: frame.bytes(),
                ifindex,
                mark,
            };
            let [a, b] = node.devices;
            let mut rounds: Vec<[f64; 4]> = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push([
                    per_run(floor.empty(&packet(a, 0), REPEAT)?),
                    per_run(floor.lookup(&packet(a, 0), REPEAT)?),
                    per_run(from.time(&packet(a, 0), REPEAT)?),
                    per_run(to.time(&packet(b, mark), REPEAT)?),
                ]);
            }
            let [empty, lookup, leave, arrive] = medians(&rounds);
            let unit = lookup - empty;
            let units = (leave + arrive - 2.0 * empty) / unit;
            eprintln!(
                "{name}: empty {empty:.1} ns, lookup unit {unit:.1} ns, from {leave:.1} ns, to {arrive:.1} ns: {units:.1} units"
            );
            // Far above what is measured: this guards against a lookup too many, not against noise.
            assert!(units < 25.0, "{units:.1} units");
        }
        Ok(())
    })
}

fn per_run(total: Duration) -> f64 {
    total.as_secs_f64() * 1e9 / f64::from(REPEAT)
}

fn medians(rounds: &[[f64; 4]]) -> [f64; 4] {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// A packet that policy refuses at the first hook, with its event; and one that
/// begins a flow there, also with its event, which a SYN with a FIN does each time.
pub(crate) fn dropped_and_new(loader: Loader) -> Outcome {
    open(loader, |node| {
        let floor = Floor::load()?;
        let from = node.datapath.program(Hook::FromEndpoint)?;
        let web = entry(
            Direction::Egress,
            ID_B,
            tcp_port(80),
            EntryAction::Allow,
            20,
        );
        node.datapath
            .install(&[(A, &[web].into_iter().collect())])?;
        let frame = |port, flags| Frame::tcp(at(v4(A), 4000), at(v4(B), port), flags);
        let refused = frame(81, TcpFlags::SYN);
        let begun = frame(80, TcpFlags::SYN | TcpFlags::FIN);
        let packet = |frame| TestPacket {
            bytes: Frame::bytes(frame),
            ifindex: node.devices[0],
            mark: 0,
        };
        let mut rounds: Vec<[f64; 4]> = Vec::new();
        for _ in 0..15 {
            let events = &mut node.events;
            let mut each = |frame| -> Result<f64, porin_testbed::suite::Failed> {
                let total = from.time(&packet(frame), FEW)?;
                // Each had its event: nothing was saved by a full ring.
                assert_eq!(events.drain(|_| {}), usize::try_from(FEW)?);
                Ok(total.as_secs_f64() * 1e9 / f64::from(FEW))
            };
            rounds.push([
                per_run(floor.empty(&packet(&refused), REPEAT)?),
                per_run(floor.lookup(&packet(&refused), REPEAT)?),
                each(&refused)?,
                each(&begun)?,
            ]);
        }
        let [empty, lookup, dropped, new] = medians(&rounds);
        let units = |cost: f64| (cost - empty) / (lookup - empty);
        let (dropped, new) = (units(dropped), units(new));
        eprintln!("one hook: dropped {dropped:.1} units, new {new:.1} units");
        assert!(dropped < 60.0 && new < 120.0, "{dropped:.1} {new:.1}");
        Ok(())
    })
}

/// So few that their events fit into the ring.
const FEW: u32 = 500;
