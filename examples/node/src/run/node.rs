//! A node at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use porin::enforcer::{EndpointSpec, Enforcer, HostSpec};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use super::bpffs::PinDirectory;
use super::config::{Config, EndpointConfig, HostConfig};
use super::device;
use super::error::{NodeError, with_causes};
use super::output::Output;
use super::policies::Directory;

/// The kernel does not wake us for every event; so long may one wait.
const TURN: Duration = Duration::from_millis(20);

/// A node that enforces.
pub(crate) struct Node {
    enforcer: Enforcer,
    pins: PinDirectory,
    policies: Directory,
    output: Output,
    stop: Arc<AtomicBool>,
    /// Somebody says that the node can still be reached.
    confirmed: Arc<AtomicBool>,
    /// Whether a policy of the host has to be confirmed.
    on_trial: bool,
    began: Instant,
    lost: u64,
}

impl Node {
    /// Opens or adopts the datapath, loads the policies, then brings all endpoints up together, so
    /// that what a process before this one left in force stays in force until it is replaced.
    pub(crate) fn start(config: Config) -> Result<Self, NodeError> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(NodeError::Signals)?;
        }
        let confirmed = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGUSR1, Arc::clone(&confirmed)).map_err(NodeError::Signals)?;
        let host = config.host.as_ref().map(host).transpose()?;
        let specs = config
            .endpoints
            .iter()
            .map(spec)
            .collect::<Result<Vec<_>, _>>()?;
        let output = Output::open(&config.flows, config.format)?;
        let policies = Directory::watch(&config.policies)?;
        let pins = PinDirectory::open(&config.pins)?;
        let builder = Enforcer::builder();
        let enforcer = host
            .into_iter()
            .fold(builder, porin::enforcer::Builder::host)
            .node(&config.node)
            .options(config.options)
            .families(config.families)
            .filter(config.filter)
            .addresses(config.addresses)
            .aggregation(config.aggregation)
            .pins(pins.path())
            .open()
            .map_err(NodeError::Open)
            .inspect_err(|_| {
                // The failure to tell is the first one.
                let _ = if pins.is_fresh() {
                    pins.remove()
                } else {
                    Ok(())
                };
            })?;
        // Those that were lost before are the account of the process before.
        let lost = enforcer.lost().map_or(0, |lost| lost.total());
        let fresh = enforcer.adopted() == 0 && enforcer.datapath().host().is_none();
        let mut node = Self {
            enforcer,
            pins,
            policies,
            output,
            stop,
            confirmed,
            on_trial: false,
            began: Instant::now(),
            lost,
        };
        match node.bring_up(specs) {
            Ok(()) => Ok(node),
            Err(error) => {
                // What was adopted stays in force; without that, nothing stays behind.
                let _ = if fresh { node.end() } else { Ok(()) };
                Err(error)
            }
        }
    }

    fn bring_up(&mut self, specs: Vec<EndpointSpec>) -> Result<(), NodeError> {
        let files = self.policies.read()?;
        let now = self.began.elapsed();
        let loaded = self.enforcer.load_policies(files, now);
        let report = loaded.map_err(|error| NodeError::NoPolicies(with_causes(&error)))?;
        report
            .refused
            .iter()
            .for_each(|refused| eprintln!("porin-node: refused: {refused}"));
        let adopted = self.enforcer.adopted();
        let count = specs.len();
        self.enforcer
            .add_endpoints(specs, now)
            .map_err(NodeError::Endpoints)?;
        self.enforcer
            .forget_unclaimed()
            .map_err(NodeError::Endpoints)?;
        eprintln!(
            "porin-node: {count} endpoints enforced ({adopted} adopted), {} policies, revision {}",
            self.enforcer.policies().documents().count(),
            report.revision,
        );
        Ok(())
    }

    /// Tells flows and follows the policies until a signal asks to stop.
    pub(crate) fn run(mut self, keep_enforcing: bool) -> Result<(), NodeError> {
        while !self.stop.load(Ordering::Relaxed) {
            self.tell_flows(TURN);
            if self.policies.is_due(Instant::now()) {
                // What was judged by the set before is told with its names.
                self.tell_flows(Duration::ZERO);
                self.reload();
            }
            self.tell_losses();
            self.follow_trial();
            if let Err(error) = self.enforcer.tick(self.began.elapsed()) {
                eprintln!(
                    "porin-node: tables cannot be written: {}",
                    with_causes(&error)
                );
            }
        }
        self.tell_flows(Duration::ZERO);
        self.tell_losses();
        if keep_enforcing {
            self.output.close();
            self.enforcer.keep();
            eprintln!("porin-node: stopped; what was enforced stays in force");
            return Ok(());
        }
        self.end()?;
        eprintln!("porin-node: stopped; nothing is enforced any more");
        Ok(())
    }

    /// Takes everything back.
    fn end(self) -> Result<(), NodeError> {
        let Self {
            enforcer,
            pins,
            output,
            ..
        } = self;
        output.close();
        enforcer
            .close()
            .map_err(|error| NodeError::Close(Box::new(error)))?;
        pins.remove()
            .map_err(|error| NodeError::Close(Box::new(error)))
    }

    fn tell_flows(&mut self, limit: Duration) {
        let Self {
            enforcer, output, ..
        } = self;
        if let Err(error) = enforcer.wait(limit, |flow| output.push(flow)) {
            eprintln!("porin-node: events cannot be read: {error}");
        }
    }

    /// Events that found no room in the kernel's ring are counted there; says so when there are more.
    fn tell_losses(&mut self) {
        let lost = self.enforcer.lost().map_or(self.lost, |lost| lost.total());
        if lost > self.lost {
            let more = lost - self.lost;
            eprintln!("porin-node: {more} events were lost: their flows cannot be told");
            self.lost = lost;
        }
    }

    /// Confirms the host's policy when told so, and says how its trials begin and end.
    fn follow_trial(&mut self) {
        if self.confirmed.swap(false, Ordering::Relaxed) {
            match self.enforcer.confirm_host(self.began.elapsed()) {
                Ok(()) => {
                    self.on_trial = false;
                    eprintln!("porin-node: the host's policy is confirmed");
                }
                Err(error) => eprintln!("porin-node: not confirmed: {}", with_causes(&error)),
            }
        }
        let on_trial = self.enforcer.host_trial().is_some();
        if on_trial && !self.on_trial {
            eprintln!("porin-node: the host's policy is on trial; SIGUSR1 confirms it");
        }
        if !on_trial && self.on_trial {
            eprintln!(
                "porin-node: the host's policy was not confirmed; the one before it is in force"
            );
        }
        self.on_trial = on_trial;
    }

    /// A set that is wrong in any place changes nothing.
    fn reload(&mut self) {
        let kept = |reason: String| {
            eprintln!(
                "porin-node: policies not changed, the last good set stays in force:\n{reason}"
            );
        };
        let files = match self.policies.read() {
            Ok(files) => files,
            Err(error) => return kept(with_causes(&error)),
        };
        match self.enforcer.load_policies(files, self.began.elapsed()) {
            Ok(report) => {
                report
                    .refused
                    .iter()
                    .for_each(|refused| eprintln!("porin-node: refused: {refused}"));
                eprintln!(
                    "porin-node: policies in force, revision {}",
                    report.revision
                );
            }
            Err(error) => kept(with_causes(&error)),
        }
    }
}

fn host(host: &HostConfig) -> Result<HostSpec, NodeError> {
    let failed = |reason| NodeError::Host { reason };
    let devices = host.interfaces.iter().map(|name| device::named(name));
    let devices = devices.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let labelled = |spec: HostSpec, (key, value): (&String, &String)| spec.label(key, value);
    let spec = host
        .labels
        .iter()
        .try_fold(HostSpec::new(devices), labelled)
        .map_err(|error| failed(error.to_string()))?;
    Ok(match host.confirm {
        Some(seconds) => spec.confirm(Duration::from_secs(seconds.get().into())),
        None => spec,
    })
}

fn spec(endpoint: &EndpointConfig) -> Result<EndpointSpec, NodeError> {
    let ifindex = device::index(&endpoint.device).map_err(|reason| NodeError::Device {
        endpoint: endpoint.name.clone(),
        reason,
    })?;
    let addresses = endpoint.addresses.iter().copied();
    Ok(
        EndpointSpec::new(&endpoint.name, endpoint.labels.clone(), ifindex)
            .addresses(addresses)
            .ports(endpoint.ports.iter().cloned()),
    )
}
