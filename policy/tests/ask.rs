//! Questions about policies in a world: explanations, differences, port maps.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod worlds;

use std::sync::Arc;

use porin_policy::ask::{Census, Change, Connection, Effect, Model, Party, PortClass, diff};
use porin_policy::{
    AuthMode, Direction, Options, PolicySet, Protocol, RefusedDocuments, Semantics, Verdict, World,
};
use proptest::prelude::*;
use worlds::{PORTS, files, policies};

/// The people of `worlds`, as a file.
const WORLD: &str = r#"
workloads:
- {name: p-a, namespace: p, labels: {app: a, env: x}, addresses: [10.9.0.1], ports: [{port: 443}]}
- {name: p-b, namespace: p, labels: {app: b, env: x}}
- {name: p-west, namespace: p, cluster: west, labels: {app: b, env: 'y'}}
- {name: q-a, namespace: q, labels: {app: a, env: x}}
- {name: q-b, namespace: q, labels: {app: b, env: x}}
namespaces:
- {name: p, labels: {team: p}}
- {name: q, labels: {team: q}}
outside:
- {name: inner, cidr: 10.1.2.3/32}
- {name: wide, cidr: 10.0.0.0/8, addresses: [10.200.0.1]}
- {name: far, cidr: 203.0.113.0/24}
"#;

fn load(options: &Options, texts: &[String]) -> PolicySet {
    let mut set = PolicySet::new(options.clone());
    set.load(files(texts)).unwrap();
    set
}

fn model(texts: &[&str]) -> Model {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let set = load(&Options::new(), &texts);
    let world = World::parse("world.yaml", WORLD).unwrap();
    Model::new(&set, &Arc::new(Census::new(&world, &[&set]).unwrap())).unwrap()
}

fn policy(name: &str, body: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{name: {name}, namespace: p}}\nspec:\n  {}\n",
        body.trim().replace('\n', "\n  ")
    )
}

fn connection(model: &Model, from: &str, to: &str, protocol: Protocol, port: u16) -> Connection {
    Connection {
        from: model.census().party(from).unwrap(),
        to: model.census().party(to).unwrap(),
        protocol,
        port,
    }
}

/// The obstacles that keep `from` from `p-a` at an ingress rule, with the smallest change.
fn obstacles(rule: &str, from: &str, protocol: Protocol, port: u16) -> Vec<(String, String)> {
    let text = policy(
        "x",
        &format!("endpointSelector: {{matchLabels: {{app: a}}}}\n{rule}"),
    );
    let model = model(&[&text]);
    let asked = connection(&model, from, "p-a", protocol, port);
    let explained = model.explain(&asked).unwrap();
    let ingress = explained.last().unwrap();
    assert_eq!(ingress.decision.verdict(), Verdict::Deny, "{ingress}");
    let named = ingress.near_misses.iter().map(|miss| {
        assert!(miss.rule.location.line() > 5, "{ingress}");
        (miss.obstacle.name().to_owned(), miss.obstacle.change())
    });
    named.collect()
}

