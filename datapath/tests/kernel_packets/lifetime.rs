//! Starts, ends and everything between them: what stays in force without a process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use porin_datapath::sys::{Link, RouteSocket, TcxHook};
use porin_datapath::{
    AttachError, AttachMode, Config, Datapath, EndpointSpec, LoadError, PinError, Pins,
};
use porin_flow::{DropReason, EndpointId};
use porin_identity::IdentityId;
use porin_policy::{Direction, MapState, Protocol};
use porin_testbed::{Namespace, suite};

use crate::common::{Failure, eventually, listing, spawn_role, start_role, with_bpffs};
use crate::scene::{self, Log, Pod, Scene, allow, client, node, policy};
use crate::traffic::{Datagrams, Echo, Talk, unspecified};

const PORT: u16 = 8080;

pub(crate) fn pinned(config: &Config, directory: &Path) -> Config {
    Config {
        pins: Pins::Dir(directory.to_owned()),
        ..config.clone()
    }
}

/// The policy of a server that this peer may use.
fn server(peer: &Pod) -> MapState {
    policy([allow(peer.identity, Protocol::UDP, PORT, 101)])
}

/// How many programs are at the device's hooks, by either mechanism.
pub(crate) fn attached(node: &Namespace, ifindex: u32) -> Result<usize, Failure> {
    node.run(|| {
        let mut count = 0;
        for hook in [TcxHook::Ingress, TcxHook::Egress] {
            count += Link::query(ifindex, hook)?.programs.len();
            count += RouteSocket::open()?.filters(ifindex, hook)?.len();
        }
        Ok(count)
    })?
}

/// Asks without a pause until told to stop; every question must be answered.
pub(crate) fn ask_on(
    friend: &mut dyn Talk,
    stop: &AtomicBool,
    answered: &AtomicU64,
) -> suite::Outcome {
    let mut asked = 0;
    while !stop.load(Ordering::Acquire) {
        asked += 1;
        if !friend.answers(asked)? {
            return Err(format!("packet {asked} was lost").into());
        }
        answered.store(asked, Ordering::Release);
    }
    Ok(())
}

/// Waits until this many more questions have been answered.
pub(crate) fn passes(answered: &AtomicU64, more: u64) -> Result<(), Failure> {
    let before = answered.load(Ordering::Acquire);
    let met = eventually(|| answered.load(Ordering::Acquire) >= before + more);
    met.then_some(())
        .ok_or_else(|| "nothing passes any more".into())
}

/// Sends without a pause until told to stop; whether all of it stayed unanswered.
pub(crate) fn knock_on(stranger: &mut Datagrams, stop: &AtomicBool) -> Result<bool, Failure> {
    let mut mark = 0;
    while !stop.load(Ordering::Acquire) {
        mark += 1;
        stranger.send(mark)?;
        thread::sleep(Duration::from_micros(100));
    }
    stranger.hears_nothing()
}

/// Runs `work` while the one asks and the other knocks.
pub(crate) fn under_traffic(
    friend: &mut Datagrams,
    stranger: &mut Datagrams,
    work: impl FnOnce(&AtomicU64) -> Result<(), Failure>,
) -> suite::Outcome {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let friend = scope.spawn(|| ask_on(friend, &stop, &answered));
        let stranger = scope.spawn(|| knock_on(stranger, &stop));
        let done = work(&answered);
        stop.store(true, Ordering::Release);
        friend.join().map_err(|_| "the friend panicked")??;
        let asked = answered.load(Ordering::Acquire);
        let silent = stranger.join().map_err(|_| "the stranger panicked")??;
        assert!(asked > 50, "only {asked} packets met the restarts");
        assert!(silent, "the stranger was answered");
        Ok(done?)
    })
}

