//! The enforcement of the node, by the names of those it is about.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use porin::enforcer::{EndpointSpec, Enforcer};
use porin::flow::{EndpointId, Flow};
use porin::identity::{Labels, ParseLabelError};
use porin::policy::{LoadReport, Options, Semantics};

use super::cast::{Actor, Pod};
use super::error::DemoError;
use super::stage::Site;
use super::walkthrough::File;

/// The name of the node in the flows.
const NODE: &str = "walkthrough";

/// The enforcer, and who is which endpoint.
#[derive(Debug)]
pub(crate) struct Guard {
    enforcer: Enforcer,
    endpoints: BTreeMap<String, EndpointId>,
    epoch: Instant,
}

impl Guard {
    /// Loads the programs; nobody is guarded yet.
    pub(crate) fn start(semantics: Semantics) -> Result<Self, DemoError> {
        let options = Options::new().semantics(semantics);
        let enforcer = Enforcer::builder().node(NODE).options(options).open()?;
        Ok(Self {
            enforcer,
            endpoints: BTreeMap::new(),
            epoch: Instant::now(),
        })
    }

    /// Attaches a pod: what it is is known, and none of its packets passes yet. A host outside
    /// has no endpoint.
    pub(crate) fn admit(&mut self, actor: &Actor, site: &Site) -> Result<(), DemoError> {
        if let Some(pod) = &actor.pod {
            let spec = EndpointSpec::new(&actor.name, labels(pod)?, site.index)
                .addresses(actor.addresses.iter().copied())
                .held();
            let id = self.enforcer.add_endpoint(spec, self.now())?;
            self.endpoints.insert(actor.name.clone(), id);
        }
        Ok(())
    }

    /// Lets the packets of a pod through, as far as the policies do.
    pub(crate) fn ready(&mut self, name: &str) -> Result<(), DemoError> {
        if let Some(&id) = self.endpoints.get(name) {
            self.enforcer.release(id)?;
        }
        Ok(())
    }

    /// Gives a pod other labels.
    pub(crate) fn relabel(&mut self, name: &str, pod: &Pod) -> Result<(), DemoError> {
        if let Some(&id) = self.endpoints.get(name) {
            let now = self.now();
            self.enforcer.relabel(id, labels(pod)?, now)?;
        }
        Ok(())
    }

    /// Detaches a pod.
    pub(crate) fn dismiss(&mut self, name: &str) -> Result<(), DemoError> {
        if let Some(id) = self.endpoints.remove(name) {
            let now = self.now();
            self.enforcer.remove_endpoint(id, now)?;
        }
        Ok(())
    }

    /// Puts a set of policies in force, instead of what was.
    pub(crate) fn load(&mut self, files: &[File]) -> Result<LoadReport, DemoError> {
        let now = self.now();
        Ok(self.enforcer.load_policies(files.iter().copied(), now)?)
    }

    /// What happened since the last call.
    pub(crate) fn flows(&mut self) -> Vec<Flow> {
        let mut flows = Vec::new();
        self.enforcer.drain(|flow| flows.push(flow));
        flows
    }

    /// Takes the programs off again.
    pub(crate) fn close(self) -> Result<(), DemoError> {
        Ok(self.enforcer.close()?)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

/// The labels that the orchestrator and the pod's owner give it together.
fn labels(pod: &Pod) -> Result<Labels, ParseLabelError> {
    let own = pod
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    Labels::workload(&pod.namespace, None, CLUSTER, own)
}

/// The cluster's name; no policy of the walk-through names one.
const CLUSTER: &str = "default";
