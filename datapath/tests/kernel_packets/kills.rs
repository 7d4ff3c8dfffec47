//! A process that changes policies without a pause, killed at any moment, again and again.
//!
//! The policies come in turns. Each lets a client use one port more of its server, another one than
//! its neighbours in time, and keeps what always goes on: a connection and a conversation by
//! datagrams. Before a turn the process notes which one it wants, afterwards which one it has. So
//! every packet that arrives can be held against the policies that were in force, or coming into
//! force, between its departure and its arrival.

use std::fs::File;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use porin_datapath::{AttachMode, Config, Datapath, EndpointSpec, Limits};
use porin_identity::IdentityId;
use porin_policy::{MapState, Protocol};
use porin_testbed::{Process, suite};

use crate::common::random::Random;
use crate::common::{Failure, listing, number, spawn_role, start_role, with_bpffs};
use crate::lifetime::{ask_on, attached, describe, knock_on, parse, passes, pinned};
use crate::scene::{self, Pod, allow, client, node, policy};
use crate::traffic::{Datagrams, Echo, Stream, Talk, unspecified};

const KILLS: u64 = 4;
/// What every policy allows.
const STEADY: u16 = 8080;
/// The first port of those that take turns, and how many there are.
const TURNS: u16 = 9000;
const PERIOD: u16 = 8;
/// As the pods are numbered.
const FRIEND: IdentityId = IdentityId::new(1001);

/// Room for every flow of the turns: one that lost its place is judged like a new one.
pub(crate) fn config() -> Config {
    let small = scene::config();
    Config {
        limits: Limits {
            flows: 65_536,
            ..small.limits
        },
        ..small
    }
}

/// The turn that is in force at least, and the one that may be at most.
#[derive(Clone, Copy, Debug)]
struct Turns {
    done: u64,
    wanted: u64,
}

/// Where the process notes its turns; two numbers, each written by one call.
struct Notes(File);

impl Notes {
    fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false);
        Ok(Self(file.open(path)?))
    }

    fn number(&self, place: u64) -> Result<u64, Failure> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 8 * place)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn write(&self, place: u64, turn: u64) -> Result<(), Failure> {
        Ok(self.0.write_all_at(&turn.to_be_bytes(), 8 * place)?)
    }

    /// Puts a policy in force between two notes.
    fn turn(
        &self,
        turn: u64,
        install: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.write(0, turn)?;
        install()?;
        self.write(1, turn)
    }

    fn wanted(&self) -> Result<u64, Failure> {
        self.number(0)
    }

    fn done(&self) -> Result<u64, Failure> {
        self.number(1)
    }
}

fn port_of(turn: u64) -> u16 {
    TURNS + u16::try_from(turn % u64::from(PERIOD)).unwrap_or_default()
}

fn policy_of(turn: u64) -> MapState {
    policy([
        allow(FRIEND, Protocol::UDP, STEADY, 101),
        allow(FRIEND, Protocol::TCP, STEADY, 102),
        allow(FRIEND, Protocol::UDP, port_of(turn), 103),
    ])
}

/// The process that is killed: turns, names, blocks, and a pod that comes and goes.
pub(crate) fn churn(arguments: &[String]) -> Result<(), Failure> {
    let [directory, mode, notes, pods @ ..] = arguments else {
        return Err("a directory, a mode and a file are needed".into());
    };
    let specs: Result<Vec<_>, _> = pods.iter().map(|pod| parse(pod)).collect();
    let Ok([client_pod, server, third]) = <[EndpointSpec; 3]>::try_from(specs?) else {
        return Err("three pods are needed".into());
    };
    let mut config = pinned(&config(), Path::new(directory));
    if mode == "Clsact" {
        config.attach = AttachMode::Clsact;
    }
    let notes = Notes::open(Path::new(notes))?;
    let mut datapath = Datapath::open(&config)?;
    let settle = |datapath: &mut Datapath, spec: &EndpointSpec, policy: &MapState| {
        if !datapath
            .endpoints()
            .iter()
            .any(|dump| dump.spec.id == spec.id)
        {
            datapath.add_endpoint(spec.clone())?;
        }
        datapath.install(&[(spec.id, policy)])?;
        Ok::<_, Failure>(datapath.set_ready(spec.id)?)
    };
    // What was wanted last, whether it came about or not.
    let first = notes.wanted()?;
    notes.turn(first, || settle(&mut datapath, &server, &policy_of(first)))?;
    for spec in [&client_pod, &third] {
        settle(&mut datapath, spec, &client())?;
    }
    println!("ready");
    for turn in first + 1.. {
        notes.turn(turn, || {
            datapath.install(&[(server.id, &policy_of(turn))])?;
            Ok(())
        })?;
        let block = format!("192.0.2.{}/32", turn % 5).parse()?;
        datapath.upsert_prefix(block, IdentityId::new(2000 + u32::try_from(turn % 3)?))?;
        if turn % 4 == 3 {
            datapath.remove_endpoint(third.id)?;
            settle(&mut datapath, &third, &client())?;
        }
        datapath.set_identity(third.id, IdentityId::new(3000 + u32::try_from(turn % 9)?))?;
    }
    Ok(())
}