#[test]
fn every_kind_of_near_miss_is_found_with_its_smallest_change() {
    let tcp = Protocol::TCP;
    let port = "toPorts: [{ports: [{port: '80', protocol: TCP}]}]";
    for (rule, from, protocol, number, kind, change) in [
        (
            "fromEndpoints: [{matchLabels: {app: a}}]",
            "q-a",
            tcp,
            80,
            "namespace",
            "namespace: q",
        ),
        (
            "fromEndpoints: [{matchLabels: {app: a, env: z}}]",
            "p-a",
            tcp,
            80,
            "label",
            "k8s:env=x",
        ),
        (
            "fromEndpoints: [{matchLabels: {app: b}}]",
            "p-west",
            tcp,
            80,
            "cluster",
            "cluster: west",
        ),
        (
            "fromEndpoints: [{matchLabels: {app: b}}]",
            "p-b",
            tcp,
            81,
            "port",
            "add the port",
        ),
        (
            "fromEndpoints: [{matchLabels: {app: b}}]",
            "p-b",
            Protocol::UDP,
            80,
            "protocol",
            "UDP",
        ),
        (
            "fromCIDR: [10.7.0.0/16]",
            "wide",
            tcp,
            80,
            "cidr",
            "the peer's address",
        ),
        (
            "fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.2.0/24]}]",
            "inner",
            tcp,
            80,
            "except",
            "take the exception 10.1.2.0/24 out",
        ),
        (
            "fromCIDR: [10.9.0.0/16]",
            "p-a",
            tcp,
            80,
            "managed",
            "by its labels",
        ),
        (
            "fromEntities: [remote-node]",
            "kube-apiserver",
            tcp,
            81,
            "port",
            "add the port",
        ),
        (
            "fromEntities: [health]",
            "kube-apiserver",
            tcp,
            80,
            "entity",
            "`kube-apiserver`",
        ),
        (
            "fromEntities: [cluster]",
            "far",
            tcp,
            80,
            "entity",
            "`world-ipv4`",
        ),
        (
            "fromEntities: [cluster]",
            "p-west",
            tcp,
            80,
            "entity",
            "`cluster-mesh`",
        ),
    ] {
        let found = obstacles(
            &format!("ingress: [{{{rule}, {port}}}]"),
            from,
            protocol,
            number,
        );
        let fits = found
            .iter()
            .any(|(found, text)| found == kind && text.contains(change));
        assert!(fits, "{rule} from {from}: {found:?}");
    }
    let other = format!(
        "ingress: [{{}}]\negress: [{{toEndpoints: [{{matchLabels: {{app: b}}}}], {port}}}]"
    );
    let found = obstacles(&other, "p-b", tcp, 80);
    assert_eq!(
        found,
        [(
            "direction".to_owned(),
            "write the rule under `ingress`".to_owned()
        )]
    );
}

#[test]
fn what_is_two_things_away_is_no_near_miss() {
    for rule in [
        "ingress: [{fromEndpoints: [{matchLabels: {app: b}}], toPorts: [{ports: [{port: '80'}]}]}]",
        "ingress: [{fromEndpoints: [{matchLabels: {app: z, env: z}}]}]",
        "ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': z}}]}]",
        "ingress: [{}]\ningressDeny: [{fromEndpoints: [{matchLabels: {app: b}}]}]",
    ] {
        assert_eq!(obstacles(rule, "q-a", Protocol::TCP, 81), [], "{rule}");
    }
}

