//! Lint across kinds, tiers and readings: where each code speaks, and where it holds its tongue.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use porin_policy::{CidrMatch, Finding, IpBlocks, Options, World, lint, parse_documents};

const WORLD: &str = "
workloads:
- {name: web, namespace: shop, labels: {app: web, tier: front}, ports: [{name: https, port: 8443}], addresses: [10.1.0.7]}
- {name: cart, namespace: shop, labels: {app: cart, tier: back}, ports: [{name: grpc, port: 9000}], addresses: [10.1.0.8]}
- {name: report, namespace: data, labels: {app: report}, addresses: [10.2.0.1]}
";

fn findings(text: &str, world: Option<&str>, options: &Options) -> Vec<Finding> {
    let parsed = parse_documents("p.yaml", text);
    assert!(parsed.refused.is_empty(), "{:?}\n{text}", parsed.refused);
    let world = world.map(|text| World::parse("world.yaml", text).unwrap());
    lint(&parsed.documents, world.as_ref(), options)
}

fn codes(text: &str) -> Vec<&'static str> {
    let found = findings(text, None, &Options::new());
    found.iter().map(|finding| finding.code.name()).collect()
}

fn codes_in_world(text: &str) -> Vec<&'static str> {
    let found = findings(text, Some(WORLD), &Options::new());
    found.iter().map(|finding| finding.code.name()).collect()
}

/// A policy for the web shop; `spec` is indented by two.
fn cnp(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  endpointSelector: {{matchLabels: {{app: web}}}}\n{spec}"
    )
}

fn netpol(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{spec}"
    )
}

/// An AdminNetworkPolicy for every workload, with these ingress rules: action and the team that
/// the namespaces of the peers belong to, `*` for all of them.
fn anp(name: &str, priority: u16, rules: &[(&str, &str)]) -> String {
    let mut text = format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  priority: {priority}\n  subject: {{namespaces: {{}}}}\n  ingress:\n"
    );
    for (action, team) in rules {
        let selector = match *team {
            "*" => "{}".to_owned(),
            team => format!("{{matchLabels: {{team: {team}}}}}"),
        };
        text.push_str(&format!(
            "  - {{action: {action}, from: [{{namespaces: {selector}}}]}}\n"
        ));
    }
    text
}

fn baseline(subject: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {{name: default}}\nspec:\n  subject: {{namespaces: {subject}}}\n  ingress:\n  - {{action: Deny, from: [{{namespaces: {{}}}}]}}\n"
    )
}

const FROM_SHOP: &str = "  ingress:\n  - fromEndpoints: [{matchLabels: {app: cart}}]\n";
const OF_SHOP: &str = "{matchLabels: {kubernetes.io/metadata.name: shop}}";

#[test]
fn rules_of_one_document_are_asked_in_their_order() {
    let all_first = [
        ("Allow", "*"),
        ("Deny", "dev"),
        ("Pass", "dev"),
        ("Allow", "dev"),
    ];
    assert_eq!(codes(&anp("a", 1, &all_first)), ["PL012", "PL012", "PL020"]);
    let passed = [("Pass", "*"), ("Deny", "dev")];
    assert_eq!(codes(&anp("a", 1, &passed)), ["PL012"]);
    let denied = [
        ("Deny", "*"),
        ("Allow", "dev"),
        ("Pass", "dev"),
        ("Deny", "dev"),
    ];
    assert_eq!(codes(&anp("a", 1, &denied)), ["PL011", "PL011", "PL020"]);
    let narrow_first = [("Allow", "dev"), ("Deny", "*")];
    assert!(codes(&anp("a", 1, &narrow_first)).is_empty());
}

#[test]
fn priorities_order_documents_and_equal_ones_do_not() {
    let strong = anp("z", 1, &[("Deny", "*")]);
    let weak = anp("a", 2, &[("Allow", "dev")]);
    assert_eq!(codes(&format!("{weak}{strong}")), ["PL011"]);
    let other_way = format!(
        "{}{}",
        anp("z", 2, &[("Deny", "*")]),
        anp("a", 1, &[("Allow", "dev")])
    );
    assert!(codes(&other_way).is_empty());
    let equal = format!(
        "{}{}",
        anp("z", 1, &[("Deny", "*")]),
        anp("a", 1, &[("Allow", "dev")])
    );
    assert_eq!(codes(&equal), ["PL030"]);
    let alike = format!(
        "{}{}",
        anp("z", 1, &[("Deny", "*")]),
        anp("a", 1, &[("Deny", "dev")])
    );
    assert!(codes(&alike).is_empty());
}

