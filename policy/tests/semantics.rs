//! Where the two semantics part, each difference by name; and what becomes of refused documents.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use porin_identity::{Families, Identities, IdentityId, Labels, Snapshot};
use porin_policy::{
    Conflict, Decision, Direction, LoadError, Options, Parser, PolicySet, Protocol, Query, Reason,
    Redirect, RefusedDocuments, RefusedOutcome, ResolveError, Semantics, Verdict,
};

const SERVER: IdentityId = IdentityId::new(300);
const CLIENT: IdentityId = IdentityId::new(301);
/// Calls itself `host`.
const OTHER: IdentityId = IdentityId::new(302);
/// Calls itself `init`.
const EARLY: IdentityId = IdentityId::new(303);

fn world() -> Snapshot {
    let mut identities = Identities::new(Families::Dual);
    let pods = [
        (SERVER, "k8s:app=server"),
        (CLIENT, "k8s:app=client"),
        (OTHER, "k8s:app=server,k8s:host=me"),
        (EARLY, "k8s:app=server,k8s:init=please"),
    ];
    for (id, labels) in pods {
        let place = "k8s:io.kubernetes.pod.namespace=shop,k8s:io.cilium.k8s.policy.cluster=default";
        let labels: Labels = format!("{labels},{place}").parse().unwrap();
        identities.insert_fixed(id, labels).unwrap();
    }
    identities.snapshot()
}

/// A policy for `app: server` in namespace `shop`; each line is a field of its spec.
fn policy(name: &str, fields: &[&str]) -> String {
    let subject = "endpointSelector: {matchLabels: {app: server}}";
    let fields: String = fields.iter().map(|field| format!("\n  {field}")).collect();
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{name: {name}, namespace: shop}}\nspec:\n  {subject}{fields}\n"
    )
}

fn set(options: Options, policies: &[String]) -> PolicySet {
    let mut set = PolicySet::new(options);
    set.load(policies.iter().map(|policy| ("p.yaml", policy)))
        .unwrap();
    set
}

/// The answers of both semantics, `Cilium` first.
fn both(policies: &[String], subject: IdentityId, query: Query) -> [Decision; 2] {
    [Semantics::Cilium, Semantics::Strict].map(|semantics| {
        let set = set(Options::new().semantics(semantics), policies);
        set.resolve(subject, &world()).unwrap().check(&query)
    })
}

fn verdicts(policies: &[String], subject: IdentityId, query: Query) -> [Verdict; 2] {
    both(policies, subject, query).map(|decision| decision.verdict())
}

fn unrestricted(policies: &[String], query: Query) -> [Option<bool>; 2] {
    let flag = |redirect: Redirect| redirect.unrestricted;
    both(policies, SERVER, query).map(|decision| decision.redirect().map(flag))
}

const HTTP: &str = r#"- {fromEndpoints: [{}], toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}"#;

#[test]
fn an_empty_list_closes_its_direction_under_strict() {
    let policies = [policy(
        "closed",
        &["ingress: [{fromEndpoints: [{}]}]", "egress: []"],
    )];
    let to_anybody = Query::egress(CLIENT).tcp(443);
    assert_eq!(
        verdicts(&policies, SERVER, to_anybody),
        [Verdict::Allow, Verdict::Deny]
    );
    let said = "enableDefaultDeny: {egress: false}";
    let eased = [policy("open", &["ingress: [{}]", "egress: []", said])];
    assert_eq!(
        verdicts(&eased, SERVER, to_anybody),
        [Verdict::Allow, Verdict::Allow]
    );
}

#[test]
fn a_document_of_nothing_but_an_empty_list_is_refused_by_one_and_closes_in_the_other() {
    let text = policy("closed", &["egress: []"]);
    let mut cilium = PolicySet::new(Options::new().semantics(Semantics::Cilium));
    let report = cilium.load([("07.yaml", &text)]).unwrap();
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].outcome, RefusedOutcome::LeftOut);
    let strict = set(Options::new(), std::slice::from_ref(&text));
    let decision = strict
        .resolve(SERVER, &world())
        .unwrap()
        .check(&Query::egress(CLIENT).tcp(1));
    let Reason::DefaultDeny { policies } = decision.reason() else {
        panic!("{decision}")
    };
    assert_eq!(
        policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["cnp/shop/closed"]
    );
}

