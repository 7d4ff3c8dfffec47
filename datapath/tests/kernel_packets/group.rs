//! Processes of the node itself as endpoints, in cgroups of their own.

use std::fs;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::IpNet;
use porin_datapath::{ApplyError, AttachError, Config, Datapath, GroupSpec, OverlaySpec};
use porin_flow::{DropReason, EndpointId};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState, PortPrefix, Protocol};
use porin_testbed::{Namespace, Process, suite};

use crate::common::{Failure, listing, with_bpffs};
use crate::lifetime::pinned;
use crate::scene::{Pod, Scene, allow, allow_egress, client, entry, node, policy};
use crate::traffic::{COMES, Echo, STAYS_AWAY, Stream, Talk};

const PORT: u16 = 8030;
const OTHER: u16 = 8031;
const GROUP: EndpointId = EndpointId::new(70);
const IDENTITY: IdentityId = IdentityId::new(5000);

const WORLD: [IdentityId; 2] = [IdentityId::WORLD_IPV4, IdentityId::WORLD_IPV6];

/// A cgroup of the second version, wherever it is mounted; it goes when it is empty.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let fields = |line: &str| -> Option<PathBuf> {
            let mut fields = line.split(' ').skip(1);
            let path = fields.next()?;
            (fields.next()? == "cgroup2").then(|| path.into())
        };
        let root = mounts.lines().find_map(fields).ok_or("no cgroup2")?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("porin-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn open(&self) -> Result<File, Failure> {
        Ok(File::open(&self.0)?)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was killed leaves it a moment later.
        crate::common::eventually(|| fs::remove_dir(&self.0).is_ok());
    }
}

/// A process in a cgroup, which tries what it is told.
struct Member {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Process,
}

impl Member {
    fn new(node: &Namespace, cgroup: &Cgroup) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", "member"]).arg(&cgroup.0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = node.spawn(command)?;
        let input = process.stdin().ok_or("no input")?;
        let output = BufReader::new(process.stdout().ok_or("no output")?);
        let mut member = Self {
            input,
            output,
            _process: process,
        };
        assert_eq!(member.hears()?, "here");
        Ok(member)
    }

    fn hears(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn told(&mut self, what: &str) -> Result<String, Failure> {
        writeln!(self.input, "{what}")?;
        self.hears()
    }

    fn tcp(&mut self, to: SocketAddr) -> Result<String, Failure> {
        self.told(&format!("tcp {to}"))
    }

    fn udp(&mut self, to: SocketAddr) -> Result<String, Failure> {
        self.told(&format!("udp {to}"))
    }
}

/// What a member does: one line for each that it is told.
pub(crate) fn member(arguments: &[String]) -> Result<(), Failure> {
    let [cgroup] = arguments else {
        return Err("a cgroup is needed".into());
    };
    fs::write(PathBuf::from(cgroup).join("cgroup.procs"), "0")?;
    println!("here");
    let mut servers = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let (what, to) = line.split_once(' ').ok_or("two words")?;
        let to: SocketAddr = to.parse()?;
        let result = match what {
            "tcp" => TcpStream::connect_timeout(&to, COMES).map(drop),
            "udp" => ask(to),
            "send" => send(to),
            _ => serve(to).map(|server| servers.push(server)),
        };
        match result {
            Ok(()) => println!("done"),
            Err(error) => println!("{:?}", error.kind()),
        }
    }
    Ok(())
}

fn send(to: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = crate::traffic::unspecified(to.is_ipv6());
    UdpSocket::bind((any, 0))?.send_to(b"x", to).map(drop)
}

fn ask(to: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = crate::traffic::unspecified(to.is_ipv6());
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(COMES))?;
    socket.send_to(b"question", to)?;
    socket.recv(&mut [0; 16]).map(drop)
}

/// Answers on TCP and UDP.
fn serve(at: SocketAddr) -> std::io::Result<std::thread::JoinHandle<()>> {
    let tcp = TcpListener::bind(at)?;
    let udp = UdpSocket::bind(at)?;
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&buffer[..length], from);
        }
    });
    Ok(std::thread::spawn(move || {
        use std::io::Read;
        for mut stream in tcp.incoming().flatten() {
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                let _ = stream.write_all(&buffer[..length]);
            }
        }
    }))
}

