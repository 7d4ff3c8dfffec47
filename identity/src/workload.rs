//! The labels of a workload, put together on the orchestrator's side.

use crate::error::ParseLabelError;
use crate::label::{Label, key, source};
use crate::labels::Labels;
use crate::selector_key::{check_label_key, check_label_value};

/// Builds the labels of a workload from what the orchestrator knows and what the workload says.
///
/// Namespace, service account, cluster and the labels of the namespace can only be set here; a
/// label of the workload itself that uses one of their keys ([`key::is_trusted`]) is refused, so
/// nobody joins a namespace by claiming to be in it.
///
/// ```
/// use porin_identity::{Label, ParseLabelError, Workload};
/// let labels = Workload::new("backend").service_account("api").label("app", "api").build()?;
/// assert_eq!(labels.namespace(), Some("backend"));
/// let forged = Workload::new("backend").label("io.kubernetes.pod.namespace", "admin").build();
/// assert!(matches!(forged, Err(ParseLabelError::Trusted { .. })));
/// # Ok::<(), ParseLabelError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Workload {
    namespace: String,
    cluster: String,
    service_account: Option<String>,
    namespace_labels: Vec<(String, String)>,
    labels: Vec<(String, String)>,
}

/// The name of a cluster that was given none.
const DEFAULT_CLUSTER: &str = "default";

impl Workload {
    /// A workload of a namespace, in the cluster `default`.
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            cluster: DEFAULT_CLUSTER.to_owned(),
            service_account: None,
            namespace_labels: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// The cluster it runs in.
    pub fn cluster(mut self, name: &str) -> Self {
        name.clone_into(&mut self.cluster);
        self
    }

    /// The service account it runs as.
    pub fn service_account(mut self, name: &str) -> Self {
        self.service_account = Some(name.to_owned());
        self
    }

    /// A label that its namespace carries.
    pub fn namespace_label(mut self, key: &str, value: &str) -> Self {
        self.namespace_labels
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// A label that the workload itself carries; source `k8s`.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Several labels that the workload itself carries.
    pub fn labels<K: AsRef<str>, V: AsRef<str>>(
        self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        labels.into_iter().fold(self, |workload, (key, value)| {
            workload.label(key.as_ref(), value.as_ref())
        })
    }

    /// The label set.
    ///
    /// # Errors
    ///
    /// When a label of the workload uses a trusted key, or a name, key or value breaks the
    /// Kubernetes syntax of labels.
    pub fn build(&self) -> Result<Labels, ParseLabelError> {
        let mut set = vec![
            kubernetes(key::NAMESPACE, &self.namespace)?,
            kubernetes(key::CLUSTER, &self.cluster)?,
        ];
        if let Some(name) = &self.service_account {
            set.push(kubernetes(key::SERVICE_ACCOUNT, name)?);
        }
        for (name, value) in &self.namespace_labels {
            check(name, value)?;
            let name = format!("{}{name}", key::NAMESPACE_LABELS_PREFIX);
            set.push(Label::new(source::K8S, &name, value)?);
        }
        for (name, value) in &self.labels {
            if key::is_trusted(name) {
                return Err(ParseLabelError::Trusted { key: name.clone() });
            }
            set.push(kubernetes(name, value)?);
        }
        Ok(set.into_iter().collect())
    }
}

impl Labels {
    /// The labels of a workload; short for [`Workload`].
    ///
    /// # Errors
    ///
    /// As [`Workload::build`].
    pub fn workload<K: AsRef<str>, V: AsRef<str>>(
        namespace: &str,
        service_account: Option<&str>,
        cluster: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ParseLabelError> {
        let workload = Workload::new(namespace).cluster(cluster).labels(labels);
        match service_account {
            Some(name) => workload.service_account(name).build(),
            None => workload.build(),
        }
    }
}

fn kubernetes(key: &str, value: &str) -> Result<Label, ParseLabelError> {
    check(key, value)?;
    Label::new(source::K8S, key, value)
}

fn check(key: &str, value: &str) -> Result<(), ParseLabelError> {
    check_label_key(key)
        .and_then(|()| check_label_value(value))
        .map_err(|reason| ParseLabelError::Kubernetes {
            key: key.to_owned(),
            value: value.to_owned(),
            reason,
        })
}