#[test]
fn tiers_hide_what_comes_after_them_unless_something_passes() {
    let allowed = cnp("web", FROM_SHOP);
    let deny = anp("a", 5, &[("Deny", "*")]);
    assert_eq!(codes(&format!("{allowed}{deny}")), ["PL011"]);
    let pass = anp("p", 1, &[("Pass", "dev")]);
    assert!(codes(&format!("{allowed}{deny}{pass}")).is_empty());
    let denied = cnp(
        "web",
        "  ingress: [{}]\n  ingressDeny:\n  - fromEndpoints: [{matchLabels: {app: cart}}]\n",
    );
    let allow = anp("a", 5, &[("Allow", "*")]);
    assert_eq!(codes(&format!("{denied}{allow}")), ["PL012"]);
    let judged = cnp(
        "web",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: cart}}]\n    toPorts:\n    - ports: [{port: \"80\", protocol: TCP}]\n      rules: {http: [{method: GET}]}\n",
    );
    assert_eq!(codes(&format!("{judged}{allow}")), ["PL016"]);
}

#[test]
fn a_baseline_is_not_asked_about_whom_a_policy_isolates() {
    let closed = netpol("closed", "  podSelector: {}\n");
    assert_eq!(codes(&format!("{closed}{}", baseline(OF_SHOP))), ["PL012"]);
    assert!(codes(&format!("{closed}{}", baseline("{}"))).is_empty());
    let egress_only = netpol("closed", "  podSelector: {}\n  policyTypes: [Egress]\n");
    assert!(codes(&format!("{egress_only}{}", baseline(OF_SHOP))).is_empty());
}

#[test]
fn allowances_of_all_kinds_add_up() {
    let wide = netpol(
        "wide",
        "  podSelector: {}\n  ingress:\n  - from: [{podSelector: {}}]\n",
    );
    assert_eq!(
        codes(&format!("{}{wide}", cnp("web", FROM_SHOP))),
        ["PL003"]
    );
    let elsewhere = netpol(
        "wide",
        "  podSelector: {matchLabels: {app: cart}}\n  ingress:\n  - from: [{podSelector: {}}]\n",
    );
    assert!(codes(&format!("{}{elsewhere}", cnp("web", FROM_SHOP))).is_empty());
    let twice = format!("{}{}", cnp("web", FROM_SHOP), cnp("again", FROM_SHOP));
    let found = findings(&twice, None, &Options::new());
    let one = found.first().unwrap();
    assert_eq!(
        (found.len(), one.code.name(), &*one.policy.name),
        (1, "PL020", "again")
    );
}

#[test]
fn what_is_staged_takes_nothing_away() {
    let denied = "  ingressDeny:\n  - fromEndpoints: [{}]\n";
    let enforced = cnp("web", &format!("{FROM_SHOP}{denied}"));
    assert_eq!(codes(&enforced), ["PL011"]);
    let staged = enforced.replace(
        "namespace: shop}",
        "namespace: shop, annotations: {policy.porin.dev/staged: \"ingressDeny[0]\"}}",
    );
    assert!(codes(&staged).is_empty());
    let options = Options::new().staged_namespaces(["shop"]);
    assert!(findings(&enforced, None, &options).is_empty());
}

#[test]
fn default_deny_flips_only_where_nobody_else_speaks() {
    let denials = cnp("web", "  egressDeny:\n  - toCIDR: [169.254.169.254/32]\n");
    assert_eq!(codes(&denials), ["PL017"]);
    let lookups = cnp(
        "dns",
        "  egress:\n  - toEntities: [cluster]\n    toPorts:\n    - ports: [{port: \"53\", protocol: ANY}]\n",
    );
    assert_eq!(codes(&lookups), ["PL017"]);
    assert!(codes(&format!("{denials}{lookups}")).is_empty());
    let closed = netpol("closed", "  podSelector: {}\n  policyTypes: [Egress]\n");
    assert!(codes(&format!("{denials}{closed}")).is_empty());
    let other = closed.replace("podSelector: {}", "podSelector: {matchLabels: {app: cart}}");
    assert_eq!(codes(&format!("{denials}{other}")), ["PL017"]);
    let open = "  enableDefaultDeny: {ingress: false}\n  ingress:\n  - fromEndpoints: [{}]\n    toPorts:\n    - ports: [{port: \"80\", protocol: TCP}]\n      rules: {http: [{method: GET}]}\n";
    assert_eq!(codes(&cnp("web", open)), ["PL017"]);
    let shut = netpol("closed", "  podSelector: {}\n");
    assert!(codes(&format!("{}{shut}", cnp("web", open))).is_empty());
}

