//! The policies and the world of the walk-through, as parts of the program.

use porin::policy::{ParseError, World};

use super::probe::Act;

/// A policy file: its name and its text.
pub(crate) type File = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../walkthrough/", $path)))),*]
    };
}

/// The eleven policies as the articles show them.
const AS_WRITTEN: [File; 11] = files![
    "as-written/01-frontend-https-only.yaml",
    "as-written/02-frontend-lb-only.yaml",
    "as-written/03-api-frontend-only.yaml",
    "as-written/04-api-http-restrictions.yaml",
    "as-written/05-api-authorization-header.yaml",
    "as-written/06-postgres-api-only.yaml",
    "as-written/07-postgres-egress-deny.yaml",
    "as-written/08-kafka-clients.yaml",
    "as-written/09-kafka-topic-policy.yaml",
    "as-written/10-kafka-client-id.yaml",
    "as-written/11-backend-from-frontend.yaml",
];

/// The policies that say what the prose of the articles promises.
pub(crate) const CORRECTED: [File; 7] = files![
    "corrected/02-frontend-lb-only.yaml",
    "corrected/04-api-http-restrictions.yaml",
    "corrected/06-postgres-api-only.yaml",
    "corrected/07-postgres-egress-deny.yaml",
    "corrected/08-kafka-clients.yaml",
    "corrected/09-kafka-topic-policy.yaml",
    "corrected/11-backend-from-frontend.yaml",
];

/// A further policy for the API that takes nothing from the frontend.
pub(crate) const SPARE: File = (
    "scene/api-metrics.yaml",
    r#"apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api-metrics, namespace: backend}
spec:
  endpointSelector: {matchLabels: {role: backend-api}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: monitoring}}]
    toPorts: [{ports: [{port: "9090", protocol: TCP}]}]
"#,
);

/// A further policy for the API that shuts the frontend out.
pub(crate) const CUT: File = (
    "scene/api-maintenance.yaml",
    r#"apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api-maintenance, namespace: backend}
spec:
  endpointSelector: {matchLabels: {role: backend-api}}
  ingressDeny:
  - fromEndpoints:
    - matchLabels: {"k8s:io.kubernetes.pod.namespace": frontend}
"#,
);

/// The policies of an act.
pub(crate) fn policies(act: Act) -> &'static [File] {
    match act {
        Act::AsWritten => &AS_WRITTEN,
        Act::Corrected => &CORRECTED,
    }
}

/// The world file.
pub(crate) fn world() -> Result<World, ParseError> {
    World::parse(
        "world.yaml",
        include_str!("../../../walkthrough/world.yaml"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_policy_file_is_part_of_the_program() {
        let walkthrough = Path::new(env!("CARGO_MANIFEST_DIR")).join("../walkthrough");
        for act in [Act::AsWritten, Act::Corrected] {
            let listed: BTreeSet<String> = policies(act)
                .iter()
                .map(|(name, _)| name.to_string())
                .collect();
            let found = std::fs::read_dir(walkthrough.join(act.to_string())).unwrap();
            let found: BTreeSet<String> = found
                .map(|entry| format!("{act}/{}", entry.unwrap().file_name().to_string_lossy()))
                .collect();
            assert_eq!(listed, found);
        }
    }

    #[test]
    fn everybody_has_an_address() {
        let world = world().unwrap();
        assert!(
            world
                .workloads
                .iter()
                .all(|workload| workload.addresses.len() == 2)
        );
        assert!(world.outside.iter().all(|host| host.addresses.len() == 1));
    }
}