#[test]
fn a_plain_allowance_dissolves_http_rules_upstream_only() {
    let http = policy("http", &["ingress:", HTTP]);
    let query = Query::ingress(CLIENT).tcp(80);
    assert_eq!(
        unrestricted(std::slice::from_ref(&http), query),
        [Some(false); 2]
    );
    let plain = policy(
        "plain",
        &[
            "ingress:",
            "- fromEndpoints: [{matchLabels: {app: client}}]",
        ],
    );
    assert_eq!(
        unrestricted(&[http.clone(), plain], query),
        [Some(true), Some(false)]
    );
    let any = r#"- {toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]}"#;
    let anything = policy("anything", &["ingress:", any]);
    assert_eq!(
        unrestricted(&[http.clone(), anything], query),
        [Some(true); 2]
    );
    // The local host's own allowance is no author's.
    let host =
        r#"- {toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}"#;
    let everybody = policy("everybody", &["ingress:", host]);
    let from_host = Query::ingress(IdentityId::HOST).tcp(80);
    assert_eq!(
        unrestricted(&[everybody], from_host),
        [Some(true), Some(false)]
    );
}

#[test]
fn a_narrower_plain_allowance_dissolves_only_there() {
    let range = r#"- {fromEndpoints: [{}], toPorts: [{ports: [{port: "8080", endPort: 8090, protocol: TCP}], rules: {http: [{method: GET}]}}]}"#;
    let plain = r#"- {fromEndpoints: [{}], toPorts: [{ports: [{port: "8085", protocol: TCP}]}]}"#;
    let policies = [policy("range", &["ingress:", range, plain])];
    assert_eq!(
        unrestricted(&policies, Query::ingress(CLIENT).tcp(8085)),
        [Some(true), Some(false)]
    );
    assert_eq!(
        unrestricted(&policies, Query::ingress(CLIENT).tcp(8086)),
        [Some(false); 2]
    );
}

#[test]
fn a_range_from_zero_is_what_it_says_under_strict() {
    let ports = r#"- toPorts: [{ports: [{port: "0", endPort: 1023, protocol: TCP}]}]"#;
    let policies = [policy("low", &["ingress:", ports])];
    let ask = |port| verdicts(&policies, SERVER, Query::ingress(CLIENT).tcp(port));
    assert_eq!(ask(1023), [Verdict::Allow, Verdict::Allow]);
    assert_eq!(ask(1024), [Verdict::Allow, Verdict::Deny]);
}

#[test]
fn a_workload_cannot_label_itself_out_of_enforcement_under_strict() {
    let policies = [policy("closed", &["ingress: [{}]"])];
    let query = Query::ingress(CLIENT).tcp(80);
    assert_eq!(
        verdicts(&policies, OTHER, query),
        [Verdict::Allow, Verdict::Deny]
    );
    let enforced = [Semantics::Cilium, Semantics::Strict].map(|semantics| {
        let set = set(Options::new().semantics(semantics), &[]);
        set.resolve(EARLY, &world())
            .unwrap()
            .enforced(Direction::Egress)
    });
    assert_eq!(enforced, [true, false], "a pod label `init`");
}

#[test]
fn an_end_of_a_range_that_is_no_port_is_refused_under_strict() {
    let ports = r#"- toPorts: [{ports: [{port: "80", endPort: 65616, protocol: TCP}]}]"#;
    let text = policy("wrapped", &["ingress:", ports]);
    let load =
        |semantics| PolicySet::new(Options::new().semantics(semantics)).load([("x.yaml", &text)]);
    assert!(load(Semantics::Cilium).unwrap().refused.is_empty());
    let error = load(Semantics::Strict).unwrap_err();
    assert!(error.to_string().contains("x.yaml:7"), "{error}");
}

