//! The node itself under a policy, and policies of it that have to be confirmed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use porin_datapath::{ApplyError, AttachError, Config, Datapath, Frame, HostSpec};
use porin_flow::{DropReason, EndpointId};
use porin_identity::IdentityId;
use porin_policy::{Direction, MapState, Protocol};
use porin_testbed::{Namespace, PacketSocket, suite};

use crate::common::{Failure, eventually, listing, start_role, with_bpffs};
use crate::lifetime::{passes, pinned, under_traffic};
use crate::scene::{self, Log, Pod, Scene, allow, allow_egress, client, node, policy};
use crate::traffic::{Datagrams, Echo, STAYS_AWAY, Stream, Talk, unspecified};

const SSH: u16 = 8022;
const OTHER: u16 = 8023;

/// The number of the host in observations.
const HOST: EndpointId = EndpointId::new(99);

/// Everybody behind the wire.
const WORLD: [IdentityId; 2] = [IdentityId::WORLD_IPV4, IdentityId::WORLD_IPV6];

/// The node as somebody to talk to, over the wire to `outside`.
fn host_at(node: &Namespace, outside: &Pod) -> Result<Pod, Failure> {
    let near = |address: std::net::IpAddr| -> Result<_, Failure> {
        let text = address.to_string();
        Ok(format!("{}1", text.trim_end_matches('2')).parse()?)
    };
    Ok(Pod {
        namespace: node.try_clone()?,
        id: HOST,
        identity: IdentityId::HOST,
        ifindex: outside.ifindex,
        v4: near(outside.v4)?,
        v6: near(outside.v6)?,
    })
}

fn spec(devices: &[u32]) -> HostSpec {
    HostSpec {
        id: HOST,
        devices: devices.iter().copied().collect(),
    }
}

/// The world may open these ports of the host, on TCP and UDP.
fn ports(ports: &[u16]) -> MapState {
    let entries = ports.iter().flat_map(|port| {
        WORLD.into_iter().flat_map(move |peer| {
            [Protocol::TCP, Protocol::UDP].map(|protocol| allow(peer, protocol, *port, 101))
        })
    });
    policy(entries)
}

/// Whether a new connection from `pod` comes about.
fn connects(pod: &Pod, to: SocketAddr) -> Result<bool, Failure> {
    Stream::connect(pod, to)?.answers(1)
}

/// Whether none does.
fn is_shut(pod: &Pod, to: SocketAddr) -> Result<bool, Failure> {
    Ok(Stream::open(pod, to, STAYS_AWAY)?.is_none())
}

/// What the node itself sends and receives is judged; what it forwards, and what it tells itself,
/// is not.
pub(crate) fn judged(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    scene.ready(&[&policy([
        allow_egress(IdentityId::UNKNOWN),
        allow(WORLD[0], Protocol::UDP, SSH, 7),
    ])])?;
    let outside = Pod::new(&scene.node, 2, 2)?;
    let host = host_at(&scene.node, &outside)?;
    let _echoes = [
        Echo::start(&host, &[SSH, OTHER])?,
        Echo::start(&outside, &[SSH, OTHER])?,
        Echo::start(&scene.pods[0], &[SSH])?,
    ];
    for v6 in [false, true] {
        assert!(connects(&outside, host.at(v6, OTHER))?, "not judged yet");
    }
    let devices = spec(&[outside.ifindex]);
    let node = scene.node.try_clone()?;
    node.run(|| scene.datapath.attach_host(&devices, &ports(&[SSH]), None))??;
    for v6 in [false, true] {
        assert!(connects(&outside, host.at(v6, SSH))?, "allowed");
        assert!(is_shut(&outside, host.at(v6, OTHER))?, "not allowed");
        assert!(is_shut(&host, outside.at(v6, SSH))?, "no egress at all");
        assert!(connects(&host, host.at(v6, OTHER))?, "the node itself");
        let forwarded = Stream::connect(&scene.pods[0], outside.at(v6, OTHER))?.answers(1)?;
        assert!(forwarded, "of a pod");
    }
    let reason = DropReason::POLICY_DENIED;
    let seen = scene.log.expect_drop(HOST, Direction::Ingress, reason)?;
    assert!(WORLD.contains(&seen.source) && seen.destination == IdentityId::HOST);
    let seen = scene.log.expect_drop(HOST, Direction::Egress, reason)?;
    assert!(seen.source == IdentityId::HOST && WORLD.contains(&seen.destination));
    // To a pod, which judges for itself.
    let mut visit = Datagrams::udp(&outside, unspecified(false), scene.pods[0].at(false, SSH))?;
    assert!(visit.answers(1)?);

    // A running connection of the host ends with its allowance, and begins again with it.
    let mut running = Stream::connect(&outside, host.at(false, SSH))?;
    scene.datapath.install_host(&client(), None)?;
    assert!(running.is_silent(2)?);
    assert!(connects(&host, outside.at(true, SSH))?, "egress");
    scene.datapath.install_host(&ports(&[SSH]), None)?;
    assert!(running.answers(3)?);

    scene.datapath.detach_host()?;
    assert_eq!(scene.datapath.host(), None);
    assert!(connects(&outside, host.at(false, OTHER))?, "judged no more");
    Ok(())
}