fn spec() -> GroupSpec {
    GroupSpec {
        id: GROUP,
        identity: IDENTITY,
    }
}

/// The group may use this port of everybody, and nobody may use any of its own.
fn may_use(port: u16) -> MapState {
    let everybody = [IdentityId::UNKNOWN];
    policy(everybody.into_iter().flat_map(|peer| {
        [Protocol::TCP, Protocol::UDP].map(|protocol| {
            let what = (protocol, PortPrefix::exact(port));
            entry(Direction::Egress, peer, what, EntryAction::Allow, 3)
        })
    }))
}

/// The world may use this port of the group.
fn serves(port: u16) -> MapState {
    policy(WORLD.into_iter().flat_map(|peer| {
        [Protocol::TCP, Protocol::UDP].map(|protocol| allow(peer, protocol, port, 4))
    }))
}

const REFUSED: &str = "PermissionDenied";

/// What a group sends and receives is judged, by its socket; what others of the node do is not.
pub(crate) fn judged(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 0)?;
    let outside = Pod::new(&scene.node, 2, 2)?;
    let cgroup = Cgroup::new()?;
    let mut member = Member::new(&scene.node, &cgroup)?;
    let _echo = Echo::start(&outside, &[PORT, OTHER])?;
    let near = |v6| -> Result<IpAddr, Failure> {
        Ok(if v6 {
            "fd00:2::1".parse()?
        } else {
            "10.1.2.1".parse()?
        })
    };
    assert_eq!(
        member.tcp(outside.at(false, OTHER))?,
        "done",
        "not judged yet"
    );
    let directory = cgroup.open()?;
    scene
        .datapath
        .add_group(spec(), directory.as_fd(), &may_use(PORT))?;
    for v6 in [false, true] {
        assert_eq!(member.tcp(outside.at(v6, PORT))?, "done");
        assert_eq!(member.udp(outside.at(v6, PORT))?, "done");
        assert_eq!(member.tcp(outside.at(v6, OTHER))?, REFUSED);
        assert_eq!(member.udp(outside.at(v6, OTHER))?, REFUSED);
    }
    let reason = DropReason::POLICY_DENIED;
    let seen = scene.log.expect_drop(GROUP, Direction::Egress, reason)?;
    assert_eq!(seen.source, IDENTITY);
    assert!(WORLD.contains(&seen.destination));

    // As a server, which answers whom it is asked by and nobody else.
    scene.datapath.install_group(GROUP, &serves(PORT))?;
    assert_eq!(member.tcp(outside.at(false, PORT))?, REFUSED);
    for v6 in [false, true] {
        for port in [PORT, OTHER] {
            let at = SocketAddr::new(near(v6)?, port);
            assert_eq!(member.told(&format!("serve {at}"))?, "done");
        }
        let at = SocketAddr::new(near(v6)?, PORT);
        assert!(Stream::connect(&outside, at)?.answers(1)?);
        let mut asked =
            crate::traffic::Datagrams::udp(&outside, crate::traffic::unspecified(v6), at)?;
        assert!(asked.answers(2)?, "an answer is no opening");
        let at = SocketAddr::new(near(v6)?, OTHER);
        assert!(Stream::open(&outside, at, STAYS_AWAY)?.is_none());
    }
    let seen = scene.log.expect_drop(GROUP, Direction::Ingress, reason)?;
    assert_eq!(seen.destination, IDENTITY);
    // A change takes hold of what runs.
    let mut running = Stream::connect(&outside, SocketAddr::new(near(false)?, PORT))?;
    assert!(running.answers(1)?);
    scene.datapath.install_group(GROUP, &may_use(PORT))?;
    assert!(running.is_silent(2)?);
    scene.datapath.install_group(GROUP, &serves(PORT))?;
    assert!(running.answers(3)?);

    // The test itself is in no group.
    let itself = Pod {
        namespace: scene.node.try_clone()?,
        ..Pod::new(&scene.node, 3, 3)?
    };
    assert!(Stream::connect(&itself, outside.at(false, OTHER))?.answers(1)?);
    scene.datapath.remove_group(GROUP)?;
    assert_eq!(scene.datapath.groups(), []);
    assert_eq!(
        member.tcp(outside.at(false, OTHER))?,
        "done",
        "judged no more"
    );
    Ok(())
}

