//! The policies that the tests load.

pub(crate) const CLIENT_MAY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: client-may, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: client}}]
    toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"#;

pub(crate) const NOBODY_MAY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: nobody-may, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress: [{fromEndpoints: []}]
"#;

pub(crate) const PARTNER_MAY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: partner-may, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - fromCIDRSet: [{cidr: 10.78.3.0/24, except: [10.78.3.8/29]}]
"#;

pub(crate) const PARTNERS_MAY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: partners-may, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - fromCIDRSet: [{cidrGroupRef: partners}]
"#;

pub(crate) const ECHO_MAY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: echo-may, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - toPorts: [{ports: [{port: echo, protocol: TCP}]}]
"#;

pub(crate) const BLOCK_MAY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: block-may, namespace: shop}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress:
  - from: [{ipBlock: {cidr: 10.78.0.0/16, except: [10.78.3.0/24]}}]
"#;

pub(crate) const WEB_ONLY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web-only, namespace: shop}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: server}}}]
    ports: [{port: web}]
"#;

pub(crate) const GATEWAY_MAY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: gateway-may}
spec:
  nodeSelector: {matchLabels: {role: gateway}}
  ingress:
  - fromCIDR: [10.78.3.0/29]
    toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"#;

pub(crate) const GATEWAY_SHUT: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: gateway-shut}
spec:
  nodeSelector: {matchLabels: {role: gateway}}
  ingress:
  - fromCIDR: [10.78.3.8/29]
    toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"#;
