//! The demonstration as a user runs it: what it says, and that nothing remains of it.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use porin_testbed::suite::{Outcome, Test, run};
use serde_json::Value;

/// The user and group that own nothing (`nobody`, `nogroup`).
const NOBODY: u32 = 65534;

/// How long what the kernel takes apart by itself may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let lacking = lacking();
    let tests = [
        Test::new(
            "kernel_demo_strict_keeps_every_promise",
            strict_keeps_every_promise,
        ),
        Test::new(
            "kernel_demo_cilium_keeps_every_promise",
            cilium_keeps_every_promise,
        ),
        Test::new(
            "kernel_demo_table_ends_with_the_count",
            table_ends_with_the_count,
        ),
        Test::new("kernel_demo_leaves_nothing_behind", leaves_nothing_behind),
        Test::new("kernel_demo_ends_on_interrupt", ends_on_interrupt),
        Test::new("kernel_demo_ends_on_kill", ends_on_kill),
        Test::new("kernel_demo_names_what_it_may_not", names_what_it_may_not),
    ];
    let tests = tests.into_iter();
    run(tests.map(|test| test.unless(lacking.clone())).collect())
}

/// The programs of the walk-through that this machine has not.
fn lacking() -> Option<String> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
    let absent = |name: &&str| {
        !places
            .iter()
            .any(|place| PathBuf::from(place).join(name).exists())
    };
    let absent: Vec<&str> = ["nginx", "psql", "curl"]
        .into_iter()
        .filter(absent)
        .collect();
    let names = absent.join(", ");
    (!absent.is_empty()).then(|| format!("{names} not installed: `cargo xtask setup` does that"))
}

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porin-node"));
    command.arg("demo").args(arguments).stdin(Stdio::null());
    command
}

/// The objects of a run with `-o json`.
fn objects(output: &Output) -> Result<Vec<Value>, Box<dyn Error>> {
    let text = std::str::from_utf8(&output.stdout)?;
    let objects: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    Ok(objects?)
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Runs both acts and checks what is true under either semantics.
fn both_acts(semantics: &str) -> Result<Vec<Value>, Box<dyn Error>> {
    let output = demo(&["--semantics", semantics, "-o", "json"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let objects = objects(&output)?;
    for object in &objects {
        assert_eq!(object["promised"], object["seen"], "{object}");
        let flow = &object["flow"];
        assert!(flow["verdict"].is_string(), "{object}");
        if text(flow, "reason").starts_with("POLICY_") {
            assert!(flow["policy"].is_string(), "nobody is named: {object}");
        }
    }
    assert!(objects.len() >= 40, "only {} probes", objects.len());
    let names: BTreeSet<_> = objects
        .iter()
        .map(|object| (text(object, "act"), text(object, "id")))
        .collect();
    assert_eq!(names.len(), objects.len(), "two probes share a name");
    let count = format!("{} passed, 0 failed", objects.len());
    assert_eq!(said.lines().last(), Some(count.as_str()), "{said}");
    assert!(output.status.success());
    Ok(objects)
}

/// What was promised of one probe as written.
fn promised<'v>(objects: &'v [Value], id: &str) -> &'v str {
    let probe = |object: &&Value| text(object, "act") == "as-written" && text(object, "id") == id;
    objects
        .iter()
        .find(probe)
        .map_or("no such probe", |object| text(object, "promised"))
}

fn strict_keeps_every_promise() -> Outcome {
    let objects = both_acts("strict")?;
    assert_eq!(promised(&objects, "stranger-80-from-postgres"), "closed");
    let id = "backend-api-8080-from-look-alike-frontend";
    assert_eq!(promised(&objects, id), "closed: L7_WITHOUT_PROXY");
    Ok(())
}

fn cilium_keeps_every_promise() -> Outcome {
    let objects = both_acts("cilium")?;
    assert_eq!(promised(&objects, "stranger-80-from-postgres"), "open");
    assert_eq!(
        promised(&objects, "backend-api-8080-from-look-alike-frontend"),
        "open"
    );
    Ok(())
}

fn table_ends_with_the_count() -> Outcome {
    let start = Instant::now();
    let output = demo(&["--act", "as-written"]).output()?;
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    let said = String::from_utf8(output.stdout)?;
    for code in ["PL001", "PL002", "PL003", "PL004", "PL005", "PL006"] {
        assert!(said.contains(code), "{code} is not reported");
    }
    let last = said.lines().last().unwrap_or_default();
    assert!(last.ends_with(" passed, 0 failed"), "{last}");
    assert!(output.status.success());
    Ok(())
}

/// What could remain: mounts, links and files that anybody else can see, and processes.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    links: BTreeSet<String>,
    shared: BTreeSet<String>,
    mounts: BTreeSet<String>,
}