#[test]
fn a_port_map_groups_peers_and_is_loud_about_open_doors() {
    let text = policy(
        "api",
        "endpointSelector: {matchLabels: {app: a}}
ingress:
- fromEndpoints: [{matchLabels: {app: b}}, {matchLabels: {'k8s:io.kubernetes.pod.namespace': q}}]
  toPorts: [{ports: [{port: '8080', endPort: 8090, protocol: TCP}]}]
- toPorts: [{ports: [{port: '443', protocol: TCP}]}]
ingressDeny:
- fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': q, app: b}}]",
    );
    let closed = policy("b", "endpointSelector: {matchLabels: {app: b}}\negress: []");
    let model = model(&[&text, &closed]);
    let map = model
        .exposure(&model.census().party("p-a").unwrap())
        .unwrap();
    assert!(map.inbound.open.is_none() && map.outbound.open.is_some());
    let shown: Vec<_> = map
        .inbound
        .grants
        .iter()
        .map(|grant| {
            let classes: Vec<_> = grant.classes.iter().map(ToString::to_string).collect();
            let except: Vec<_> = grant.except.iter().map(ToString::to_string).collect();
            let stopped: Vec<_> = grant.stopped.iter().map(ToString::to_string).collect();
            let peers = match grant.is_for_anybody() {
                true => "anybody".to_owned(),
                false => grant
                    .peers
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(","),
            };
            format!(
                "{} {peers} -{} !{}",
                classes.join(","),
                except.join(","),
                stopped.join(",")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "every protocol but TCP,TCP/0-442,TCP/444-65535 host - !",
            "TCP/443 anybody -q/q-b !p/p-b,p/p-west",
            "TCP/8080-8090 p/p-b,q/q-a,any other workload of q - !p/p-b",
        ]
    );
    assert_eq!(map.outbound.grants.len(), 1);
    let everywhere = &map.outbound.grants[0];
    assert_eq!(everywhere.classes, [PortClass::EVERY]);
    assert!(everywhere.is_for_anybody() && everywhere.except.is_empty());
}

fn options() -> impl Strategy<Value = Options> {
    let semantics = prop::sample::select(vec![Semantics::Cilium, Semantics::Strict]);
    semantics.prop_map(|semantics| {
        let options = Options::new().semantics(semantics);
        options.refused(RefusedDocuments::Skip)
    })
}

/// The effect that the changes tell for one flow.
fn told(
    changes: &[Change],
    from: &Party,
    to: &Party,
    protocol: Protocol,
    port: u16,
) -> Vec<Effect> {
    let mentions = |change: &&Change| change.to == *to && change.from.contains(from);
    let own: Vec<_> = changes.iter().filter(mentions).collect();
    let covering = own
        .iter()
        .filter(|change| change.class.covers(protocol, port));
    covering.map(|change| change.effect).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever flow is tried, the difference says what becomes of it.
    #[test]
    fn a_difference_misses_nothing(options in options(), old in policies(3), new in policies(3)) {
        let world = World::parse("world.yaml", WORLD).unwrap();
        let (old, new) = (load(&options, &old), load(&options, &new));
        let census = Arc::new(Census::new(&world, &[&old, &new]).unwrap());
        let (Ok(before), Ok(after)) = (Model::new(&old, &census), Model::new(&new, &census)) else {
            return Ok(());
        };
        let changes = diff(&before, &after);
        for from in census.everybody() {
            for to in census.everybody() {
                if !from.is_guarded() && !to.is_guarded() {
                    continue;
                }
                for (protocol, port) in PORTS.iter().flat_map(|port| {
                    [(Protocol::TCP, *port), (Protocol::UDP, *port), (Protocol::new(47), 0)]
                }) {
                    let flow = Connection { from: from.clone(), to: to.clone(), protocol, port };
                    let passes = |model: &Model| {
                        let sides = model.judge(&flow).unwrap();
                        sides.verdict() != Verdict::Deny
                    };
                    let told = told(&changes, from, to, protocol, port);
                    match (passes(&before), passes(&after)) {
                        (false, true) => prop_assert_eq!(told, [Effect::Allowed], "{}", flow),
                        (true, false) => prop_assert_eq!(told, [Effect::Denied], "{}", flow),
                        (false, false) => {}
                        (true, true) => {
                            let other = [Effect::Allowed, Effect::Denied];
                            prop_assert!(!told.iter().any(|one| other.contains(one)), "{}", flow);
                        }
                    }
                }
            }
        }
        for change in &changes {
            let verdicts = [&change.before, &change.after].map(|sides| sides.verdict());
            match change.effect {
                Effect::Allowed => prop_assert!(verdicts[0] == Verdict::Deny && verdicts[1] != Verdict::Deny),
                Effect::Denied => prop_assert!(verdicts[1] == Verdict::Deny && verdicts[0] != Verdict::Deny),
                _ => prop_assert!(!verdicts.contains(&Verdict::Deny)),
            }
        }
    }

    /// A set does not differ from itself, however it is written down.
    #[test]
    fn a_set_does_not_differ_from_itself(options in options(), texts in policies(4)) {
        let world = World::parse("world.yaml", WORLD).unwrap();
        let mut turned = texts.clone();
        turned.reverse();
        let (one, other) = (load(&options, &texts), load(&options, &turned));
        let census = Arc::new(Census::new(&world, &[&one, &other]).unwrap());
        let (Ok(one), Ok(other)) = (Model::new(&one, &census), Model::new(&other, &census)) else {
            return Ok(());
        };
        prop_assert_eq!(diff(&one, &other), []);
    }
}

#[test]
fn outcomes_that_prove_more_are_narrower() {
    let model = model(&[]);
    let flow = connection(&model, "p-a", "p-b", Protocol::TCP, 80);
    let sides = model.judge(&flow).unwrap();
    let open = porin_policy::ask::Outcome::from(sides.iter().next().unwrap());
    let proved = porin_policy::ask::Outcome {
        auth: AuthMode::Required,
        ..open.clone()
    };
    use porin_policy::ask::Breadth;
    assert_eq!(proved.against(&open), Breadth::Narrower);
    assert_eq!(open.against(&proved), Breadth::Wider);
    let never = porin_policy::ask::Outcome {
        auth: AuthMode::AlwaysFail,
        ..open.clone()
    };
    assert!(never.is_closed());
    assert_eq!(flow.query(Direction::Egress).port, 80);
}

/// What changes for `from` on its way to `p-a` on TCP port 80, between two ingress rules.
fn effects(old: &str, new: &str, from: &str) -> Vec<Effect> {
    let set = |rule: &str| {
        let body = format!("endpointSelector: {{matchLabels: {{app: a}}}}\n{rule}");
        load(&Options::new(), &[policy("x", &body)])
    };
    let (old, new) = (set(old), set(new));
    let world = World::parse("world.yaml", WORLD).unwrap();
    let census = Arc::new(Census::new(&world, &[&old, &new]).unwrap());
    let models = [&old, &new].map(|set| Model::new(set, &census).unwrap());
    let changes = diff(&models[0], &models[1]);
    let (from, to) = (census.party(from).unwrap(), census.party("p-a").unwrap());
    told(&changes, &from, &to, Protocol::TCP, 80)
}

#[test]
fn content_rules_that_grow_are_wider_unless_they_are_covered() {
    let http = |rules: &str| {
        format!(
            "ingress: [{{fromEndpoints: [{{matchLabels: {{app: b}}}}], toPorts: [{{ports: [{{port: '80', protocol: TCP}}], {rules}}}]}}]"
        )
    };
    let get = http("rules: {http: [{method: GET}]}");
    for (old, new, effect) in [
        (
            &get,
            http("rules: {http: [{method: GET}, {method: PUT}]}"),
            Some(Effect::Widened),
        ),
        (
            &get,
            http("rules: {http: [{method: GET}, {method: GET, path: /a}]}"),
            None,
        ),
        (
            &get,
            http("rules: {http: [{method: GET, path: /a}]}"),
            Some(Effect::Narrowed),
        ),
        (
            &get,
            http("rules: {http: [{method: POST}]}"),
            Some(Effect::Widened),
        ),
        (&get, http("rules: {http: [{}]}"), Some(Effect::Widened)),
        (
            &http("rules: {http: [{}]}"),
            get.clone(),
            Some(Effect::Narrowed),
        ),
        (&http("rules: {}"), get.clone(), Some(Effect::Narrowed)),
        (
            &http("rules: {}"),
            http("rules: {http: [{}]}"),
            Some(Effect::Rerouted),
        ),
        (&get, http("rules: {}"), Some(Effect::Widened)),
        (&get, "ingress: []".to_owned(), Some(Effect::Denied)),
        (
            &"ingress: []".to_owned(),
            get.clone(),
            Some(Effect::Allowed),
        ),
        (&get, get.clone(), None),
    ] {
        let found = effects(old, &new, "p-b");
        assert_eq!(found.first(), effect.as_ref(), "{old}\n{new}");
    }
}

#[test]
fn authentication_that_goes_is_wider() {
    let rule =
        |auth: &str| format!("ingress: [{{fromEndpoints: [{{matchLabels: {{app: b}}}}]{auth}}}]");
    let (plain, proved) = (rule(""), rule(", authentication: {mode: required}"));
    assert_eq!(effects(&proved, &plain, "p-b"), [Effect::Widened]);
    assert_eq!(effects(&plain, &proved, "p-b"), [Effect::Narrowed]);
    let never = rule(", authentication: {mode: test-always-fail}");
    assert_eq!(effects(&never, &proved, "p-b"), [Effect::Allowed]);
}

const STAGED: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: tried, namespace: p, annotations: {policy.porin.dev/staged: "true"}}
spec:
  endpointSelector: {matchLabels: {app: a}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: b}}]
    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
