use ipnet::IpNet;
use porin::identity::{AllocateError, Families, Identities, IdentityId, Labels};

/// How many of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pods, one identity each.
    pub pods: u32,
    /// Policies; the last twentieth of them speaks of whole namespaces.
    pub policies: u32,
}

impl Size {
    /// The size that figures are reported for.
    pub const FULL: Self = Self {
        pods: 10_000,
        policies: 1_000,
    };
    /// Enough to see that a bench runs.
    pub const SMOKE: Self = Self {
        pods: 1_000,
        policies: 40,
    };

    /// The full size for a measurement, the small one for a smoke run.
    #[must_use]
    pub fn chosen() -> Self {
        if crate::is_smoke_run() {
            Self::SMOKE
        } else {
            Self::FULL
        }
    }
}

/// Applications: pod `i` belongs to application `i mod 1000`.
const APPLICATIONS: u32 = 1_000;
/// Namespaces: application `a` lives in namespace `a mod 20`.
const NAMESPACES: u32 = 20;
const FIRST_POD: u32 = 1_000;
const FIRST_BLOCK: u32 = (1 << 24) + 1;

/// Pods in namespaces, blocks outside, and policies about them, all named by number.
///
/// `peers/cilium-policy/world.go` builds the same one; change both or neither.
#[derive(Debug, Clone)]
pub struct World {
    size: Size,
    identities: Identities,
}

impl World {
    /// The pod whose policy is resolved.
    pub const SUBJECT: u32 = 5;
    /// A pod that may reach the subject on TCP port 80, by one exact entry.
    pub const EXACT_PEER: u32 = 25;
    /// A pod that may reach the subject on TCP ports 8080 to 8090, by its label `env`.
    pub const RANGE_PEER: u32 = 65;

    /// Builds the identities.
    ///
    /// # Errors
    ///
    /// When the registry refuses a number, which would be a defect of this world.
    pub fn new(size: Size) -> Result<Self, AllocateError> {
        let mut identities = Identities::new(Families::V4);
        for pod in 0..size.pods {
            identities.insert_fixed(Self::pod(pod), Self::pod_labels(pod, &pod.to_string()))?;
        }
        for block in (0..=255).filter_map(Self::block) {
            let labels = identities.local_labels(block.1, []);
            identities.insert_fixed(block.0, labels)?;
        }
        Ok(Self { size, identities })
    }

    /// The numbers of the pods of a size.
    pub const HUNDRED: std::ops::Range<u32> = 0..100;

    /// The registry.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// For a bench's id.
    #[must_use]
    pub fn name(&self) -> String {
        format!("pods={} policies={}", self.size.pods, self.size.policies)
    }

    /// The identity of a pod.
    #[must_use]
    pub fn pod(number: u32) -> IdentityId {
        IdentityId::new(FIRST_POD + number)
    }

    /// The labels of a pod.
    #[must_use]
    pub fn pod_labels(number: u32, instance: &str) -> Labels {
        let application = number % APPLICATIONS;
        let text = format!(
            "k8s:app=app-{application},k8s:env=e{},k8s:tier=t{},k8s:instance={instance},\
             k8s:io.kubernetes.pod.namespace=ns-{},k8s:io.cilium.k8s.policy.cluster=default",
            number % 3,
            number % 5,
            application % NAMESPACES,
        );
        text.parse().unwrap_or_default()
    }

    fn block(number: u8) -> Option<(IdentityId, IpNet)> {
        let block = format!("10.{number}.0.0/16").parse().ok()?;
        Some((IdentityId::new(FIRST_BLOCK + u32::from(number)), block))
    }

    /// Every policy as JSON, with a file name each.
    #[must_use]
    pub fn policies(&self) -> Vec<(String, String)> {
        let of_namespaces = self.size.policies / 20;
        let of_applications = self.size.policies - of_namespaces;
        let text = |number| {
            let spec = if number < of_applications {
                application(number)
            } else {
                NAMESPACE.to_owned()
            };
            let namespace = number % NAMESPACES;
            let text = format!(
                r#"{{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{{"name":"p{number}","namespace":"ns-{namespace}"}},"spec":{spec}}}"#
            );
            (format!("p{number}.json"), text)
        };
        (0..self.size.policies).map(text).collect()
    }
}

/// Three allowances and a denial inward, two allowances outward.
fn application(n: u32) -> String {
    let peer = |labels: &str| format!(r#"[{{"matchLabels":{{{labels}}}}}]"#);
    let app = |n: u32| peer(&format!(r#""app":"app-{}""#, n % APPLICATIONS));
    let env = |n: u32| peer(&format!(r#""env":"e{}""#, n % 3));
    let tier = peer(&format!(
        r#""k8s:io.kubernetes.pod.namespace":"ns-{}","tier":"t{}""#,
        (n + 1) % NAMESPACES,
        (n + 1) % 5
    ));
    format!(
        r#"{{"endpointSelector":{{"matchLabels":{{"app":"app-{n}"}}}},
"ingress":[{{"fromEndpoints":{},"toPorts":[{{"ports":[{{"port":"80","protocol":"TCP"}}]}}]}},
{{"fromEndpoints":{},"toPorts":[{{"ports":[{{"port":"8080","endPort":8090,"protocol":"TCP"}}]}}]}},
{{"fromEndpoints":{tier},"toPorts":[{{"ports":[{{"port":"53","protocol":"UDP"}}]}}]}}],
"ingressDeny":[{{"fromEndpoints":{},"toPorts":[{{"ports":[{{"port":"9000","protocol":"TCP"}}]}}]}}],
"egress":[{{"toEndpoints":{}}},
{{"toCIDR":["10.{}.0.0/16"],"toPorts":[{{"ports":[{{"port":"443","protocol":"TCP"}}]}}]}}]}}"#,
        app(n + 20),
        env(n),
        env(n + 1),
        app(n + 40),
        n % 256,
    )
}

const NAMESPACE: &str = r#"{"endpointSelector":{},
"ingress":[{"fromEndpoints":[{}],"toPorts":[{"ports":[{"port":"443","protocol":"TCP"}]}]}],
"egress":[{"toEntities":["cluster"],"toPorts":[{"ports":[{"port":"53","protocol":"UDP"}]}]}]}"#;