/// Over restarts, what is allowed loses no packet, and what is not gains none.
pub(crate) fn adoption_under_traffic(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let config = pinned(config, &bpffs.join("porin"));
        let mut scene = Scene::new(&config, 3)?;
        let server = server(&scene.pods[0]);
        scene.ready(&[&client(), &server, &client()])?;
        let Scene {
            datapath,
            log,
            pods,
            node,
        } = scene;
        let _echo = Echo::start(&pods[1], &[PORT])?;
        let to = pods[1].at(false, PORT);
        let mut friend = Datagrams::udp(&pods[0], unspecified(false), to)?;
        let mut stranger = Datagrams::udp(&pods[2], unspecified(false), to)?;
        let mut held = Some((datapath, log));
        under_traffic(&mut friend, &mut stranger, |answered| {
            for _ in 0..3 {
                // Nobody is there for a moment.
                drop(held.take());
                passes(answered, 20)?;
                let mut datapath = node.run(|| Datapath::open(&config))??;
                let log = Log::new(&mut datapath)?;
                held = Some((datapath, log));
            }
            Ok(())
        })?;
        let (mut datapath, mut log) = held.ok_or("no datapath")?;
        let mut known: Vec<_> = datapath
            .endpoints()
            .into_iter()
            .map(|dump| dump.spec)
            .collect();
        known.sort_by_key(|spec| spec.id);
        let expected: Vec<_> = pods.iter().map(Pod::spec).collect();
        assert_eq!(known, expected);
        // What it adopted it also governs.
        log.clear();
        datapath.install(&[(pods[1].id, &client())])?;
        assert!(friend.is_silent(1)?);
        log.expect_drop(pods[1].id, Direction::Ingress, DropReason::POLICY_DENIED)?;
        datapath.close()?;
        assert_eq!(attached(&node, pods[0].ifindex)?, 0);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// SIGKILL ends the process and nothing else.
pub(crate) fn killed(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let directory = bpffs.join("porin");
        let config = &pinned(config, &directory);
        let node = node()?;
        let pods: Result<Vec<_>, _> = (1..=3).map(|id| Pod::new(&node, id, id)).collect();
        let pods = pods?;
        let arguments = arguments(config, &directory, &pods);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let (process, line) = start_role(&node, "hold", &arguments)?;
        assert_eq!(line, "ready");

        let _echo = Echo::start(&pods[1], &[PORT])?;
        let to = pods[1].at(false, PORT);
        let mut friend = Datagrams::udp(&pods[0], unspecified(false), to)?;
        assert!(friend.answers(1)?);
        // SIGKILL, and waits for the end.
        drop(process);
        assert!(friend.answers(2)?, "a flow that ran goes on");
        let mut again = Datagrams::udp(&pods[0], unspecified(false), to)?;
        assert!(again.answers(3)?, "new flows are judged as before");
        let mut stranger = Datagrams::udp(&pods[2], unspecified(false), to)?;
        assert!(
            stranger.is_silent(4)?,
            "nobody got in for want of a process"
        );

        let mut datapath = node.run(|| Datapath::open(config))??;
        let mut log = Log::new(&mut datapath)?;
        // It is told what happened while nobody was there.
        let reason = DropReason::POLICY_DENIED;
        let seen = log.expect_drop(pods[1].id, Direction::Ingress, reason)?;
        assert_eq!(seen.source, pods[2].identity);
        assert!(datapath.endpoints().iter().all(|dump| dump.ready));
        assert!(friend.answers(5)?);
        datapath.close()?;
        assert!(stranger.answers(6)?, "closing ends the enforcement");
        Ok(())
    })
}

/// What a process of [`play`] is told.
fn arguments(config: &Config, directory: &Path, pods: &[Pod]) -> Vec<String> {
    let mut arguments = vec![
        directory.display().to_string(),
        format!("{:?}", config.attach),
    ];
    arguments.extend(pods.iter().map(describe));
    arguments
}

pub(crate) fn describe(pod: &Pod) -> String {
    let EndpointSpec {
        id,
        ifindex,
        identity,
        ..
    } = pod.spec();
    format!("{id},{ifindex},{identity},{},{}", pod.v4, pod.v6)
}

/// The processes of the tests here: a datapath for pods, until it is killed.
pub(crate) fn play(role: &str, arguments: &[String]) -> Result<(), Failure> {
    let [directory, mode, pods @ ..] = arguments else {
        return Err("a directory and a mode are needed".into());
    };
    let specs: Result<Vec<_>, _> = pods.iter().map(|pod| parse(pod)).collect();
    let mut config = pinned(&scene::config(), Path::new(directory));
    if mode == "Clsact" {
        config.attach = AttachMode::Clsact;
    }
    match role {
        "hold" => hold(Datapath::open(&config)?, &specs?),
        _ => Err("no such role".into()),
    }
}

/// The policy of each pod: the second is a server for the first.
fn policies() -> Vec<MapState> {
    let friend = IdentityId::new(1001);
    let server = policy([allow(friend, Protocol::UDP, PORT, 101)]);
    vec![client(), server, client()]
}

