//! Kubernetes services, and who stands behind them.

use ipnet::IpNet;
use porin_identity::{Label, Labels, Requirement, Selector, SelectorKey, key, source};

use super::peers::{Reach, Who, of_labels};
use super::scope;
use crate::peers::{CidrPeer, CidrSource, ServicePeer, ServiceSource};
use crate::rule::{Document, Spec};
use crate::{Backends, Options, Service};

/// Whether a rule means a service.
pub(super) fn is_meant(peer: &ServicePeer, service: &Service) -> bool {
    let inside = peer
        .namespace
        .as_ref()
        .is_none_or(|own| *own == service.namespace);
    inside
        && match &peer.source {
            ServiceSource::Name(name) => *name == service.name,
            ServiceSource::Selector(selector) => {
                let labels = service.labels.iter();
                let labels: Labels = labels
                    .filter_map(|(key, value)| Label::new(source::K8S, key, value).ok())
                    .collect();
                selector.matches(&labels)
            }
        }
}

/// The selectors of whoever stands behind a service.
pub(super) fn backends(
    document: &Document,
    spec: &Spec,
    service: &Service,
    options: &Options,
) -> Vec<Who> {
    match &service.backends {
        Backends::Pods(labels) => {
            let place = (key::NAMESPACE, &*service.namespace);
            let labels = labels.iter().map(|(key, value)| (&**key, &**value));
            let terms = labels
                .chain([place])
                .map(|(key, value)| Requirement::equals(SelectorKey::new(source::K8S, key), value));
            let pods = Selector::from_parts(terms);
            vec![of_labels(scope::endpoints(document, spec, &pods, options))]
        }
        Backends::Addresses(addresses) => {
            let block = |address: &std::net::IpAddr| CidrPeer {
                source: CidrSource::Block(IpNet::from(*address)),
                except: Vec::new(),
            };
            addresses
                .iter()
                .map(|address| Who::Cidr(block(address), Reach::Chosen))
                .collect()
        }
    }
}