/// Who takes the address of the node, or of a pod, is neither.
pub(crate) fn forged(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    scene.ready(&[&client()])?;
    let outside = Pod::new(&scene.node, 2, 2)?;
    let host = host_at(&scene.node, &outside)?;
    let own: Vec<_> = [host.v4, host.v6]
        .map(|address| (IpNet::from(address), Some(IdentityId::HOST)))
        .to_vec();
    scene.datapath.apply_prefixes(&own)?;
    scene.node.set("ipv4/conf/all/rp_filter", "0")?;
    let pod = scene.pods[0].identity;
    let only_pod = policy([allow(pod, Protocol::UDP, SSH, 1)]);
    let devices = spec(&[outside.ifindex]);
    let node = scene.node.try_clone()?;
    node.run(|| scene.datapath.attach_host(&devices, &only_pod, None))??;
    let address = scene.pods[0].v4;
    outside
        .namespace
        .add_address("eth0", IpNet::from(address))?;
    let forged = Datagrams::udp(&outside, address, host.at(false, SSH))?;
    forged.send(1)?;
    let reason = DropReason::INVALID_SOURCE_IP;
    scene.log.expect_drop(HOST, Direction::Ingress, reason)?;
    Ok(())
}

/// Devices of pods can be named, too: then the host also judges what they want of it.
pub(crate) fn toward_pods(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 2)?;
    scene.ready(&[&client(), &client()])?;
    let friend = scene.pods[0].identity;
    let only_friend = policy([allow(friend, Protocol::UDP, SSH, 1)]);
    let devices = spec(&[scene.pods[0].ifindex, scene.pods[1].ifindex]);
    let node = scene.node.try_clone()?;
    node.run(|| scene.datapath.attach_host(&devices, &only_friend, None))??;
    let hosts = [
        host_at(&scene.node, &scene.pods[0])?,
        host_at(&scene.node, &scene.pods[1])?,
    ];
    let _echo = Echo::start(&hosts[0], &[SSH])?;
    let talk = |from: usize| {
        let to = hosts[from].at(false, SSH);
        Datagrams::udp(&scene.pods[from], unspecified(false), to)
    };
    assert!(talk(0)?.answers(1)?);
    assert!(talk(1)?.is_silent(1)?);
    let reason = DropReason::POLICY_DENIED;
    let seen = scene.log.expect_drop(HOST, Direction::Ingress, reason)?;
    assert_eq!(seen.source, scene.pods[1].identity);
    Ok(())
}

