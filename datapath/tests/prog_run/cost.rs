//! What a packet costs, in lookups of a 16-byte key.

use std::time::Duration;

use porin_datapath::{Floor, Frame, Hook, Loader, TestPacket};
use porin_flow::TcpFlags;
use porin_policy::{Direction, EntryAction};
use porin_testbed::suite::{Failed, Outcome};

use crate::node::{A, B, ID_B, at, entry, open, tcp_port, v4, v6};

const REPEAT: u32 = 100_000;
/// As many rounds as are measured anyway, and as a busy machine gets.
const ROUNDS: usize = 9;
const MOST_ROUNDS: usize = 200;

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
            let round = || {
                Ok([
                    per_run(floor.empty(&packet(a, 0), REPEAT)?),
                    per_run(floor.lookup(&packet(a, 0), REPEAT)?),
                    per_run(from.time(&packet(a, 0), REPEAT)?),
                    per_run(to.time(&packet(b, mark), REPEAT)?),
                ])
            };
            let cost = |[empty, lookup, leave, arrive]: [f64; 4]| {
                [(leave + arrive - 2.0 * empty) / (lookup - empty)]
            };
            // Far above what is measured: this guards against a lookup too many.
            let [units] = least(round, cost, [25.0])?;
            eprintln!("{name}: both hooks {units:.1} units");
            assert!(units < 25.0, "{units:.1} units");
        }
        Ok(())
    })
}

fn per_run(total: Duration) -> f64 {
    total.as_secs_f64() * 1e9 / f64::from(REPEAT)
}

/// The cost by the least of each column. Whatever else the machine does only
/// adds to a measurement, so a cost above its bound is measured some more.
fn least<const N: usize>(
    mut round: impl FnMut() -> Result<[f64; 4], Failed>,
    cost: impl Fn([f64; 4]) -> [f64; N],
    bounds: [f64; N],
) -> Result<[f64; N], Failed> {
    let mut least = [f64::INFINITY; 4];
    let mut costs = [f64::INFINITY; N];
    for number in 1..=MOST_ROUNDS {
        let now = round()?;
        least = std::array::from_fn(|column| least[column].min(now[column]));
        costs = cost(least);
        let within = |(cost, bound): (&f64, f64)| (0.0..bound).contains(cost);
        if number >= ROUNDS && costs.iter().zip(bounds).all(within) {
            break;
        }
    }
    Ok(costs)
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
        let events = &mut node.events;
        let round = || {
            let mut each = |frame| -> Result<f64, Failed> {
                let total = from.time(&packet(frame), FEW)?;
                // Each had its event: nothing was saved by a full ring.
                assert_eq!(events.drain(|_| {}), usize::try_from(FEW)?);
                Ok(total.as_secs_f64() * 1e9 / f64::from(FEW))
            };
            Ok([
                per_run(floor.empty(&packet(&refused), REPEAT)?),
                per_run(floor.lookup(&packet(&refused), REPEAT)?),
                each(&refused)?,
                each(&begun)?,
            ])
        };
        let cost = |[empty, lookup, dropped, new]: [f64; 4]| {
            [dropped, new].map(|cost| (cost - empty) / (lookup - empty))
        };
        let [dropped, new] = least(round, cost, [60.0, 120.0])?;
        eprintln!("one hook: dropped {dropped:.1} units, new {new:.1} units");
        assert!(dropped < 60.0 && new < 120.0, "{dropped:.1} {new:.1}");
        Ok(())
    })
}

/// So few that their events fit into the ring.
const FEW: u32 = 500;
