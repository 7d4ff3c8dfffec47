//! `porin-node run` as an operator meets it: started, killed, misconfigured, asked to stop.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use porin_testbed::suite::{Outcome, Test, run};
use porin_testbed::{Namespace, Process, Signal};

const BINARY: &str = env!("CARGO_BIN_EXE_porin-node");
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);
const ALLOWED: u16 = 8080;
const DENIED: u16 = 9090;
const STEADY: u16 = 7000;
const STREAM: u16 = 7001;
/// The ports that take turns.
const TURNS: [u16; 2] = [9091, 9092];
/// How often [`killed_again`] kills, unless `PORIN_KILLS` says otherwise.
const KILLS: u64 = 3;
/// How long what should come is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not come is waited for.
const SHORT: Duration = Duration::from_millis(300);

const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: server, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: client}}]
    toPorts:
    - ports: [{port: "8080", protocol: TCP}, {port: "7000", protocol: UDP}]
"#;

fn main() -> std::process::ExitCode {
    run(vec![
        Test::new(
            "kernel_killed_and_adopted_without_a_gap",
            killed_and_adopted,
        ),
        Test::new("kernel_ac_14_killed_again_and_again", killed_again),
        Test::new(
            "kernel_broken_policy_keeps_the_last_good_set",
            broken_policy,
        ),
        Test::new(
            "kernel_ac_49_host_policy_is_confirmed_by_a_signal",
            host_policy,
        ),
        Test::new(
            "kernel_wrong_from_the_start_leaves_nothing",
            wrong_from_the_start,
        ),
        Test::new("kernel_changed_while_nobody_watched", changed_meanwhile),
        Test::new(
            "kernel_a_reader_that_stalls_holds_up_nothing",
            stalled_reader,
        ),
        Test::new("kernel_sigterm_removes_everything", sigterm),
        Test::new("kernel_keep_enforcing_leaves_it_in_force", keep_enforcing),
        Test::new(
            "kernel_without_privileges_the_capability_is_named",
            unprivileged,
        ),
    ])
}

/// A node with a client and a server behind it, and a directory for its files.
struct World {
    node: Namespace,
    client: Namespace,
    _server: Namespace,
    dir: PathBuf,
    stop: Arc<AtomicBool>,
}

impl World {
    fn new(dir: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let (node, client, server) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        node.forward()?;
        for (pod, link, net, own) in [
            (&client, "client", "10.77.1", CLIENT),
            (&server, "server", "10.77.2", SERVER),
        ] {
            let gateway: Ipv4Addr = format!("{net}.1").parse()?;
            node.veth(link, pod, "eth0")?;
            node.add_address(link, format!("{gateway}/24").parse()?)?;
            pod.add_address("eth0", format!("{own}/24").parse()?)?;
            node.up(link)?;
            pod.up("eth0")?;
            pod.add_default_route("eth0", gateway.into())?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        for port in [ALLOWED, DENIED, TURNS[0], TURNS[1]] {
            let listener = server.run(|| TcpListener::bind((SERVER, port)))??;
            thread::spawn(move || listener.incoming().flatten().for_each(drop));
        }
        let socket = server.run(|| UdpSocket::bind((SERVER, STEADY)))??;
        thread::spawn(move || echo(&socket));
        let listener = server.run(|| TcpListener::bind((SERVER, STREAM)))??;
        thread::spawn(move || listener.incoming().flatten().for_each(converse));
        fs::create_dir(dir.join("policies"))?;
        fs::write(dir.join("policies/server.yaml"), POLICY)?;
        // A namespace without a name has a path while somebody holds it.
        let netns = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            client.as_fd().as_raw_fd()
        );
        fs::write(dir.join("node.toml"), CONFIG.replace("NETNS", &netns))?;
        Ok(Self {
            node,
            client,
            _server: server,
            dir: dir.to_owned(),
            stop,
        })
    }

