//! What the kernel tests stand on: a wire between two namespaces, and a BPF
//! file system of their own.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary is a crate of its own and uses a part of this"
)]

pub mod random;

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use porin_datapath::sys;
use porin_testbed::suite::Outcome;
use porin_testbed::{Namespace, Process};

/// How long a packet that should come is waited for.
const COMES: Duration = Duration::from_secs(15);
/// How long a packet that must not come is waited for; on a veth it would be there in microseconds.
const STAYS_AWAY: Duration = Duration::from_millis(60);

/// Any error, for functions that meet several kinds.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs `test` with the path of a new BPF file system that only it sees.
///
/// The mount lives in a mount namespace of the thread, and goes away with it,
/// with whatever is pinned in it.
pub fn with_bpffs(test: impl FnOnce(&Path) -> Outcome + Send) -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            sys::mount_bpffs(path)?;
            test(path)
        });
        match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Starts this test binary again in another role.
pub fn spawn_role(
    namespace: &Namespace,
    role: &str,
    arguments: &[&str],
) -> Result<Process, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--role", role])
        .args(arguments)
        .stdout(Stdio::piped());
    Ok(namespace.spawn(command)?)
}

/// Starts this test binary again in another role, and waits for its first line.
pub fn start_role(
    namespace: &Namespace,
    role: &str,
    arguments: &[&str],
) -> Result<(Process, String), Failure> {
    let mut process = spawn_role(namespace, role, arguments)?;
    let output = process.stdout().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok((process, line.trim().to_owned()))
}

/// The role and its arguments, if this process was started by [`start_role`].
pub fn role() -> Option<(String, Vec<String>)> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != "--role" {
        return None;
    }
    Some((arguments.next()?, arguments.collect()))
}

/// A pod and its node: `pod0` at the node leads to `eth0` in the pod.
pub struct Wire {
    pub node: Namespace,
    pub pod: Namespace,
    /// The index of `pod0`, where programs are attached.
    pub ifindex: u32,
    at_node: UdpSocket,
    at_pod: UdpSocket,
}

impl Wire {
    pub fn new() -> Result<Self, Failure> {
        let node = Namespace::new()?;
        let pod = Namespace::new()?;
        let ifindex = node.veth("pod0", &pod, "eth0")?.index;
        let ends = [
            (&node, "pod0", Ipv4Addr::new(10, 0, 0, 1), &pod, "eth0"),
            (&pod, "eth0", Ipv4Addr::new(10, 0, 0, 2), &node, "pod0"),
        ];
        for (here, link, address, ..) in &ends {
            here.add_address(link, format!("{address}/24").parse()?)?;
            here.up(link)?;
        }
        // Known neighbours: a program that drops everything drops ARP as well.
        for (_, link, address, there, far) in &ends {
            let here_mac = ends[0].0.mac("pod0")?;
            let mac = if *link == "pod0" {
                here_mac
            } else {
                pod.mac("eth0")?
            };
            there.add_neighbour(far, (*address).into(), mac)?;
        }
        let bind = |namespace: &Namespace, address| -> Result<UdpSocket, Failure> {
            let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, 0)))??;
            Ok(socket)
        };
        let at_node = bind(&node, "10.0.0.1".parse()?)?;
        let at_pod = bind(&pod, "10.0.0.2".parse()?)?;
        Ok(Self {
            node,
            pod,
            ifindex,
            at_node,
            at_pod,
        })
    }

    /// Whether a packet of the pod reaches the node.
    pub fn comes_out(&self) -> bool {
        self.passes(&self.at_pod, &self.at_node, COMES)
    }

    /// Whether a packet of the node reaches the pod.
    pub fn comes_in(&self) -> bool {
        self.passes(&self.at_node, &self.at_pod, COMES)
    }

    /// Whether a packet of the pod is kept from the node.
    pub fn is_cut_out(&self) -> bool {
        !self.passes(&self.at_pod, &self.at_node, STAYS_AWAY)
    }

    /// Whether a packet of the node is kept from the pod.
    pub fn is_cut_in(&self) -> bool {
        !self.passes(&self.at_node, &self.at_pod, STAYS_AWAY)
    }

    fn passes(&self, from: &UdpSocket, to: &UdpSocket, limit: Duration) -> bool {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mark = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let address = to.local_addr().expect("a bound socket");
        from.send_to(&mark, address).expect("the wire is up");
        let end = Instant::now() + limit;
        let mut buffer = [0; 16];
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            to.set_read_timeout(Some(rest)).expect("a timeout");
            match to.recv(&mut buffer) {
                Ok(8) if buffer[..8] == mark => return true,
                // Of an earlier attempt.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => panic!("receiving failed: {error}"),
            }
        }
    }
}

/// Waits until `condition` holds; `false` if it does not in time.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + COMES;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

/// The names in a directory, in order, without what the kernel puts into every new bpffs.
pub fn listing(path: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".debug") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A number from the environment: the size of a test, or its seed.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