/// What cannot be leaves the host as it is.
pub(crate) fn refused(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    let node = scene.node.try_clone()?;
    let outside = Pod::new(&node, 2, 2)?;
    let host = host_at(&node, &outside)?;
    let _echo = Echo::start(&host, &[SSH])?;
    let datapath = &mut scene.datapath;
    let none = policy([]);
    let mut attach =
        |devices: &[u32]| node.run(|| datapath.attach_host(&spec(devices), &none, None));
    assert!(matches!(attach(&[1])?, Err(AttachError::Loopback)));
    let absent = attach(&[outside.ifindex, 4711])?;
    assert!(matches!(
        absent,
        Err(AttachError::NoDevice { ifindex: 4711 })
    ));
    assert_eq!(scene.datapath.host(), None);
    assert!(connects(&outside, host.at(false, SSH))?);
    let refused = scene.datapath.install_host(&none, None);
    assert!(matches!(refused, Err(ApplyError::NoHost)));
    let refused = scene.datapath.confirm_host();
    assert!(matches!(refused, Err(ApplyError::NoTrial)));
    let large = ports(&(1..100).collect::<Vec<_>>());
    let spec = spec(&[outside.ifindex]);
    let full = node.run(|| scene.datapath.attach_host(&spec.clone(), &large, None))?;
    assert!(full.is_err() && scene.datapath.host().is_none());
    node.run(|| scene.datapath.attach_host(&spec, &ports(&[SSH]), None))??;
    assert!(scene.datapath.install_host(&large, None).is_err());
    assert!(connects(&outside, host.at(false, SSH))?);
    Ok(())
}