    fn start(&self, arguments: &[&str]) -> Result<Node, Box<dyn std::error::Error>> {
        let mut command = Command::new(BINARY);
        command
            .arg("run")
            .arg("--config")
            .arg(self.dir.join("node.toml"))
            .args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.node.spawn(command)?;
        let mut stderr = process.stderr().ok_or("no stderr")?;
        let told = Arc::new(std::sync::Mutex::new(String::new()));
        let sink = Arc::clone(&told);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                let text =
                    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                sink.lock().unwrap().push_str(&text);
            }
        });
        let mut node = Node { process, told };
        let mut ended = false;
        let _ = eventually(|| {
            ended = node.process.try_wait().is_ok_and(|status| status.is_some());
            ended || node.told().contains("endpoints enforced")
        });
        node.wait_for(if ended {
            "porin-node:"
        } else {
            "endpoints enforced"
        })?;
        if ended {
            Err(node.told().into())
        } else {
            Ok(node)
        }
    }

    /// Can the client open a connection to this port?
    fn connects(&self, port: u16) -> bool {
        self.client.run(|| connect(port, PATIENCE)).unwrap()
    }

    /// Is this port closed to the client?
    fn is_shut(&self, port: u16) -> bool {
        !self.client.run(|| connect(port, SHORT)).unwrap()
    }

    fn flows(&self) -> String {
        fs::read_to_string(self.dir.join("flows.json")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

const CONFIG: &str = r#"
node = "test"
policies = "policies"
pins = "run/pins"
flows = "flows.json"

[[endpoint]]
name = "client-0"
namespace = "shop"
netns = "NETNS"
addresses = ["10.77.1.2"]
labels = { app = "client" }

[[endpoint]]
name = "server-0"
namespace = "shop"
interface = "server"
addresses = ["10.77.2.2"]
labels = { app = "server" }
"#;

/// Where a further table goes.
const CONFIG_END: &str = "[[endpoint]]";

struct Node {
    process: Process,
    told: Arc<std::sync::Mutex<String>>,
}

impl Node {
    fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) -> Result<(), String> {
        eventually(|| self.told().contains(text))
            .map_err(|()| format!("`{text}` was not said in:\n{}", self.told()))
    }

    fn stop(self, signal: Signal) -> Outcome {
        let status = self.process.stop(signal, PATIENCE)?;
        match signal {
            Signal::SIGKILL => {}
            _ if status.success() => {}
            _ => return Err(format!("{status}:\n{}", self.told.lock().unwrap()).into()),
        }
        Ok(())
    }
}

fn echo(socket: &UdpSocket) {
    let mut buffer = [0; 64];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
    }
}

fn connect(port: u16, limit: Duration) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((SERVER, port)), limit).is_ok()
}

fn eventually(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if holds() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(())
}

/// Runs a test on a thread with mounts of its own, so that nothing of a failed one stays.
fn with_world(test: fn(&World) -> Outcome) -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path();
    thread::scope(|scope| {
        let work = move || -> Outcome {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(
                None::<&str>,
                "/",
                None::<&str>,
                MsFlags::MS_REC | MsFlags::MS_PRIVATE,
                None::<&str>,
            )?;
            let world = World::new(path).map_err(|error| error.to_string())?;
            test(&world)
        };
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sends numbered datagrams without a pause and counts those that did not come back.
struct Steady {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: thread::JoinHandle<u32>,
}

impl Steady {
    fn begin(world: &World) -> Result<Self, Box<dyn std::error::Error>> {
        let socket = world.client.run(|| UdpSocket::bind((CLIENT, 0)))??;
        socket.connect((SERVER, STEADY))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU32::new(0)),
        );
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let mut lost = 0;
            let mut answer = [0; 4];
            while !stopped.load(Ordering::Relaxed) {
                let number = counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                let back = socket.send(&number).and_then(|_| socket.recv(&mut answer));
                lost += u32::from(back.is_err() || answer != number);
            }
            lost
        });
        Ok(Self { stop, sent, thread })
    }

    fn end(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        (
            self.sent.load(Ordering::Relaxed),
            self.thread.join().unwrap(),
        )
    }
}

/// Knocks at the denied port all the time and counts how often somebody opened.
struct Knocker {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<(u32, u32)>,
}