"#;

#[test]
fn both_verdicts_are_shown_where_rules_are_staged() {
    let model = model(&[STAGED]);
    let allowed = connection(&model, "p-b", "p-a", Protocol::TCP, 80);
    let closed = connection(&model, "q-b", "p-a", Protocol::TCP, 80);
    let verdicts = |connection: &Connection| {
        let sides = model.judge(connection).unwrap();
        (sides.verdict(), sides.staged())
    };
    assert_eq!(verdicts(&allowed), (Verdict::Allow, Some(Verdict::Allow)));
    assert_eq!(verdicts(&closed), (Verdict::Allow, Some(Verdict::Deny)));
    let other = connection(&model, "p-a", "q-b", Protocol::TCP, 80);
    let staged = model.judge(&other).unwrap().staged();
    assert!(staged.is_none_or(|staged| staged == Verdict::Allow));
    let text = model.explain(&closed).unwrap().last().unwrap().to_string();
    assert!(text.contains("staged: denied"), "{text}");
    let map = model
        .exposure(&model.census().party("p-a").unwrap())
        .unwrap();
    let tried: Vec<_> = map
        .inbound
        .grants
        .iter()
        .map(|grant| (grant.is_for_anybody(), grant.staged))
        .collect();
    assert!(tried.contains(&(true, Some(Verdict::Deny))), "{tried:?}");
    assert!(tried.contains(&(false, Some(Verdict::Allow))), "{tried:?}");
}