/// Packets to the ports that take turns, and which of them arrived.
struct Law<'a> {
    notes: &'a Notes,
    stop: &'a AtomicBool,
}

/// What came of the packets to the ports that take turns.
#[derive(Default)]
struct Tally {
    arrived: u64,
    /// Of those, such that at most two policies can have let through.
    sharp: u64,
    unlawful: Vec<String>,
}

impl Law<'_> {
    /// Sends to every port in turn; each packet says which turn was in force when it left.
    fn send(&self, pod: &Pod, to: IpAddr) -> Result<u64, Failure> {
        let bind = || UdpSocket::bind((unspecified(false), 0));
        let running = pod.namespace.run(bind)??;
        let mut fresh = pod.namespace.run(bind)??;
        let mut sent = 0_u64;
        while !self.stop.load(Ordering::Acquire) {
            // Half of them on flows that run, half on newer ones; so many that the table holds them all.
            if sent.is_multiple_of(50 * u64::from(PERIOD)) {
                fresh = pod.namespace.run(bind)??;
            }
            for port in TURNS..TURNS + PERIOD {
                for socket in [&running, &fresh] {
                    let done = self.notes.done()?;
                    // Where nobody may pass nobody complains either.
                    let _ = socket.send_to(&done.to_be_bytes(), (to, port));
                    sent += 1;
                }
            }
            thread::sleep(Duration::from_micros(500));
        }
        Ok(sent)
    }

    /// Holds what arrives against the turns that may have been in force on its way.
    fn receive(&self, pod: &Pod) -> Result<Tally, Failure> {
        let bind = |port| -> Result<_, Failure> {
            let socket = pod.namespace.run(|| UdpSocket::bind((pod.v4, port)))??;
            socket.set_nonblocking(true)?;
            Ok((port, socket))
        };
        let sockets: Vec<_> = (TURNS..TURNS + PERIOD)
            .map(bind)
            .collect::<Result<_, _>>()?;
        let mut tally = Tally::default();
        while !self.stop.load(Ordering::Acquire) {
            for (port, socket) in &sockets {
                let mut done = [0; 8];
                while socket.recv(&mut done).is_ok() {
                    let turns = Turns {
                        done: u64::from_be_bytes(done),
                        wanted: self.notes.wanted()?,
                    };
                    tally.hold(*port, turns);
                }
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(tally)
    }
}

impl Tally {
    fn hold(&mut self, port: u16, turns: Turns) {
        self.arrived += 1;
        self.sharp += u64::from(turns.wanted <= turns.done + 1);
        let lawful = (turns.done..=turns.wanted).any(|turn| port_of(turn) == port);
        if !lawful {
            self.unlawful.push(format!("port {port} under {turns:?}"));
        }
    }
}

/// Somebody who leaves the processors to the process that is to start.
struct Unhurried<'a>(&'a mut dyn Talk);

impl Talk for Unhurried<'_> {
    fn ask(&mut self, mark: u64, limit: Duration) -> Result<bool, Failure> {
        thread::sleep(Duration::from_micros(300));
        self.0.ask(mark, limit)
    }
}

/// A node whose process can be started and killed.
struct Node<'a> {
    pods: &'a [Pod],
    namespace: &'a porin_testbed::Namespace,
    arguments: Vec<String>,
    random: Random,
}