impl Traces {
    fn now() -> Result<Self, Box<dyn Error>> {
        let names = |place: &str| -> Result<BTreeSet<String>, std::io::Error> {
            let entries = fs::read_dir(place)?;
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        Ok(Self {
            links: names("/sys/class/net")?,
            shared: names("/dev/shm")?,
            mounts: mounts.lines().map(str::to_owned).collect(),
        })
    }
}

/// A demonstration that stands and can be ended in the middle.
struct Running {
    child: Child,
}

impl Running {
    /// Starts one and waits until its first probe has been answered.
    fn start() -> Result<Self, Box<dyn Error>> {
        let mut child = demo(&["--keep"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let under_way = lines.any(|line| line.is_ok_and(|line| line.starts_with("  ok")));
        // The rest is read away, so that the demonstration does not stop for want of a reader.
        thread::spawn(move || lines.count());
        assert!(under_way, "no probe was answered");
        Ok(Self { child })
    }

    /// Every process that descends from it, itself included.
    fn family(&self) -> BTreeSet<u32> {
        let mut family = BTreeSet::from([self.child.id()]);
        loop {
            let children: BTreeSet<u32> = processes()
                .filter(|(id, parent)| family.contains(parent) && !family.contains(id))
                .map(|(id, _)| id)
                .collect();
            if children.is_empty() {
                return family;
            }
            family.extend(children);
        }
    }

    /// Sends the signal and gives the exit status, or none if the signal ended it.
    fn end(mut self, signal: Signal) -> Result<Option<i32>, Box<dyn Error>> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        Ok(self.child.wait()?.code())
    }
}

/// Every process with its parent.
fn processes() -> impl Iterator<Item = (u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may hold anything; after it come the state and the parent.
        let (_, rest) = status.rsplit_once(") ")?;
        Some((id, rest.split(' ').nth(1)?.parse().ok()?))
    })
}

/// Waits until none of the processes is left; a number that means another one now does not count.
fn gone(family: &BTreeSet<u32>) -> bool {
    let end = Instant::now() + PATIENCE;
    let left = || {
        let ours = |id: &&u32| {
            let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            ["porin-node", "nginx", "postgres", "curl", "psql"]
                .iter()
                .any(|name| command.contains(name))
        };
        family.iter().any(|id| ours(&id))
    };
    while left() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn leaves_nothing_behind() -> Outcome {
    let before = Traces::now()?;
    for _ in 0..2 {
        let output = demo(&["--act", "corrected", "-o", "json"]).output()?;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(Traces::now()?, before);
    Ok(())
}

/// Ends a demonstration in the middle; nothing of it is left, and another one works.
fn ends_on(signal: Signal, status: Option<i32>) -> Outcome {
    let before = Traces::now()?;
    let running = Running::start()?;
    let family = running.family();
    assert!(family.len() > 5, "servers are running: {family:?}");
    assert_eq!(running.end(signal)?, status);
    assert!(gone(&family), "somebody of {family:?} lives on");
    assert_eq!(Traces::now()?, before);
    let output = demo(&["--act", "corrected", "-o", "json"]).output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn ends_on_interrupt() -> Outcome {
    ends_on(Signal::SIGINT, Some(130))
}

fn ends_on_kill() -> Outcome {
    ends_on(Signal::SIGKILL, None)
}

fn names_what_it_may_not() -> Outcome {
    // The build directory may be closed to others, so they get a copy of the program.
    let place = tempfile::tempdir()?;
    let program = place.path().join("porin-node");
    fs::copy(env!("CARGO_BIN_EXE_porin-node"), &program)?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path(), open)?;
    let output = Command::new(&program)
        .arg("demo")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("CAP_SYS_ADMIN"), "{said}");
    Ok(())
}
