//! Who stands behind the numbers of an observation.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::flow::{Attributed, Attribution, Endpoint, EndpointId, PolicyRef};
use crate::policy::{Direction, EndpointPolicy, PolicyName, RuleCookie};

/// What the enforcer knows of its endpoints, as flows tell it.
#[derive(Debug, Default)]
pub(super) struct Known {
    endpoints: BTreeMap<EndpointId, Entry>,
    addresses: HashMap<IpAddr, EndpointId>,
}

#[derive(Debug)]
struct Entry {
    endpoint: Arc<Endpoint>,
    policy: Option<EndpointPolicy>,
    /// Events that were on their way when the policy changed speak of the one before.
    before: Option<EndpointPolicy>,
}

impl Known {
    /// An endpoint, or its new identity.
    pub(super) fn put(&mut self, endpoint: Endpoint, addresses: &[IpAddr]) {
        let id = endpoint.id;
        self.addresses
            .extend(addresses.iter().map(|address| (*address, id)));
        let endpoint = Arc::new(endpoint);
        match self.endpoints.get_mut(&id) {
            Some(entry) => entry.endpoint = endpoint,
            None => {
                self.endpoints.insert(
                    id,
                    Entry {
                        endpoint,
                        policy: None,
                        before: None,
                    },
                );
            }
        }
    }

    /// The policy that is in force from now on.
    pub(super) fn policy(&mut self, id: EndpointId, policy: EndpointPolicy) {
        let Some(entry) = self.endpoints.get_mut(&id) else {
            return;
        };
        let revision = policy.revision();
        let old = entry.policy.replace(policy);
        if old.as_ref().is_some_and(|old| old.revision() != revision) {
            entry.before = old;
        }
    }

    /// An endpoint is gone.
    pub(super) fn remove(&mut self, id: EndpointId) {
        self.endpoints.remove(&id);
        self.addresses.retain(|_, owner| *owner != id);
    }
}

impl Attribution for Known {
    fn rule(&self, endpoint: EndpointId, cookie: RuleCookie) -> Option<Attributed> {
        let entry = self.endpoints.get(&endpoint)?;
        let policies = [&entry.policy, &entry.before].into_iter().flatten();
        let (policy, rule) = policies
            .into_iter()
            .find_map(|policy| Some((policy, policy.rule(cookie)?)))?;
        let reference = reference(&rule.policy, policy);
        Some(Attributed {
            policy: reference,
            rule: Arc::from(rule.to_string()),
        })
    }

    fn default_deny(&self, endpoint: EndpointId, direction: Direction) -> Vec<Arc<PolicyRef>> {
        let Some(policy) = self
            .endpoints
            .get(&endpoint)
            .and_then(|entry| entry.policy.as_ref())
        else {
            return Vec::new();
        };
        policy
            .default_deny(direction)
            .iter()
            .map(|name| reference(name, policy))
            .collect()
    }

    fn endpoint(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        self.endpoints
            .get(&id)
            .map(|entry| Arc::clone(&entry.endpoint))
    }

    fn endpoint_at(&self, address: IpAddr) -> Option<Arc<Endpoint>> {
        self.endpoint(*self.addresses.get(&address)?)
    }
}

fn reference(name: &PolicyName, policy: &EndpointPolicy) -> Arc<PolicyRef> {
    let revision = policy.revision().get();
    Arc::new(PolicyRef::new(
        name.kind.name(),
        name.namespace.as_deref(),
        &name.name,
        revision,
    ))
}