#[test]
fn a_selector_that_fits_nobody_names_who_came_near() {
    let near = |text: &str, wanted: &str| {
        let found = findings(text, Some(WORLD), &Options::new());
        let one = found.first().unwrap();
        assert_eq!((found.len(), one.code.name()), (1, "PL010"), "{found:?}");
        assert!(one.suggestion.advice.contains(wanted), "{one}");
    };
    let subject = cnp("web", FROM_SHOP).replace("app: web", "app: wbe");
    near(
        &subject,
        "`web` in namespace shop would fit but for `app=wbe` (it has `web`)",
    );
    let key = cnp(
        "web",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {ap: cart}}]\n",
    );
    near(&key, "`ap=cart` (it has `app=cart`)");
    let several = cnp(
        "web",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: cart, tier: front}}]\n",
    );
    near(&several, "`app=cart` (it has `web`)");
    let elsewhere = netpol(
        "web",
        "  podSelector: {matchLabels: {app: web}}\n  ingress:\n  - from: [{podSelector: {matchLabels: {app: report}}}]\n",
    );
    near(&elsewhere, "`report` in namespace data");
}

#[test]
fn a_world_that_cannot_tell_says_nothing() {
    for peer in [
        "{matchLabels: {\"k8s:io.cilium.k8s.policy.cluster\": west, app: x}}",
        "{matchLabels: {\"reserved:health\": \"\"}}",
        "{matchLabels: {\"k8s:io.cilium.k8s.namespace.labels.team\": x}}",
        "{}",
    ] {
        let text = cnp("web", &format!("  ingress:\n  - fromEndpoints: [{peer}]\n"));
        assert!(codes_in_world(&text).is_empty(), "{peer}");
    }
    let nobody = cnp(
        "web",
        "  ingress:\n  - fromEndpoints: [{matchLabels: {app: nobody}}]\n",
    );
    assert_eq!(codes_in_world(&nobody), ["PL010"]);
    assert!(codes(&nobody).is_empty());
}

#[test]
fn port_names_are_asked_of_those_who_listen() {
    let port = |rule: &str, name: &str| {
        let rule =
            format!("{rule}\n    toPorts:\n    - ports: [{{port: {name}, protocol: TCP}}]\n");
        codes_in_world(&cnp("web", &rule))
    };
    let incoming = "  ingress:\n  - fromEndpoints: [{}]";
    let outgoing = "  egress:\n  - toEndpoints: [{matchLabels: {app: cart}}]";
    assert!(port(incoming, "https").is_empty() && port(outgoing, "grpc").is_empty());
    assert_eq!(port(incoming, "grpc"), ["PL013"]);
    assert_eq!(port(outgoing, "https"), ["PL013"]);
    assert!(port("  egress:\n  - toEntities: [cluster]", "grpc").is_empty());
    let nameless = WORLD
        .replace("name: https, ", "")
        .replace("name: grpc, ", "");
    let text = cnp(
        "web",
        &format!("{incoming}\n    toPorts:\n    - ports: [{{port: http, protocol: TCP}}]\n"),
    );
    assert!(findings(&text, Some(&nameless), &Options::new()).is_empty());
}

#[test]
fn blocks_of_workloads_are_told_by_the_reading() {
    let block = cnp("web", "  egress:\n  - toCIDRSet: [{cidr: 10.1.0.0/16}]\n");
    assert_eq!(codes_in_world(&block), ["PL014"]);
    let pods = CidrMatch {
        nodes: false,
        pods: true,
    };
    assert!(findings(&block, Some(WORLD), &Options::new().cidr_match(pods)).is_empty());
    let left_out = block.replace(
        "{cidr: 10.1.0.0/16}",
        "{cidr: 10.1.0.0/16, except: [10.1.0.0/24]}",
    );
    assert!(codes_in_world(&left_out).is_empty());
    assert!(codes_in_world(&block.replace("10.1.0.0/16", "0.0.0.0/0")).is_empty());
    let ip_block = netpol(
        "web",
        "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{ipBlock: {cidr: 10.1.0.0/16}}]\n",
    );
    assert!(codes_in_world(&ip_block).is_empty());
    let skip = Options::new().ip_blocks(IpBlocks::SkipPods);
    let found = findings(&ip_block, Some(WORLD), &skip);
    assert_eq!(
        found
            .iter()
            .map(|finding| finding.code.name())
            .collect::<Vec<_>>(),
        ["PL014"]
    );
}