#[test]
fn a_staged_rule_that_would_allow_is_a_near_miss() {
    let deny = policy(
        "guard",
        "endpointSelector: {matchLabels: {app: a}}\ningress: []",
    );
    let model = model(&[STAGED, &deny]);
    let asked = connection(&model, "p-b", "p-a", Protocol::TCP, 80);
    let explained = model.explain(&asked).unwrap();
    let ingress = explained.last().unwrap();
    let names: Vec<_> = ingress
        .near_misses
        .iter()
        .map(|miss| miss.obstacle.name())
        .collect();
    assert_eq!(names, ["staged"], "{ingress}");
}

#[test]
fn a_weaker_tier_is_named() {
    let admin = r#"
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: lock}
spec:
  priority: 5
  subject: {namespaces: {matchLabels: {team: p}}}
  ingress:
  - name: lock
    action: Deny
    from: [{namespaces: {matchLabels: {team: q}}}]
"#;
    let normal = policy(
        "x",
        "endpointSelector: {matchLabels: {app: a}}
ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': q}}]}]",
    );
    let model = model(&[admin, &normal]);
    let asked = connection(&model, "q-b", "p-a", Protocol::TCP, 80);
    let explained = model.explain(&asked).unwrap();
    let ingress = explained.last().unwrap();
    assert_eq!(ingress.decision.verdict(), Verdict::Deny);
    let misses: Vec<_> = ingress
        .near_misses
        .iter()
        .map(|miss| miss.obstacle.name())
        .collect();
    assert_eq!(misses, ["tier"], "{ingress}");
    assert!(
        ingress
            .weaker
            .iter()
            .any(|one| one.because == porin_policy::Weaker::Tier),
        "{ingress}"
    );
}

