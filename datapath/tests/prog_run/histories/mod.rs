//! Whatever happened before and whatever a frame is made of: the programs and a model of the node,
//! which reads every frame and judges every packet anew, say the same.
//!
//! Policies, names, addresses, blocks, readiness, leases and time change between the packets; these
//! are whole, fragmented, extended, tagged, errors about others, and spoiled. No packet passes that
//! the model denies. `PORIN_SEED` repeats a run, `PORIN_PACKETS` sets its length.

mod changes;
mod flows;
mod frames;
mod model;
mod reading;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use porin_datapath::sys::Map;
use porin_datapath::{Config, Datapath, Frame, Hook, Limits, Loader, Pins};
use porin_flow::{DropReason, EndpointId};
use porin_policy::Direction;
use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome};

use crate::adoption::node;
use crate::common::{number, with_bpffs};
use crate::node::{A, B, Node, limits};
use crate::random::Random;
use frames::{Sketch, foreign, spoil};
use model::{Fate, Model, PROVEN, mark_of};

const PACKETS: u64 = 10_000;
/// After so many everything about flows is forgotten: no table overflows and no clock matters.
const ROUND: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(4);
const REMEMBERED: usize = 64;

pub(crate) fn kernel_and_model_agree(loader: Loader) -> Outcome {
    Namespace::new()?.run(|| with_bpffs(|root| agree(loader, root)))?
}

fn agree(loader: Loader, root: &Path) -> Outcome {
    let random = Random::announced("histories");
    let packets = number("PORIN_PACKETS").unwrap_or(PACKETS);
    let (namespace, peer) = (Namespace::current()?, Namespace::new()?);
    let devices = [
        namespace.veth("a", &peer, "a")?.index,
        namespace.veth("b", &peer, "b")?.index,
    ];
    let config = Config {
        loader,
        limits: Limits {
            flows: 16_384,
            fragments: 1 << 16,
            ..limits()
        },
        pins: Pins::Dir(root.join("node")),
        ..Config::default()
    };
    let node = node(Datapath::open(&config)?, devices)?;
    let flows = Map::from_pin(&root.join("node/maps/flows"))?;
    let mut trial = Trial::new(node, flows, random)?;
    while trial.judged < packets {
        trial.step()?;
    }
    trial.finish()
}