#[test]
fn denials_have_traps_of_their_own() {
    let deny = |rule: &str| {
        codes(&cnp(
            "web",
            &format!("  egress: [{{}}]\n  egressDeny:\n  - {rule}\n"),
        ))
    };
    assert_eq!(deny("{}"), ["PL023"]);
    assert_eq!(deny("{toEndpoints: []}"), ["PL012"]);
    let service = "toServices: [{k8sService: {serviceName: a, namespace: shop}}]";
    assert_eq!(deny(&format!("{{{service}}}")), ["PL022"]);
    assert_eq!(
        deny(&format!(
            "{{{service}, toPorts: [{{ports: [{{port: \"80\", protocol: TCP}}]}}]}}"
        )),
        ["PL022"]
    );
    assert!(deny("{toEntities: [world]}").is_empty());
}

#[test]
fn ranges_and_patterns_are_read_by_the_letter() {
    let port = |port: &str| {
        let rule =
            format!("  ingress:\n  - fromEndpoints: [{{}}]\n    toPorts:\n    - ports: [{port}]\n");
        codes(&cnp("web", &rule))
    };
    assert_eq!(
        port("{port: \"443\", endPort: 80, protocol: TCP}"),
        ["PL024"]
    );
    assert_eq!(port("{port: web, endPort: 9000, protocol: TCP}"), ["PL024"]);
    assert!(port("{port: \"80\", endPort: 80, protocol: TCP}").is_empty());
    let named = |name: &str| {
        let rule = format!(
            "  egress:\n  - toEntities: [world]\n    toPorts:\n    - ports: [{{port: \"443\", protocol: TCP}}]\n      serverNames: [\"{name}\"]\n"
        );
        codes(&cnp("web", &rule))
    };
    assert_eq!(named("*example.com"), ["PL027"]);
    assert!(named("*.example.com").is_empty());
}

#[test]
fn empty_rules_are_judged_by_what_the_name_promises() {
    assert_eq!(codes(&cnp("allow-all", "  ingress: [{}]\n")), ["PL029"]);
    assert!(codes(&cnp("deny-all", "  ingress: [{}]\n")).is_empty());
    let open = |name: &str| codes(&netpol(name, "  podSelector: {}\n  ingress: [{}]\n"));
    assert_eq!(open("default-deny"), ["PL029"]);
    assert!(open("allow-all").is_empty() && open("deny-egress").is_empty());
}

#[test]
fn groups_and_negations_that_pick_the_world_are_told() {
    let group = |selector: &str| {
        codes(&cnp(
            "web",
            &format!("  egress:\n  - toCIDRSet: [{{cidrGroupSelector: {selector}}}]\n"),
        ))
    };
    assert_eq!(group("{}"), ["PL021"]);
    assert_eq!(
        group("{matchExpressions: [{key: kind, operator: DoesNotExist}]}"),
        ["PL021"]
    );
    assert!(group("{matchExpressions: [{key: kind, operator: Exists}]}").is_empty());
    let own = "  ingress:\n  - fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [x]}]}]\n";
    assert!(codes(&cnp("web", own)).is_empty());
    let elsewhere = own.replace("app,", "\"k8s:io.kubernetes.pod.namespace\",");
    assert!(codes(&cnp("web", &elsewhere)).is_empty());
    let meshed = Options::new().default_local_cluster(false);
    let found = findings(&cnp("web", &elsewhere), None, &meshed);
    assert_eq!(
        found
            .iter()
            .map(|finding| finding.code.name())
            .collect::<Vec<_>>(),
        ["PL019"]
    );
}

#[test]
fn findings_do_not_depend_on_the_run() {
    let text = format!(
        "{}{}{}{}",
        cnp("web", FROM_SHOP),
        cnp("again", FROM_SHOP),
        anp("a", 1, &[("Deny", "*"), ("Allow", "dev")]),
        anp("b", 1, &[("Allow", "dev")])
    );
    let first = findings(&text, Some(WORLD), &Options::new());
    assert!(first.len() > 3);
    for _ in 0..5 {
        assert_eq!(findings(&text, Some(WORLD), &Options::new()), first);
    }
}