#[test]
fn denials_beat_redirects_and_redirects_beat_allowances() {
    let deny = r#"ingressDeny: [{fromEndpoints: [{matchLabels: {app: client}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]"#;
    let http = policy("http", &["ingress:", HTTP]);
    let allow = policy("allow", &["ingress: [{fromEndpoints: [{}]}]"]);
    let query = Query::ingress(CLIENT).tcp(80);
    let all = [http.clone(), allow, policy("deny", &[deny])];
    for decision in both(&all, SERVER, query) {
        assert_eq!(
            decision.rule().unwrap().to_string(),
            "cnp/shop/deny ingressDeny[0] (p.yaml:6)"
        );
        assert_eq!(decision.verdict(), Verdict::Deny);
    }
    for decision in both(&all[..2], SERVER, query) {
        assert_eq!(
            decision.redirect().map(|redirect| redirect.parser),
            Some(Parser::Http)
        );
    }
    for decision in both(&all[..2], SERVER, query.on(Protocol::ICMP, 8)) {
        assert_eq!(decision.verdict(), Verdict::Allow);
    }
}

#[test]
fn two_parsers_for_one_selector_and_port_are_an_error() {
    let kafka = HTTP.replace("http: [{method: GET}]", "kafka: [{topic: orders}]");
    let policies = [
        policy("a", &["ingress:", HTTP]),
        policy("b", &["ingress:", &kafka]),
    ];
    let set = set(Options::new(), &policies);
    let error = set.resolve(SERVER, &world()).unwrap_err();
    let ResolveError::Conflict {
        subject,
        rules,
        what: Conflict::Parsers,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((*subject, rules.len()), (SERVER, 2));
    assert!(
        error
            .to_string()
            .contains("`cnp/shop/a ingress[0] (p.yaml:7)`"),
        "{error}"
    );
    let unknown = IdentityId::new(77);
    assert_eq!(
        set.resolve(unknown, &world()).unwrap_err(),
        ResolveError::UnknownIdentity { identity: unknown }
    );
}

#[test]
fn an_explanation_names_the_near_miss() {
    let peer =
        "- fromEndpoints: [{matchLabels: {app: client, 'k8s:io.kubernetes.pod.namespace': mall}}]";
    let port = r#"- {fromEndpoints: [{}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}"#;
    let typo = "- fromEndpoints: [{matchLabels: {app: cleint}}]";
    let set = set(
        Options::new(),
        &[policy("api", &["ingress:", peer, port, typo])],
    );
    let explanation = set
        .explain(SERVER, &Query::ingress(CLIENT).tcp(80), &world())
        .unwrap();
    let text = explanation.to_string();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines[0],
        "denied ingress from 301 TCP/80: nothing allows it; default deny by cnp/shop/api"
    );
    assert!(
        lines[1].starts_with("peer 301 is k8s:app=client,"),
        "{text}"
    );
    assert_eq!(
        lines[2..],
        [
            "near miss: cnp/shop/api ingress[0] (p.yaml:7) would match in namespace `shop`; it looks in `mall`",
            "near miss: cnp/shop/api ingress[1] (p.yaml:8) would match on TCP/443",
            "near miss: cnp/shop/api ingress[2] (p.yaml:9) would match a peer with `app=cleint`; \
             this one has `k8s:app=client`",
        ]
    );
    let allowed = set
        .explain(SERVER, &Query::ingress(CLIENT).tcp(443), &world())
        .unwrap();
    assert!(
        allowed.near_misses.is_empty() && allowed.weaker.is_empty(),
        "{allowed}"
    );
}

#[test]
fn a_difference_names_who_gains_and_who_loses() {
    let old = set(
        Options::new(),
        &[policy(
            "api",
            &["ingress: [{fromEndpoints: [{matchLabels: {app: client}}]}]"],
        )],
    );
    let ports = r#"ingress: [{fromEndpoints: [{matchLabels: {app: client}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]"#;
    let new = set(Options::new(), &[policy("api", &[ports])]);
    let [old, new] = [old, new].map(|set| set.resolve(SERVER, &world()).unwrap());
    let lines: Vec<_> = new
        .differences(&old)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        ["ingress 301 ANY:0/0: allowed, now denied by default"]
    );
    assert!(new.differences(&new).is_empty());
}