impl Node<'_> {
    /// Starts the process and kills it: while it starts, or while it changes what is in force.
    fn live_and_die(&mut self) -> Result<(), Failure> {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        let process: Process;
        if self.random.chance(25) {
            process = spawn_role(self.namespace, "turns", &arguments)?;
            thread::sleep(Duration::from_micros(self.random.below(150_000)));
        } else {
            let line;
            (process, line) = start_role(self.namespace, "turns", &arguments)?;
            assert_eq!(line, "ready");
            thread::sleep(Duration::from_micros(self.random.below(150_000)));
        }
        // SIGKILL, and waits for the end.
        drop(process);
        Ok(())
    }

    /// Kills so many processes while everybody talks; what the packets of the turns came to.
    fn under_traffic(&mut self, kills: u64, notes: &Notes) -> Result<Tally, suite::Failed> {
        let to = self.pods[1].at(false, STEADY);
        let mut conversation = Datagrams::udp(&self.pods[0], unspecified(false), to)?;
        let mut connection = Stream::connect(&self.pods[0], to)?;
        let mut stranger = Datagrams::udp(&self.pods[2], unspecified(false), to)?;
        let (stop, pods) = (AtomicBool::new(false), self.pods);
        let answered = [AtomicU64::new(0), AtomicU64::new(0)];
        let law = Law { notes, stop: &stop };
        thread::scope(|scope| {
            let (stop, answered) = (&stop, &answered);
            let talkers: [&mut dyn Talk; 2] = [&mut conversation, &mut connection];
            let talking: Vec<_> = talkers
                .into_iter()
                .zip(answered)
                .map(|(talker, answered)| {
                    scope.spawn(move || ask_on(&mut Unhurried(talker), stop, answered))
                })
                .collect();
            let knocking = scope.spawn(move || knock_on(&mut stranger, stop));
            let sending = scope.spawn(|| law.send(&pods[0], to.ip()));
            let receiving = scope.spawn(|| law.receive(&pods[1]));
            let killed = (0..kills).try_for_each(|_| {
                self.live_and_die()?;
                // Without a process, what was allowed goes on.
                answered.iter().try_for_each(|answered| passes(answered, 3))
            });
            stop.store(true, Ordering::Release);
            for talking in talking {
                talking.join().map_err(|_| "a talker panicked")??;
            }
            let silent = knocking.join().map_err(|_| "the stranger panicked")??;
            assert!(silent, "the stranger was answered");
            sending.join().map_err(|_| "the sender panicked")??;
            let tally = receiving.join().map_err(|_| "the receiver panicked")?;
            Ok(killed.and(tally)?)
        })
    }
}

/// Whenever the process is killed, in the midst of whatever: nothing passes that neither the old nor
/// the new policy allows, what both allow goes on, and the next start finds its way.
pub(crate) fn killed_anywhere(config: &Config) -> suite::Outcome {
    let kills = number("PORIN_KILLS").unwrap_or(KILLS);
    let random = Random::announced("kills");
    with_bpffs(|bpffs| {
        let directory = bpffs.join("porin");
        let files = tempfile::tempdir()?;
        let path = files.path().join("turns");
        let notes = Notes::open(&path)?;
        notes.turn(0, || Ok(()))?;
        let namespace = node()?;
        let pods: Vec<_> = (1..=3)
            .map(|id| Pod::new(&namespace, id, id))
            .collect::<Result<_, _>>()?;
        let _echo = Echo::start(&pods[1], &[STEADY])?;
        let mut arguments = vec![
            directory.display().to_string(),
            format!("{:?}", config.attach),
            path.display().to_string(),
        ];
        arguments.extend(pods.iter().map(describe));
        let mut node = Node {
            pods: &pods,
            namespace: &namespace,
            arguments,
            random,
        };
        // From the first packet on somebody enforces.
        let words: Vec<_> = node.arguments.iter().map(String::as_str).collect();
        let (process, line) = start_role(&namespace, "turns", &words)?;
        assert_eq!(line, "ready");
        drop(process);
        let tally = node.under_traffic(kills, &notes)?;
        eprintln!(
            "kills: {kills} processes killed in {} turns, {} packets of turns arrived ({} under two \
             policies at most), {} unlawful",
            notes.wanted()?,
            tally.arrived,
            tally.sharp,
            tally.unlawful.len(),
        );
        assert_eq!(tally.unlawful, Vec::<String>::new());
        assert!(tally.sharp > tally.arrived / 2, "the notes say too little");
        assert!(tally.arrived > 10 * kills, "the turns were hardly met");
        let datapath = namespace.run(|| Datapath::open(&pinned(config, &directory)))??;
        let held: MapState = datapath.policy(pods[1].id)?.into_iter().collect();
        let whole = [notes.done()?, notes.wanted()?]
            .map(policy_of)
            .contains(&held);
        assert!(whole, "one policy as a whole: {held:?}");
        datapath.close()?;
        for pod in &pods {
            assert_eq!(attached(&namespace, pod.ifindex)?, 0);
        }
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}