struct Trial {
    random: Random,
    node: Node,
    flow_table: Map,
    model: Model,
    recent: VecDeque<Sketch>,
    round_ends: u64,
    round_began: Instant,
    judged: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Trial {
    fn new(node: Node, flow_table: Map, random: Random) -> Result<Self, Failed> {
        let mut trial = Self {
            random,
            node,
            flow_table,
            model: Model::default(),
            recent: VecDeque::new(),
            round_ends: ROUND,
            round_began: Instant::now(),
            judged: 0,
            counts: BTreeMap::new(),
        };
        for id in [A, B] {
            trial.settle(id)?;
        }
        Ok(trial)
    }

    fn step(&mut self) -> Outcome {
        if self.judged >= self.round_ends || self.round_began.elapsed() > PATIENCE {
            self.round_ends = self.judged + ROUND;
            self.round_began = Instant::now();
            self.forget_flows()?;
        }
        let pause = if self.is_troubled() { 60 } else { 250 };
        if self.random.below(pause) == 0 {
            return self.change();
        }
        let id = self.random.pick(&[A, B]);
        match self.random.below(10) {
            0..6 => self.send(id),
            _ => self.receive(id),
        }
    }

    /// The endpoint sends; what is for the other one goes on to it.
    fn send(&mut self, id: EndpointId) -> Outcome {
        let frame = self.frame(id, Direction::Egress);
        let noise = if self.random.chance(20) {
            self.mark()
        } else {
            0
        };
        let Some(mark) = self.judge(Direction::Egress, id, &frame, noise)? else {
            return Ok(());
        };
        let to = if id == A { B } else { A };
        let mark = if self.random.chance(90) {
            mark
        } else {
            self.mark()
        };
        self.judge(Direction::Ingress, to, &frame, mark).map(drop)
    }

    /// Something reaches the endpoint from beyond the node, or seems to.
    fn receive(&mut self, id: EndpointId) -> Outcome {
        let frame = self.frame(id, Direction::Ingress);
        let mark = if self.random.chance(30) {
            self.mark()
        } else {
            0
        };
        self.judge(Direction::Ingress, id, &frame, mark).map(drop)
    }

    /// Gives one frame to the kernel and to the model. The mark that it bears afterwards, if it passed.
    fn judge(
        &mut self,
        way: Direction,
        id: EndpointId,
        frame: &Frame,
        mark: u32,
    ) -> Result<Option<u32>, Failed> {
        let fate = self.model.judge(way, id, frame.bytes(), mark);
        if fate == Fate::Uncertain {
            return Ok(None);
        }
        let hook = match way {
            Direction::Egress => Hook::FromEndpoint,
            Direction::Ingress => Hook::ToEndpoint,
        };
        let judged = self.node.judge(hook, id, frame.bytes(), mark);
        let reason = judged.reason();
        let agrees = match fate {
            Fate::Passes => reason.is_none(),
            Fate::Dropped(expected) => reason == Some(expected),
            Fate::Uncertain => true,
        };
        let own = self.model.land.homes.get(&id).map(|home| home.identity);
        let marked = match (way, reason, own) {
            (Direction::Egress, None, Some(own)) => judged.mark & !PROVEN == mark_of(own),
            _ => true,
        };
        if !agrees || !marked {
            let what = match (fate, reason) {
                (Fate::Dropped(_), None) => "passed though the model denies it",
                _ => "not judged as the model does",
            };
            return Err(format!(
                "packet {}, {what}: {way} at {id}, mark {mark:#x}, {:02x?} read as {:?}: the model says \
                 {fate:?}, the kernel {judged:?}, of {:#?}",
                self.judged,
                frame.bytes(),
                reading::read(frame.bytes()),
                self.model.land,
            )
            .into());
        }
        self.judged += 1;
        let name = reason.map_or("forwarded", DropReason::name);
        *self.counts.entry(name).or_default() += 1;
        Ok(judged.passed.then_some(judged.mark))
    }

    fn mark(&mut self) -> u32 {
        let identity = self.random.pick(&changes::NAMES);
        match self.random.below(6) {
            0 => self.random.next() as u32,
            1 => mark_of(identity) ^ self.random.pick(&[1, PROVEN]),
            2 => 0,
            _ => mark_of(identity),
        }
    }

    fn frame(&mut self, id: EndpointId, way: Direction) -> Frame {
        let (own, far) = self.ends(id);
        let sketch = self.sketch(own, far, way);
        self.recent.push_back(sketch);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        let random = &mut self.random;
        let mut frame = match random.below(20) {
            0 | 1 => sketch.fragment(random),
            2 => sketch.extended(random),
            3 | 4 => {
                let place = random.below(self.recent.len() as u64) as usize;
                let about = self.recent[place];
                let from = match (random.chance(70), about.source.is_ipv4() == own.is_ipv4()) {
                    (true, _) => about.destination,
                    (false, true) => own,
                    (false, false) => far,
                };
                about.error(random, from)
            }
            5 if random.chance(40) => {
                let inner = sketch.whole(random);
                foreign(random, &inner, own)
            }
            _ => sketch.whole(random),
        };
        if random.chance(15) {
            spoil(random, &mut frame);
        }
        frame
    }

    /// A new packet, or one of a flow that was seen, as it goes this way.
    fn sketch(&mut self, own: IpAddr, far: IpAddr, way: Direction) -> Sketch {
        let (source, destination) = match way {
            Direction::Egress => (own, far),
            Direction::Ingress => (far, own),
        };
        if self.random.chance(50) && !self.recent.is_empty() {
            for _ in 0..4 {
                let place = self.random.below(self.recent.len() as u64) as usize;
                let next = self.recent[place].next(&mut self.random);
                let at_home = match way {
                    Direction::Egress => next.source == own,
                    Direction::Ingress => next.destination == own,
                };
                if at_home {
                    return next;
                }
            }
        }
        Sketch::random(&mut self.random, source, destination)
    }

    fn finish(mut self) -> Outcome {
        let parts: Vec<_> = self
            .counts
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        eprintln!(
            "histories: {} packets, {} changes, 0 disagreements: {}",
            self.judged,
            self.model.changes,
            parts.join(", ")
        );
        assert!(self.counts.len() >= 12, "many reasons were met");
        let forwarded = self.counts.remove("forwarded").unwrap_or_default();
        assert!(forwarded > self.judged / 20, "it was not all dropped");
        let dropped: u64 = self.counts.values().sum();
        let counted = self.node.datapath.counters()?;
        let counted: u64 = counted.iter().map(|counter| counter.packets).sum();
        assert_eq!(counted, dropped, "the kernel counted every drop");
        Ok(self.node.datapath.close()?)
    }
}