const BROKEN: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
    metadata: {name: api, namespace: shop}\nspec: {endpointSelector: {}, ingres: [{}]}\n";

#[test]
fn a_refused_document_is_an_error_under_strict_and_changes_nothing() {
    let good = policy("api", &["ingress: [{}]"]);
    let mut set = set(Options::new(), &[good]);
    let (revision, hash) = (set.revision(), set.hash());
    let LoadError::Refused { documents } = set.load([("b.yaml", BROKEN)]).unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(
        documents[0].name.as_ref().unwrap().to_string(),
        "cnp/shop/api"
    );
    assert!(
        documents[0]
            .error
            .to_string()
            .contains("did you mean `ingress`?")
    );
    assert_eq!((set.revision(), set.hash()), (revision, hash));
}

#[test]
fn a_broken_document_never_replaces_its_predecessor() {
    for mode in [RefusedDocuments::Skip, RefusedDocuments::Deny] {
        let good = policy("api", &["ingress: [{}]"]);
        let other = policy("other", &["egress: [{}]"]);
        let mut set = PolicySet::new(Options::new().refused(mode));
        set.load([("a.yaml", &good), ("o.yaml", &other)]).unwrap();
        let hash = set.hash();
        let report = set.load([("a.yaml", BROKEN), ("o.yaml", &other)]).unwrap();
        assert_eq!(report.refused[0].outcome, RefusedOutcome::PredecessorStays);
        assert_eq!(set.hash(), hash, "by name");
        let report = set
            .load([("a.yaml", "spec: ["), ("o.yaml", &other)])
            .unwrap();
        assert_eq!(report.refused[0].outcome, RefusedOutcome::PredecessorStays);
        assert_eq!(set.hash(), hash, "by file");
        set.load([("o.yaml", &other)]).unwrap();
        assert_eq!(
            set.documents().count(),
            1,
            "taken away when its file is gone"
        );
    }
}

#[test]
fn a_refused_document_can_close_what_it_was_to_guard() {
    let mut set = PolicySet::new(Options::new().refused(RefusedDocuments::Deny));
    let report = set.load([("b.yaml", BROKEN)]).unwrap();
    assert_eq!(report.refused[0].outcome, RefusedOutcome::Closed);
    let decision = set
        .resolve(SERVER, &world())
        .unwrap()
        .check(&Query::ingress(CLIENT).tcp(1));
    assert_eq!(decision.verdict(), Verdict::Deny);
    assert!(
        decision
            .to_string()
            .contains("cnp/shop/api ingressDeny[0] (b.yaml:"),
        "{decision}"
    );
    let mended = policy("api", &["ingress: [{fromEndpoints: [{}]}]"]);
    set.load([("b.yaml", &mended)]).unwrap();
    let decision = set
        .resolve(SERVER, &world())
        .unwrap()
        .check(&Query::ingress(CLIENT).tcp(1));
    assert_eq!(decision.verdict(), Verdict::Allow);
}

#[test]
fn a_rule_keeps_its_number_over_revisions() {
    let first = policy("api", &["ingress: [{fromEndpoints: [{}]}]"]);
    let mut set = set(Options::new(), std::slice::from_ref(&first));
    let query = Query::ingress(CLIENT).tcp(1);
    let cookie = |set: &PolicySet| {
        set.resolve(SERVER, &world())
            .unwrap()
            .check(&query)
            .cookie()
    };
    let before = cookie(&set);
    let more = policy("more", &["ingress: [{}]", "egress: [{}]"]);
    set.load([("z.yaml", &more), ("moved.yaml", &first)])
        .unwrap();
    assert_eq!(cookie(&set), before);
    assert_eq!(set.rule(before).unwrap().location.file(), "moved.yaml");
}