#[test]
fn port_names_lead_to_ports_in_both_directions() {
    let text = policy(
        "x",
        "endpointSelector: {}
ingress: [{toPorts: [{ports: [{port: https, protocol: TCP}]}]}]
egress: [{toPorts: [{ports: [{port: https, protocol: TCP}]}]}]",
    );
    let world = WORLD.replace("ports: [{port: 443}]", "ports: [{port: 443, name: https}]");
    let world = World::parse("world.yaml", &world).unwrap();
    let set = load(&Options::new(), &[text]);
    let model = Model::new(&set, &Arc::new(Census::new(&world, &[&set]).unwrap())).unwrap();
    for (to, port, verdict) in [
        ("p-a", 443, Verdict::Allow),
        ("p-a", 80, Verdict::Deny),
        ("p-b", 443, Verdict::Deny),
    ] {
        let asked = connection(&model, "p-b", to, Protocol::TCP, port);
        assert_eq!(model.judge(&asked).unwrap().verdict(), verdict, "{asked}");
    }
}

#[test]
fn expectations_are_judged_with_their_requests() {
    use porin_policy::ask::Expectation;
    let text = policy(
        "api",
        "endpointSelector: {matchLabels: {app: a}}
ingress:
- fromEndpoints: [{matchLabels: {app: b}}]
  toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET, path: /a.*}]}}]",
    );
    let model = model(&[&text]);
    let tests = r#"
tests:
- {from: p-b, to: p-a, port: 80, http: {path: /abc}, expect: allowed, rule: 'cnp/p/api ingress[0]'}
- {from: p-b, to: p-a, port: 80, http: {method: PUT, path: /abc}, expect: denied}
- {from: p-b, to: p-a, port: 80, expect: redirected, rule: cnp/p/api}
- {from: [q-a, q-b], to: p-a, port: 80, expect: denied}
- {from: p-b, to: p-a, port: 80, http: {path: /b}, expect: allowed}
- {from: p-b, to: p-a, port: 80, expect: redirected, rule: cnp/p/other}
- {from: q-a, to: p-a, port: 80, expect: denied, authentication: required}
"#;
    let tests = Expectation::parse("tests.yaml", tests).unwrap();
    let complaints: Vec<usize> = tests
        .iter()
        .map(|test| {
            model
                .test(test)
                .unwrap()
                .iter()
                .map(|one| one.complaints.len())
                .sum()
        })
        .collect();
    assert_eq!(complaints, [0, 0, 0, 0, 1, 1, 1]);
    for (text, place) in [
        ("tests: [{from: a, to: b, port: 80}]", "t.yaml:1:9"),
        ("tests: [{from: a, port: 80, expect: denied}]", "t.yaml:1:9"),
        ("tests: [{from: a, to: b, expect: denied}]", "t.yaml:1:9"),
        (
            "tests: [{from: a, to: b, port: 80, expect: deny}]",
            "t.yaml:1:9",
        ),
        (
            "tests: [{from: a, to: b, port: 70000, expect: denied}]",
            "t.yaml:1:32",
        ),
        (
            "tests: [{from: a, to: b, port: 1, expect: denied, xhttp: {}}]",
            "t.yaml:1:51",
        ),
    ] {
        let error = Expectation::parse("t.yaml", text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text}: {error}");
    }
}

#[test]
fn a_block_of_addresses_reaches_the_pods_that_have_them() {
    let policy = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: block, namespace: p}
spec:
  podSelector: {matchLabels: {app: b}}
  ingress: [{from: [{ipBlock: {cidr: 10.9.0.0/24}}]}]
"#;
    let model = model(&[policy]);
    for (from, verdict) in [("p-a", Verdict::Allow), ("q-a", Verdict::Deny)] {
        let asked = connection(&model, from, "p-b", Protocol::TCP, 80);
        assert_eq!(model.judge(&asked).unwrap().verdict(), verdict, "{from}");
    }
}