/// A device that is gone is in nobody's way: neither of another list of devices, nor of the end.
pub(crate) fn device_went(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let config = pinned(config, &bpffs.join("porin"));
        let node = node()?;
        let outside = [Pod::new(&node, 2, 2)?, Pod::new(&node, 3, 3)?];
        let host = host_at(&node, &outside[0])?;
        let _echo = Echo::start(&host, &[SSH, OTHER])?;
        let mut datapath = node.run(|| Datapath::open(&config))??;
        let both = spec(&[outside[0].ifindex, outside[1].ifindex]);
        node.run(|| datapath.attach_host(&both, &ports(&[SSH]), None))??;
        node.delete("pod3")?;
        let one = spec(&[outside[0].ifindex]);
        node.run(|| datapath.attach_host(&one, &ports(&[OTHER]), None))??;
        assert!(connects(&outside[0], host.at(false, OTHER))?);
        assert!(is_shut(&outside[0], host.at(false, SSH))?);
        assert_eq!(datapath.host().ok_or("no host")?.spec, one);
        node.delete("pod2")?;
        datapath.detach_host()?;
        datapath.close()?;
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Where only one of a device's two hooks is to be had, neither is taken.
pub(crate) fn half_attached(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let directory = bpffs.join("porin");
        let config = pinned(config, &directory);
        let node = node()?;
        let outside = Pod::new(&node, 2, 2)?;
        let host = host_at(&node, &outside)?;
        let _echo = Echo::start(&host, &[SSH])?;
        let mut datapath = node.run(|| Datapath::open(&config))??;
        let in_the_way = directory.join(format!("links/host-{}-to", outside.ifindex));
        std::fs::create_dir(&in_the_way)?;
        let spec = spec(&[outside.ifindex]);
        let refused = node.run(|| datapath.attach_host(&spec, &policy([]), None))?;
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(datapath.host(), None);
        assert!(connects(&outside, host.at(false, SSH))?, "cut off");
        std::fs::remove_dir(&in_the_way)?;
        node.run(|| datapath.attach_host(&spec, &ports(&[SSH]), None))??;
        assert!(connects(&outside, host.at(false, SSH))?);
        datapath.close()?;
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Who sends under the node's address does not join a conversation that the node has.
pub(crate) fn forged_into_a_flow(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    let only_host = policy([allow(IdentityId::HOST, Protocol::UDP, SSH, 1)]);
    scene.ready(&[&only_host])?;
    let outside = Pod::new(&scene.node, 2, 2)?;
    let host = host_at(&scene.node, &outside)?;
    let own = [(IpNet::from(host.v6), Some(IdentityId::HOST))];
    scene.datapath.apply_prefixes(&own)?;
    let _echo = Echo::start(&scene.pods[0], &[SSH])?;
    let (from, to) = (host.at(true, 4000), scene.pods[0].at(true, SSH));
    let mut talk = Datagrams::bound(&host, from, to)?;
    assert!(talk.answers(1)?);
    let mut forged = Frame::udp(from, to);
    forged.bytes_mut()[..6].copy_from_slice(&scene.node.mac("pod2")?.0);
    PacketSocket::open(&outside.namespace, "eth0")?.send(forged.bytes())?;
    let (pod, reason) = (scene.pods[0].id, DropReason::POLICY_DENIED);
    let seen = scene.log.expect_drop(pod, Direction::Ingress, reason)?;
    assert!(WORLD.contains(&seen.source));
    assert!(talk.answers(2)?);
    Ok(())
}

/// Waits until the trial that goes on has ended by itself.
fn ends_by_itself(datapath: &Datapath) -> bool {
    eventually(|| datapath.host().is_some_and(|host| host.trial.is_none()))
}

/// A policy that cuts off who is to confirm it goes by itself; one that is confirmed stays.
pub(crate) fn trial(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    let node = scene.node.try_clone()?;
    let outside = Pod::new(&node, 2, 2)?;
    let host = host_at(&node, &outside)?;
    let _echo = Echo::start(&host, &[SSH])?;
    let shut = ports(&[OTHER]);
    let second = Some(Duration::from_secs(2));
    let mut control = Stream::connect(&outside, host.at(false, SSH))?;
    assert!(control.answers(1)?);

    // The first policy: before it nothing was judged.
    let devices = spec(&[outside.ifindex]);
    node.run(|| scene.datapath.attach_host(&devices.clone(), &shut, second))??;
    assert!(control.is_silent(2)?);
    assert!(ends_by_itself(&scene.datapath));
    assert!(control.answers(3)?);
    let dump = scene.datapath.host().ok_or("no host")?;
    assert_eq!((dump.epoch, dump.spec), (None, devices));
    assert_eq!(scene.datapath.host_policy()?, None);
    let late = scene.datapath.confirm_host();
    assert!(matches!(late, Err(ApplyError::NoTrial)), "{late:?}");

    // The next one, and one in place of it: both give way to what was confirmed.
    scene.datapath.install_host(&ports(&[SSH]), second)?;
    scene.datapath.confirm_host()?;
    let good = scene.datapath.host().ok_or("no host")?.epoch;
    scene.datapath.install_host(&shut, second)?;
    assert!(control.is_silent(4)?);
    scene.datapath.install_host(&policy([]), second)?;
    let trial = scene.datapath.host().and_then(|host| host.trial);
    assert_eq!(trial.map(|trial| trial.before), Some(good));
    assert!(control.is_silent(5)?);
    assert!(ends_by_itself(&scene.datapath));
    assert!(control.answers(6)?);
    assert_eq!(scene.datapath.host().ok_or("no host")?.epoch, good);

    // Given up before its time.
    scene
        .datapath
        .install_host(&shut, Some(Duration::from_secs(600)))?;
    assert!(control.is_silent(7)?);
    // Identities come and go meanwhile, for both policies.
    scene.datapath.renew_host(&shut, Some(&ports(&[SSH, 1])))?;
    assert!(control.is_silent(8)?);
    scene.datapath.revert_host()?;
    assert!(control.answers(9)?);
    let held = scene.datapath.host_policy()?.ok_or("no policy")?;
    assert_eq!(held, ports(&[SSH, 1]).iter().collect::<Vec<_>>());

    // Confirmed.
    scene.datapath.install_host(&shut, second)?;
    let until = scene.datapath.host().and_then(|host| host.trial);
    let until = until.ok_or("no trial")?.until;
    scene.datapath.confirm_host()?;
    assert!(eventually(|| porin_datapath::sys::monotonic() > until));
    assert!(control.is_silent(10)?);
    Ok(())
}

/// Nobody is left to revert: the kernel does.
pub(crate) fn trial_of_the_dead(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let directory = bpffs.join("porin");
        let node = node()?;
        let outside = Pod::new(&node, 2, 2)?;
        let host = host_at(&node, &outside)?;
        let _echo = Echo::start(&host, &[SSH, OTHER])?;
        let mut control = Stream::connect(&outside, host.at(false, SSH))?;
        let arguments = [
            directory.display().to_string(),
            format!("{:?}", config.attach),
            outside.ifindex.to_string(),
        ];
        let arguments = arguments.each_ref().map(String::as_str);
        let (process, line) = start_role(&node, "lock-out", &arguments)?;
        assert_eq!(line, "tried");
        assert!(control.is_silent(1)?);
        // SIGKILL.
        drop(process);
        assert!(control.is_silent(2)?);
        // Nobody is there, and nobody opens the tables before it answers.
        assert!(control.answers(3)?);
        assert!(is_shut(&outside, host.at(false, OTHER))?);

        let config = pinned(config, &directory);
        let mut datapath = node.run(|| Datapath::open(&config))??;
        let dump = datapath.host().ok_or("the host was not adopted")?;
        assert_eq!((dump.trial, dump.spec), (None, spec(&[outside.ifindex])));
        let expected = ports(&[SSH]).iter().collect::<Vec<_>>();
        assert_eq!(datapath.host_policy()?, Some(expected));
        let late = datapath.confirm_host();
        assert!(matches!(late, Err(ApplyError::NoTrial)), "{late:?}");
        assert!(control.answers(4)?);
        // The next policy takes hold at once, and no slot was lost.
        for round in 0..20 {
            datapath.install_host(&policy([]), None)?;
            assert!(round > 0 || control.is_silent(5)?);
            datapath.install_host(&ports(&[SSH]), None)?;
        }
        assert!(control.answers(6)?);
        datapath.close()?;
        assert!(connects(&outside, host.at(false, OTHER))?);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Whenever the process is killed, in the midst of a trial, of its end, or of another device: what every
/// policy allows goes on, what none allows does not, and the next start finds its way.
pub(crate) fn killed_anywhere(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let directory = bpffs.join("porin");
        let node = node()?;
        let outside = [Pod::new(&node, 2, 2)?, Pod::new(&node, 3, 3)?];
        let host = host_at(&node, &outside[0])?;
        let _echo = Echo::start(&host, &[SSH, OTHER])?;
        let pins = pinned(config, &directory);
        // The first policy is confirmed before anybody knocks.
        let mut datapath = node.run(|| Datapath::open(&pins))??;
        let devices = spec(&[outside[0].ifindex]);
        node.run(|| datapath.attach_host(&devices, &ports(&[SSH]), None))??;
        datapath.keep();
        let arguments = [
            directory.display().to_string(),
            format!("{:?}", config.attach),
            outside[0].ifindex.to_string(),
            outside[1].ifindex.to_string(),
        ];
        let arguments = arguments.each_ref().map(String::as_str);
        let talk = |port| Datagrams::udp(&outside[0], unspecified(false), host.at(false, port));
        let (mut friend, mut stranger) = (talk(SSH)?, talk(OTHER)?);
        under_traffic(&mut friend, &mut stranger, |answered| {
            for round in 0..8 {
                let (process, line) = start_role(&node, "host-turns", &arguments)?;
                assert_eq!(line, "ready");
                // Long enough to be in the middle of something, and another something each time.
                thread::sleep(Duration::from_micros(15_000 + 6_131 * round));
                drop(process);
                passes(answered, 10)?;
            }
            Ok(())
        })?;
        let datapath = node.run(|| Datapath::open(&pins))??;
        assert!(friend.answers(u64::MAX)?);
        datapath.close()?;
        assert!(stranger.answers(u64::MAX)?);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// Policies of the host that come, are tried, confirmed, reverted and forgotten, without an end.
pub(crate) fn turns(arguments: &[String]) -> Result<(), Failure> {
    let [directory, mode, first, second] = arguments else {
        return Err("a directory, a mode and two devices are needed".into());
    };
    let config = of_mode(directory, mode);
    let devices = [first.parse()?, second.parse()?];
    let mut datapath = Datapath::open(&config)?;
    println!("ready");
    for round in 0_u16.. {
        let next = ports(&[SSH, 9000 + round % 7]);
        let count = 1 + usize::from(round % 3 == 2);
        let short = Duration::from_millis(u64::from(round % 4));
        datapath.attach_host(&spec(&devices[..count]), &next, Some(short))?;
        datapath.renew_host(&next, Some(&ports(&[SSH])))?;
        // In time or too late: either is an end.
        match round % 2 {
            0 => drop(datapath.confirm_host()),
            _ => drop(datapath.revert_host()),
        }
        datapath.install_host(&ports(&[SSH]), None)?;
    }
    Ok(())
}

fn of_mode(directory: &str, mode: &str) -> Config {
    let mut config = pinned(&scene::config(), Path::new(directory));
    if mode == "Clsact" {
        config.attach = porin_datapath::AttachMode::Clsact;
    }
    config
}

/// A process that locks its own administrator out, and waits to be killed.
pub(crate) fn lock_out(arguments: &[String]) -> Result<(), Failure> {
    let [directory, mode, device] = arguments else {
        return Err("a directory, a mode and a device are needed".into());
    };
    let mut datapath = Datapath::open(&of_mode(directory, mode))?;
    datapath.attach_host(&spec(&[device.parse()?]), &ports(&[SSH]), None)?;
    datapath.install_host(&policy([]), Some(Duration::from_secs(4)))?;
    println!("tried");
    loop {
        thread::park();
    }
}

/// What judges the host goes on after a restart, and is taken away with the rest.
pub(crate) fn adopted(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let config = pinned(config, &bpffs.join("porin"));
        let node = node()?;
        let outside = [Pod::new(&node, 2, 2)?, Pod::new(&node, 3, 3)?];
        let host = host_at(&node, &outside[0])?;
        let _echo = Echo::start(&host, &[SSH, OTHER])?;
        let devices = |count: usize| -> BTreeSet<u32> {
            outside.iter().take(count).map(|pod| pod.ifindex).collect()
        };
        let host_of = |count| HostSpec {
            id: HOST,
            devices: devices(count),
        };
        let mut datapath = node.run(|| Datapath::open(&config))??;
        node.run(|| datapath.attach_host(&host_of(1), &ports(&[SSH]), None))??;
        datapath.keep();
        assert!(is_shut(&outside[0], host.at(false, OTHER))?);
        let mut datapath = node.run(|| Datapath::open(&config))??;
        assert_eq!(datapath.host().ok_or("no host")?.spec, host_of(1));
        let mut log = Log::new(&mut datapath)?;
        assert!(is_shut(&outside[0], host.at(false, OTHER))?);
        log.expect_drop(HOST, Direction::Ingress, DropReason::POLICY_DENIED)?;
        // Another device more, and then the first one less.
        node.run(|| datapath.attach_host(&host_of(2), &ports(&[SSH]), None))??;
        assert!(is_shut(
            &outside[1],
            host_at(&node, &outside[1])?.at(false, OTHER)
        )?);
        node.delete("pod2")?;
        datapath.keep();
        let datapath = node.run(|| Datapath::open(&config))??;
        let left = datapath.host().ok_or("no host")?.spec.devices;
        assert_eq!(left, [outside[1].ifindex].into());
        datapath.close()?;
        assert!(connects(
            &outside[1],
            host_at(&node, &outside[1])?.at(false, OTHER)
        )?);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}