/// Who may speak to the host hears the answers of a group, to which one speaks as to the host.
pub(crate) fn answers(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    let gateway: IpAddr = "10.1.1.1".parse()?;
    scene
        .datapath
        .upsert_prefix(IpNet::from(gateway), IdentityId::HOST)?;
    let to_host = policy([allow_egress(IdentityId::HOST)]);
    scene.ready(&[&to_host])?;
    let groups = [Cgroup::new()?, Cgroup::new()?];
    let mut server = Member::new(&scene.node, &groups[0])?;
    let mut client = Member::new(&scene.node, &groups[1])?;
    let local: SocketAddr = (std::net::Ipv4Addr::LOCALHOST, PORT).into();
    let wire = SocketAddr::new(gateway, PORT);
    for at in [wire, local] {
        assert_eq!(server.told(&format!("serve {at}"))?, "done");
    }
    let other = GroupSpec {
        id: EndpointId::new(71),
        identity: IdentityId::new(5001),
    };
    let friends = [scene.pods[0].identity, other.identity];
    let serves = policy(friends.map(|peer| allow(peer, Protocol::TCP, PORT, 4)));
    for (spec, cgroup, policy) in [(spec(), &groups[0], &serves), (other, &groups[1], &to_host)] {
        let directory = cgroup.open()?;
        scene.datapath.add_group(spec, directory.as_fd(), policy)?;
    }
    assert_eq!(client.tcp(local)?, "done");
    assert!(Stream::connect(&scene.pods[0], wire)?.answers(1)?);
    // And nothing but answers: the group itself is not let in.
    let reason = DropReason::POLICY_DENIED;
    scene
        .datapath
        .install_group(GROUP, &crate::scene::client())?;
    server.told(&format!("send {}", scene.pods[0].at(false, OTHER)))?;
    let pod = scene.pods[0].id;
    let seen = scene.log.expect_drop(pod, Direction::Ingress, reason)?;
    assert_eq!(seen.source, IDENTITY);
    Ok(())
}

/// A group sends no tunnel traffic of its own: another node would believe what it says.
pub(crate) fn tunnels_not(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 0)?;
    let far = Pod::new(&scene.node, 2, 2)?;
    let overlay = OverlaySpec {
        ifindex: scene.node.vxlan("vx0", PORT)?,
        port: PORT,
    };
    let node = scene.node.try_clone()?;
    node.run(|| scene.datapath.attach_overlay(overlay))??;
    scene.datapath.set_node(far.v4, ["10.9.0.0/24".parse()?])?;
    let cgroup = Cgroup::new()?;
    let mut member = Member::new(&node, &cgroup)?;
    let directory = cgroup.open()?;
    scene
        .datapath
        .add_group(spec(), directory.as_fd(), &client())?;
    assert_eq!(
        member.told(&format!("send {}", far.at(false, OTHER)))?,
        "done"
    );
    assert_eq!(
        member.told(&format!("send {}", far.at(false, PORT)))?,
        REFUSED
    );
    let reason = DropReason::ENCAPSULATION_TRAFFIC_IS_PROHIBITED;
    scene.log.expect_drop(GROUP, Direction::Egress, reason)?;
    Ok(())
}