pub(crate) fn parse(pod: &str) -> Result<EndpointSpec, Failure> {
    let [id, ifindex, identity, v4, v6] = pod.split(',').collect::<Vec<_>>()[..] else {
        return Err("five fields to a pod".into());
    };
    Ok(EndpointSpec {
        id: EndpointId::new(id.parse()?),
        ifindex: ifindex.parse()?,
        identity: identity.parse()?,
        addresses: vec![v4.parse()?, v6.parse()?],
    })
}

/// Adds the pods that are not known yet.
fn complete(datapath: &mut Datapath, specs: &[EndpointSpec]) -> Result<(), Failure> {
    let known = datapath.endpoints();
    for (spec, policy) in specs.iter().zip(policies()) {
        if !known.iter().any(|dump| dump.spec.id == spec.id) {
            datapath.add_endpoint(spec.clone())?;
        }
        datapath.install(&[(spec.id, &policy)])?;
        datapath.set_ready(spec.id)?;
    }
    Ok(())
}

fn hold(mut datapath: Datapath, specs: &[EndpointSpec]) -> Result<(), Failure> {
    complete(&mut datapath, specs)?;
    println!("ready");
    loop {
        thread::park();
    }
}

/// A start that is killed leaves nothing that keeps the next one from starting.
pub(crate) fn killed_while_starting(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let directory = bpffs.join("porin");
        let node = node()?;
        let pods: Result<Vec<_>, _> = (1..=3).map(|id| Pod::new(&node, id, id)).collect();
        let pods = pods?;
        let arguments = arguments(config, &directory, &pods);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        for round in 0..20 {
            let process = spawn_role(&node, "hold", &arguments)?;
            thread::sleep(Duration::from_millis(10 * round));
            drop(process);
        }
        let (process, line) = start_role(&node, "hold", &arguments)?;
        assert_eq!(line, "ready");
        let _echo = Echo::start(&pods[1], &[PORT])?;
        let to = pods[1].at(false, PORT);
        assert!(Datagrams::udp(&pods[0], unspecified(false), to)?.answers(1)?);
        assert!(Datagrams::udp(&pods[2], unspecified(false), to)?.is_silent(1)?);
        drop(process);
        node.run(|| Datapath::open(&pinned(config, &directory)))??
            .close()?;
        for pod in &pods {
            assert_eq!(attached(&node, pod.ifindex)?, 0);
        }
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Pins of other limits are neither used nor touched, and stay in force.
pub(crate) fn other_limits(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let config = pinned(config, &bpffs.join("porin"));
        let mut scene = Scene::new(&config, 2)?;
        let server = server(&scene.pods[0]);
        scene.ready(&[&client(), &server])?;
        let Scene {
            datapath,
            log,
            pods,
            node,
        } = scene;
        drop((datapath, log));
        let mut other = config.clone();
        other.limits.policy_entries += 1;
        other.limits.addresses += 1;
        let error = node
            .run(|| Datapath::open(&other))?
            .err()
            .ok_or("adopted")?;
        let LoadError::Pin(PinError::Incompatible { path, .. }) = &error else {
            return Err(format!("{error:?}").into());
        };
        assert!(path.ends_with("addresses"), "{}", path.display());
        let _echo = Echo::start(&pods[1], &[PORT])?;
        let talk =
            |from: usize| Datagrams::udp(&pods[from], unspecified(false), pods[1].at(false, PORT));
        assert!(talk(0)?.answers(1)?);
        assert_eq!(attached(&node, pods[1].ifindex)?, 2);
        node.run(|| Datapath::open(&config))??.close()?;
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Two instances on one node: what one does is nothing to the other.
pub(crate) fn two_instances(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let node = node()?;
        let pods: Result<Vec<_>, _> = (1..=4).map(|id| Pod::new(&node, id, id)).collect();
        let mut pods = pods?;
        // Each numbers its identities as it likes: the same number is somebody else there.
        pods[2].identity = pods[0].identity;
        let _echoes = [
            Echo::start(&pods[1], &[PORT])?,
            Echo::start(&pods[3], &[PORT])?,
        ];
        let start = |name: &str, pods: &[Pod]| -> Result<Datapath, Failure> {
            let mut datapath = Datapath::load(&pinned(config, &bpffs.join(name)))?;
            let server = server(&pods[0]);
            for (pod, policy) in pods.iter().zip([client(), server]) {
                node.run(|| datapath.add_endpoint(pod.spec()))??;
                datapath.install(&[(pod.id, &policy)])?;
                datapath.set_ready(pod.id)?;
            }
            Ok(datapath)
        };
        let one = start("one", &pods[..2])?;
        let two = start("two", &pods[2..])?;
        let to = |place: usize| pods[place].at(false, PORT);
        let talk = |from: usize, place| Datagrams::udp(&pods[from], unspecified(false), to(place));
        assert!(talk(0, 1)?.answers(1)?);
        assert!(talk(2, 3)?.answers(1)?);
        assert!(talk(2, 1)?.is_silent(1)?, "the other's pod is a stranger");
        assert!(talk(1, 3)?.is_silent(1)?, "and so the other way round");
        two.close()?;
        assert_eq!(attached(&node, pods[2].ifindex)?, 0);
        assert_eq!(attached(&node, pods[0].ifindex)?, 2);
        assert!(talk(0, 1)?.answers(2)?);
        assert!(talk(2, 1)?.is_silent(2)?, "the first still enforces");
        // Dropped and opened again, it is the same.
        drop(one);
        let one = node.run(|| Datapath::open(&pinned(config, &bpffs.join("one"))))??;
        assert!(talk(2, 1)?.is_silent(3)?);
        one.close()?;
        assert!(talk(2, 1)?.answers(4)?);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Closing takes everything away; so does dropping what was not pinned.
pub(crate) fn close(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        for pins in [Pins::None, Pins::Dir(bpffs.join("porin"))] {
            let config = Config {
                pins: pins.clone(),
                ..config.clone()
            };
            let Scene {
                datapath,
                pods,
                node,
                log,
            } = Scene::new(&config, 2)?;
            for pod in &pods {
                assert_eq!(attached(&node, pod.ifindex)?, 2);
            }
            match pins {
                Pins::None => drop(datapath),
                Pins::Dir(_) => datapath.close()?,
            }
            drop(log);
            for pod in &pods {
                assert_eq!(attached(&node, pod.ifindex)?, 0);
            }
            let _echo = Echo::start(&pods[1], &[PORT])?;
            let to = pods[1].at(false, PORT);
            assert!(Datagrams::udp(&pods[0], unspecified(false), to)?.answers(1)?);
        }
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// What cannot be added leaves nothing behind.
pub(crate) fn failed_addition(config: &Config) -> suite::Outcome {
    let scene = Scene::new(config, 1)?;
    let Scene {
        mut datapath,
        pods,
        node,
        ..
    } = scene;
    let pod = Pod::new(&node, 2, 2)?;
    let absent = EndpointSpec {
        ifindex: 4711,
        ..pod.spec()
    };
    let stolen = EndpointSpec {
        addresses: pods[0].addresses().to_vec(),
        ..pod.spec()
    };
    let before = datapath.endpoints();
    let error = node.run(|| datapath.add_endpoint(absent))?.err();
    assert!(
        matches!(error, Some(AttachError::NoDevice { ifindex: 4711 })),
        "{error:?}"
    );
    let error = node.run(|| datapath.add_endpoint(stolen))?.err();
    assert!(
        matches!(error, Some(AttachError::AddressTaken(_))),
        "{error:?}"
    );
    assert_eq!(datapath.endpoints(), before);
    assert_eq!(attached(&node, pod.ifindex)?, 0);
    node.run(|| datapath.add_endpoint(pod.spec()))??;
    assert_eq!(attached(&node, pod.ifindex)?, 2);
    Ok(())
}

/// A pod that went while nobody was there is not waited for.
pub(crate) fn device_went(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        for attach in [AttachMode::Auto, AttachMode::Clsact] {
            let config = Config {
                attach,
                ..pinned(config, &bpffs.join("porin"))
            };
            let mut scene = Scene::new(&config, 2)?;
            scene.ready(&[&client(), &client()])?;
            let Scene {
                datapath,
                pods,
                node,
                log,
            } = scene;
            drop((datapath, log));
            node.delete("pod1")?;
            let datapath = node.run(|| Datapath::open(&config))??;
            let known: Vec<_> = datapath
                .endpoints()
                .iter()
                .map(|dump| dump.spec.id)
                .collect();
            assert_eq!(known, [pods[1].id], "{attach:?}");
            datapath.close()?;
            assert_eq!(listing(bpffs)?, Vec::<String>::new());
        }
        Ok(())
    })
}