impl Knocker {
    fn begin(world: &World) -> Result<Self, Box<dyn std::error::Error>> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let client = world.client.try_clone()?;
        let thread = thread::spawn(move || {
            let (mut knocked, mut opened) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                knocked += 1;
                let address = SocketAddr::from((SERVER, DENIED));
                let limit = Duration::from_millis(20);
                let answer = client.run(|| TcpStream::connect_timeout(&address, limit).is_ok());
                opened += u32::from(answer.unwrap());
            }
            (knocked, opened)
        });
        Ok(Self { stop, thread })
    }

    fn end(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn killed_and_adopted() -> Outcome {
    with_world(|world| {
        let first = world.start(&[]).map_err(|error| error.to_string())?;
        assert!(world.connects(ALLOWED), "the allowed port is open");
        assert!(world.is_shut(DENIED), "the denied port is closed");
        let steady = Steady::begin(world).map_err(|error| error.to_string())?;
        let knocker = Knocker::begin(world).map_err(|error| error.to_string())?;
        eventually(|| steady.sent.load(Ordering::Relaxed) > 100).map_err(|()| "no traffic")?;
        first.stop(Signal::SIGKILL)?;
        let alone = steady.sent.load(Ordering::Relaxed);
        eventually(|| steady.sent.load(Ordering::Relaxed) > alone + 200)
            .map_err(|()| "no traffic without a process")?;
        assert!(
            world.is_shut(DENIED),
            "enforcement goes on without a process"
        );
        let second = world.start(&[]).map_err(|error| error.to_string())?;
        second.wait_for("(2 adopted)")?;
        let adopted = steady.sent.load(Ordering::Relaxed);
        eventually(|| steady.sent.load(Ordering::Relaxed) > adopted + 200)
            .map_err(|()| "no traffic after adoption")?;
        let (sent, lost) = steady.end();
        let (knocked, opened) = knocker.end();
        assert_eq!(lost, 0, "of {sent} allowed datagrams {lost} were lost");
        assert_eq!(
            opened, 0,
            "of {knocked} denied connections {opened} were opened"
        );
        second.stop(Signal::SIGTERM)
    })
}

/// Sends back what comes, until nothing does.
fn converse(mut stream: TcpStream) {
    thread::spawn(move || {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
}

/// The process is killed some time after its policies change, again and again. Of two ports that take
/// turns the one of neither the old nor the new policy is never open; what both allow goes on.
fn killed_again() -> Outcome {
    with_world(|world| {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let kills = number("PORIN_KILLS").unwrap_or(KILLS);
        let seed = number("PORIN_SEED").unwrap_or_else(|| u64::from(std::process::id()));
        eprintln!("killed_again: PORIN_SEED={seed}");
        let file = world.dir.join("policies/server.yaml");
        let turn = |round: usize| -> Outcome {
            let more = format!(
                "\"7000\", protocol: UDP}}, {{port: \"{STREAM}\"}}, {{port: \"{}\"",
                TURNS[round % 2]
            );
            let next = file.with_extension("next");
            fs::write(&next, POLICY.replace("\"7000\", protocol: UDP", &more))?;
            Ok(fs::rename(next, &file)?)
        };
        turn(0)?;
        let mut node = world.start(&[]).map_err(|error| error.to_string())?;
        let steady = Steady::begin(world).map_err(|error| error.to_string())?;
        let knocker = Knocker::begin(world).map_err(|error| error.to_string())?;
        let connect = || TcpStream::connect_timeout(&(SERVER, STREAM).into(), PATIENCE);
        let mut stream = world.client.run(connect)??;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut converses = || {
            stream
                .write_all(b"x")
                .and_then(|()| stream.read_exact(&mut [0]))
        };
        for round in 1..=usize::try_from(kills)? {
            turn(round)?;
            // Some are killed before they notice the change, some in the midst of it, some after.
            let delay = (seed
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(round as u32 % 64))
                % 300;
            thread::sleep(Duration::from_millis(delay));
            node.stop(Signal::SIGKILL)?;
            converses()?;
            node = world.start(&[]).map_err(|error| error.to_string())?;
            node.wait_for("(2 adopted)")?;
            assert!(
                world.connects(TURNS[round % 2]),
                "round {round}: the new policy"
            );
            assert!(
                world.is_shut(TURNS[(round + 1) % 2]),
                "round {round}: not the old one"
            );
            converses()?;
        }
        let (sent, lost) = steady.end();
        let (knocked, opened) = knocker.end();
        eprintln!(
            "killed_again: {kills} kills, {lost} of {sent} allowed datagrams lost, {opened} of {knocked} denied connections opened"
        );
        assert_eq!((lost, opened), (0, 0));
        node.stop(Signal::SIGTERM)
    })
}

fn broken_policy() -> Outcome {
    with_world(|world| {
        let node = world.start(&[]).map_err(|error| error.to_string())?;
        let file = world.dir.join("policies/server.yaml");
        fs::write(&file, POLICY.replace("fromEndpoints", "formEndpoints"))?;
        node.wait_for("the last good set stays in force")?;
        let told = node.told();
        assert!(
            told.contains("server.yaml:8") && told.contains("formEndpoints"),
            "file, line and reason: {told}"
        );
        assert!(world.connects(ALLOWED) && world.is_shut(DENIED));
        // Written whole beside it and moved into place, as careful editors do.
        let moved = world.dir.join("policies/.server.yaml.new");
        fs::File::create(&moved)?.write_all(POLICY.replace("8080", "9090").as_bytes())?;
        fs::rename(&moved, &file)?;
        node.wait_for("policies in force")?;
        assert!(
            world.connects(DENIED) && world.is_shut(ALLOWED),
            "the corrected file is in force"
        );
        node.stop(Signal::SIGTERM)?;
        let flows = world.flows();
        let denial =
            |line: &&str| line.contains("DROPPED") && line.contains("\"destination_port\":9090");
        let denied = flows.lines().find(denial).ok_or("no denial was told")?;
        for part in [
            "POLICY_DENIED",
            "ingress_denied_by",
            "\"name\":\"server\"",
            "client-0",
            "server-0",
        ] {
            assert!(denied.contains(part), "{part} is not in {denied}");
        }
        Ok(())
    })
}

/// The link to the client is the way out of the node; nobody but the client may use port 7070.
const HOST_POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {role: worker}}
  ingress:
  - toPorts: [{ports: [{port: "7070", protocol: TCP}]}]
"#;

fn host_policy() -> Outcome {
    with_world(|world| {
        let config = world.dir.join("node.toml");
        let host = |confirm: u32| {
            format!(
                "[host]\ninterfaces = [\"client\"]\nlabels = {{ role = \"worker\" }}\n\
                 confirm = {confirm}\n{CONFIG_END}"
            )
        };
        let text = fs::read_to_string(&config)?;
        let with = |confirm| text.replacen(CONFIG_END, &host(confirm), 1);
        fs::write(&config, with(600))?;
        fs::write(world.dir.join("policies/host.yaml"), HOST_POLICY)?;
        let gateway = Ipv4Addr::new(10, 77, 1, 1);
        let listen = |port| {
            let listener = world.node.run(|| TcpListener::bind((gateway, port)))??;
            thread::spawn(move || listener.incoming().flatten().for_each(drop));
            Ok::<(), Box<dyn std::error::Error>>(())
        };
        let reaches = |port, limit| {
            let to = SocketAddr::from((gateway, port));
            let attempt = || TcpStream::connect_timeout(&to, limit).is_ok();
            world.client.run(attempt).unwrap()
        };
        for port in [7070, 7071] {
            listen(port).map_err(|error| error.to_string())?;
        }
        let start = || world.start(&["--keep-enforcing"]);
        let node = start().map_err(|error| error.to_string())?;
        node.wait_for("SIGUSR1 confirms it")?;
        assert!(reaches(7070, PATIENCE) && !reaches(7071, SHORT));
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(node.process.id().try_into()?),
            Signal::SIGUSR1,
        )?;
        node.wait_for("the host's policy is confirmed")?;
        node.stop(Signal::SIGTERM)?;
        assert!(!reaches(7071, SHORT), "kept");

        // The same policy after a restart needs no confirmation; another one does.
        fs::write(&config, with(1))?;
        let node = start().map_err(|error| error.to_string())?;
        let other = HOST_POLICY.replace("7070", "7071");
        fs::write(world.dir.join("policies/host.yaml"), other)?;
        node.wait_for("SIGUSR1 confirms it")?;
        node.wait_for("was not confirmed; the one before it is in force")?;
        assert!(reaches(7070, PATIENCE) && !reaches(7071, SHORT));
        assert_eq!(node.told().matches("SIGUSR1").count(), 1);
        node.stop(Signal::SIGTERM)?;
        fs::write(&config, text)?;
        world
            .start(&[])
            .map_err(|error| error.to_string())?
            .stop(Signal::SIGTERM)?;
        assert!(reaches(7071, PATIENCE), "given up with its configuration");
        Ok(())
    })
}

fn wrong_from_the_start() -> Outcome {
    with_world(|world| {
        fs::write(
            world.dir.join("policies/server.yaml"),
            POLICY.replace("ingress", "ingres"),
        )?;
        let started = world.start(&[]).err().ok_or("it started")?.to_string();
        assert!(
            started.contains("server.yaml:7"),
            "file and line: {started}"
        );
        assert!(world.connects(DENIED), "nothing was changed");
        assert!(!world.dir.join("run").exists(), "nothing is left behind");
        Ok(())
    })
}

fn changed_meanwhile() -> Outcome {
    with_world(|world| {
        let first = world.start(&[]).map_err(|error| error.to_string())?;
        first.stop(Signal::SIGKILL)?;
        let file = world.dir.join("policies/server.yaml");
        fs::write(&file, POLICY.replace("app: client", "app: other"))?;
        let second = world.start(&[]).map_err(|error| error.to_string())?;
        second.wait_for("(2 adopted)")?;
        assert!(world.is_shut(ALLOWED), "the policies of today");
        second.stop(Signal::SIGKILL)?;
        fs::write(&file, "kind: [")?;
        assert!(world.start(&[]).is_err(), "broken policies are told");
        assert!(
            world.is_shut(ALLOWED) && world.is_shut(DENIED),
            "what was enforced still is"
        );
        fs::write(&file, POLICY)?;
        let third = world.start(&[]).map_err(|error| error.to_string())?;
        assert!(world.connects(ALLOWED) && world.is_shut(DENIED));
        third.stop(Signal::SIGKILL)?;
        let config = fs::read_to_string(world.dir.join("node.toml"))?;
        let retired = config.replace("app = \"client\"", "app = \"retired\"");
        fs::write(world.dir.join("node.toml"), retired)?;
        let fourth = world.start(&[]).map_err(|error| error.to_string())?;
        fourth.wait_for("(2 adopted)")?;
        assert!(world.is_shut(ALLOWED), "the labels of today");
        fourth.stop(Signal::SIGTERM)
    })
}

fn stalled_reader() -> Outcome {
    with_world(|world| {
        let config = fs::read_to_string(world.dir.join("node.toml"))?;
        fs::write(
            world.dir.join("node.toml"),
            config.replace("flows.json", "-"),
        )?;
        // Standard output is a pipe that nobody reads; it holds 64 KiB.
        let node = world.start(&[]).map_err(|error| error.to_string())?;
        let socket = world.client.run(|| UdpSocket::bind((CLIENT, 0)))??;
        for _ in 0..500 {
            socket.send_to(b"x", (SERVER, DENIED))?;
        }
        fs::write(
            world.dir.join("policies/server.yaml"),
            POLICY.replace("8080", "9090"),
        )?;
        node.wait_for("policies in force")?;
        assert!(
            world.connects(DENIED) && world.is_shut(ALLOWED),
            "the new policies"
        );
        let until = Instant::now() + PATIENCE;
        node.stop(Signal::SIGTERM)?;
        assert!(
            Instant::now() < until,
            "the end does not wait for the reader"
        );
        Ok(())
    })
}

fn sigterm() -> Outcome {
    with_world(|world| {
        let node = world.start(&[]).map_err(|error| error.to_string())?;
        assert!(world.is_shut(DENIED));
        node.stop(Signal::SIGTERM)?;
        assert!(world.connects(DENIED), "nothing is enforced any more");
        assert!(!world.dir.join("run").exists(), "the pins are gone");
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
        assert!(
            !mounts.contains(&*world.dir.to_string_lossy()),
            "the mount is gone"
        );
        Ok(())
    })
}

fn keep_enforcing() -> Outcome {
    with_world(|world| {
        let node = world
            .start(&["--keep-enforcing"])
            .map_err(|error| error.to_string())?;
        node.stop(Signal::SIGINT)?;
        assert!(
            world.is_shut(DENIED) && world.connects(ALLOWED),
            "what was enforced stays in force"
        );
        let next = world.start(&[]).map_err(|error| error.to_string())?;
        next.wait_for("(2 adopted)")?;
        next.stop(Signal::SIGTERM)?;
        assert!(world.connects(DENIED));
        Ok(())
    })
}

fn unprivileged() -> Outcome {
    with_world(|world| {
        // Where its own directory lets nobody in, the program is copied.
        let binary = world.dir.join("porin-node");
        fs::copy(BINARY, &binary)?;
        let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&binary, open.clone())?;
        fs::set_permissions(&world.dir, open)?;
        let mut command = Command::new(&binary);
        command
            .arg("run")
            .arg("--config")
            .arg(world.dir.join("node.toml"));
        let output = std::os::unix::process::CommandExt::uid(&mut command, 65_534).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("CAP_NET_ADMIN"), "{told}");
        assert!(!world.dir.join("run").exists(), "nothing is left behind");
        Ok(())
    })
}