/// A pod and another group know a group by its name, over the wire and over loopback.
pub(crate) fn named(config: &Config) -> suite::Outcome {
    let mut scene = Scene::new(config, 1)?;
    let gateway: IpAddr = "10.1.1.1".parse()?;
    scene
        .datapath
        .upsert_prefix(IpNet::from(gateway), IdentityId::HOST)?;
    let only = |identity| policy([allow(identity, Protocol::TCP, PORT, 101)]);
    scene.ready(&[&only(IDENTITY)])?;
    let _echo = Echo::start(&scene.pods[0], &[PORT])?;
    let groups = [Cgroup::new()?, Cgroup::new()?];
    let mut first = Member::new(&scene.node, &groups[0])?;
    let mut second = Member::new(&scene.node, &groups[1])?;
    let directory = groups[0].open()?;
    scene
        .datapath
        .add_group(spec(), directory.as_fd(), &client())?;
    assert_eq!(first.tcp(scene.pods[0].at(false, PORT))?, "done");
    scene
        .datapath
        .set_group_identity(GROUP, IdentityId::new(5009))?;
    first.told(&format!("send {}", scene.pods[0].at(false, PORT)))?;
    let at = scene.pods[0].id;
    let reason = DropReason::POLICY_DENIED;
    let seen = scene.log.expect_drop(at, Direction::Ingress, reason)?;
    assert_eq!(seen.source, IdentityId::new(5009));
    scene.datapath.set_group_identity(GROUP, IDENTITY)?;
    let other = Pod {
        namespace: scene.node.try_clone()?,
        ..Pod::new(&scene.node, 3, 3)?
    };
    let pod = scene.pods[0].at(false, PORT);
    assert!(Stream::open(&other, pod, STAYS_AWAY)?.is_none(), "the host");

    let local: SocketAddr = (std::net::Ipv4Addr::LOCALHOST, PORT).into();
    assert_eq!(second.told(&format!("serve {local}"))?, "done");
    let two = GroupSpec {
        id: EndpointId::new(71),
        identity: IdentityId::new(5001),
    };
    let directory = groups[1].open()?;
    scene
        .datapath
        .add_group(two, directory.as_fd(), &only(IDENTITY))?;
    assert_eq!(first.tcp(local)?, "done");
    assert!(
        Stream::open(&other, local, STAYS_AWAY)?.is_none(),
        "the host"
    );
    scene
        .datapath
        .install_group(two.id, &only(IdentityId::HOST))?;
    let mut visit = Stream::connect(&other, local)?;
    assert!(visit.answers(1)?);

    let again = scene.datapath.add_group(two, directory.as_fd(), &client());
    assert!(matches!(again, Err(AttachError::Duplicate(_))), "{again:?}");
    let unknown = scene.datapath.install_group(EndpointId::new(72), &client());
    assert!(matches!(unknown, Err(ApplyError::UnknownEndpoint(_))));
    let none = GroupSpec {
        id: EndpointId::new(73),
        ..two
    };
    let file = File::open("/proc/self/status")?;
    let refused = scene.datapath.add_group(none, file.as_fd(), &client());
    assert!(
        matches!(refused, Err(AttachError::CgroupHook(_))),
        "{refused:?}"
    );
    assert_eq!(scene.datapath.groups().len(), 2);
    Ok(())
}

/// A group is judged on while no process is there, and after it is adopted.
pub(crate) fn adopted(config: &Config) -> suite::Outcome {
    with_bpffs(|bpffs| {
        let config = pinned(config, &bpffs.join("porin"));
        let node = node()?;
        let outside = Pod::new(&node, 2, 2)?;
        let _echo = Echo::start(&outside, &[PORT, OTHER])?;
        let (cgroup, short) = (Cgroup::new()?, Cgroup::new()?);
        let mut member = Member::new(&node, &cgroup)?;
        let mut datapath = node.run(|| Datapath::open(&config))??;
        datapath.add_group(spec(), cgroup.open()?.as_fd(), &may_use(PORT))?;
        let gone = GroupSpec {
            id: EndpointId::new(71),
            ..spec()
        };
        datapath.add_group(gone, short.open()?.as_fd(), &may_use(PORT))?;
        let groups = datapath.groups();
        datapath.keep();
        assert_eq!(member.tcp(outside.at(false, OTHER))?, REFUSED);
        drop(short);
        let mut datapath = node.run(|| Datapath::open(&config))??;
        assert_eq!(datapath.groups(), groups[..1]);
        assert_eq!(member.tcp(outside.at(false, PORT))?, "done");
        datapath.install_group(GROUP, &may_use(OTHER))?;
        assert_eq!(member.tcp(outside.at(false, PORT))?, REFUSED);
        assert_eq!(member.tcp(outside.at(false, OTHER))?, "done");
        datapath.close()?;
        assert_eq!(member.tcp(outside.at(false, PORT))?, "done");
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}
