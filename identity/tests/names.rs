//! Rules of the text of labels, selectors and filters, and the reserved identities.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use porin_identity::{
    AllocateError, Families, Identities, IdentityId, Label, LabelFilter, Labels, ParseLabelError,
    Released, Requirement, Scope, Selector, SelectorKey, Workload, cidr_minus,
};

fn labels(text: &str) -> Labels {
    text.parse().unwrap()
}

fn matches(key: &str, value: &str, text: &str) -> bool {
    Selector::from_parts([Requirement::parse_label(key, value).unwrap()]).matches(&labels(text))
}

#[test]
fn only_a_colon_introduces_a_source() {
    assert!(matches("app", "a", "container:app=a"));
    assert!(matches("any:app", "a", "container:app=a"));
    assert!(!matches("k8s:app", "a", "container:app=a"));
    assert!(
        !matches("k8s:app", "a", "any:app=a"),
        "any is a wildcard on the selector's side only"
    );
    assert!(!matches("reserved.host", "", "reserved:host"));
    assert!(matches("$host", "", "reserved:host"));
}

#[test]
fn the_first_label_that_fits_is_compared() {
    assert!(matches("app", "a", "container:app=a,k8s:app=b"));
    assert!(!matches("app", "b", "container:app=a,k8s:app=b"));
}

#[test]
fn a_cidr_key_contains() {
    assert!(matches(
        "cidr:10.0.0.0/8",
        "",
        "cidr:10.1.2.3/32,reserved:world"
    ));
    assert!(matches("cidr:10.0.0.0/8", "", "cidr:10.0.0.0/8"));
    assert!(!matches("cidr:10.1.2.0/24", "", "cidr:10.0.0.0/8"));
    assert!(matches("cidr:2001-db8--0/32", "", "cidr:2001-db8-1--0/48"));
    assert!(!matches("cidr:2001-db8--0/32", "", "cidr:10.0.0.0/8"));
}

#[test]
fn broken_keys_and_values_are_refused() {
    for key in [
        "",
        ":",
        "a:b:c",
        ":app",
        "k8s:",
        "k8s-x:app",
        "-app",
        "app-",
        "Example.com/app",
        "a/b/c",
        "a b",
    ] {
        assert!(key.parse::<SelectorKey>().is_err(), "`{key}` was taken");
    }
    for key in [
        "app",
        "k8s:app",
        "example.com/App_1.2",
        "cidr:10.0.0.0/8",
        "$host",
        "K8S9:x",
    ] {
        assert!(key.parse::<SelectorKey>().is_ok(), "`{key}` was refused");
    }
    let none: [&str; 0] = [];
    assert!(Requirement::parse_expression("app", "In", &none).is_err());
    assert!(Requirement::parse_expression("app", "NotIn", &none).is_err());
    assert!(Requirement::parse_expression("app", "Exists", &["a"]).is_err());
    assert!(Requirement::parse_expression("app", "exists", &none).is_err());
    assert!(Requirement::parse_expression("app", "In", &["a b"]).is_err());
    assert!(Requirement::parse_label("app", &"x".repeat(64)).is_err());
}

#[test]
fn broken_labels_are_refused() {
    for text in [
        "",
        "=v",
        ":app",
        "k8s:",
        "k 8s:app",
        "k8s:a,b",
        "k8s:app=a\n",
        "k8s:a b",
    ] {
        assert!(text.parse::<Label>().is_err(), "`{text}` was taken");
    }
    assert_eq!("k8s:app=".parse::<Label>().unwrap().to_string(), "k8s:app");
    assert_eq!("app=a".parse::<Label>().unwrap().source(), "unspec");
    assert_eq!("k8s:url=a=b:c".parse::<Label>().unwrap().value(), "a=b:c");
}

#[test]
fn a_workload_cannot_claim_trusted_labels() {
    for key in [
        "io.kubernetes.pod.namespace",
        "io.cilium.k8s.policy.cluster",
        "io.cilium.k8s.namespace.labels.team",
    ] {
        let refused = Workload::new("backend")
            .label(key, "admin")
            .build()
            .unwrap_err();
        assert!(
            matches!(refused, ParseLabelError::Trusted { .. }),
            "{refused}"
        );
    }
    let built = Workload::new("backend")
        .cluster("west")
        .namespace_label("team", "a")
        .label("app", "api")
        .build();
    assert_eq!(
        built.unwrap().to_string(),
        "k8s:app=api,k8s:io.cilium.k8s.namespace.labels.team=a,k8s:io.cilium.k8s.policy.cluster=west,\
         k8s:io.kubernetes.pod.namespace=backend"
    );
    assert!(Workload::new("two words").build().is_err());
}

#[test]
fn the_world_is_called_by_family() {
    let world = |families: Families| {
        let mut identities = Identities::new(families);
        let mut of = |block: &str| {
            identities
                .intern_local(block.parse().unwrap(), [])
                .unwrap()
                .id
        };
        (of("0.0.0.0/0"), of("::/0"), of("10.0.0.0/8"))
    };
    let (v4, v6, block) = world(Families::Dual);
    assert_eq!((v4, v6), (IdentityId::WORLD_IPV4, IdentityId::WORLD_IPV6));
    assert!(block.is_local());
    assert_eq!(world(Families::V4).0, IdentityId::WORLD);
    assert_eq!(world(Families::V6).1, IdentityId::WORLD);
    let dual = Identities::default();
    assert_eq!(
        dual.local_labels("10.1.0.0/16".parse().unwrap(), [])
            .to_string(),
        "cidr:10.1.0.0/16,reserved:world-ipv4"
    );
    let v4 = Identities::new(Families::V4);
    assert_eq!(
        v4.local_labels("10.1.0.0/16".parse().unwrap(), [])
            .to_string(),
        "cidr:10.1.0.0/16,reserved:world"
    );
}

#[test]
fn a_member_keeps_the_labels_of_its_identity() {
    let mut identities = Identities::default();
    let api = identities
        .intern("k8s:app=api".parse().unwrap())
        .unwrap()
        .id;
    let addresses = ["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
    let group = Label::new("cidrgroup", "g", "").unwrap();
    let member = identities.intern_member(api, &addresses, [group]).unwrap();
    assert!(member.new && member.id.is_local());
    assert_eq!(
        identities.labels(member.id).unwrap().to_string(),
        "cidr:10.0.0.5/32,cidr:fd00--5/128,cidrgroup:g,k8s:app=api"
    );
    // IPv4 in the clothes of IPv6 is the same address.
    let one = identities.intern_member(api, &addresses[..1], []).unwrap();
    let mapped = ["::ffff:10.0.0.5".parse().unwrap()];
    let again = identities.intern_member(api, &mapped, []).unwrap();
    assert_eq!((one.id, again.new), (again.id, false));
    assert_ne!(one.id, member.id);

    let node = IdentityId::REMOTE_NODE;
    let node = identities.intern_member(node, &addresses, []).unwrap().id;
    assert!(node.is_remote_node());
    let nobody = IdentityId::new(4711);
    assert_eq!(
        identities.intern_member(nobody, &addresses, []),
        Err(AllocateError::Unknown { id: nobody })
    );
    // The last reference frees it, and its number rests.
    let freed = identities.release(member.id, Duration::ZERO).unwrap();
    assert_eq!(freed, Released::Freed);
    assert_eq!(identities.labels(member.id), None);
}

#[test]
fn reserved_numbers_have_names_and_scopes() {
    for number in 0..=10 {
        let id = IdentityId::new(number);
        let name = id.reserved_name().unwrap();
        assert_eq!(IdentityId::from_reserved_name(name), Some(id));
        assert_eq!(name.parse::<IdentityId>().unwrap(), id);
    }
    assert_eq!(IdentityId::new(255).scope(), Scope::Reserved);
    assert_eq!(IdentityId::new(256).scope(), Scope::Cluster);
    assert_eq!(IdentityId::new((1 << 24) + 7).scope(), Scope::Local);
    assert_eq!(IdentityId::new((1 << 25) + 7).scope(), Scope::RemoteNode);
    let identities = Identities::default();
    assert_eq!(
        identities
            .labels(IdentityId::KUBE_APISERVER)
            .unwrap()
            .to_string(),
        "reserved:kube-apiserver,reserved:remote-node"
    );
    assert_eq!(identities.labels(IdentityId::UNKNOWN), None);
}

#[test]
fn a_filter_keeps_what_must_stay_and_previews_the_rest() {
    let filter: LabelFilter = "k8s:app".parse().unwrap();
    let full = labels(
        "k8s:app=a,k8s:tier=x,k8s:io.kubernetes.pod.namespace=n,reserved:host,oidc:sub=alice",
    );
    assert_eq!(
        filter.apply(&full).to_string(),
        "k8s:app=a,k8s:io.kubernetes.pod.namespace=n,oidc:sub=alice,reserved:host"
    );

    let workloads = [
        labels("k8s:app=a,k8s:tier=x"),
        labels("k8s:app=a,k8s:tier=y"),
    ];
    let selectors: Vec<Selector> = ["tier=x", "!tier", "app=a"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let preview = filter.preview(&workloads, &selectors);
    assert_eq!(
        (preview.identities_before, preview.identities_after),
        (2, 1)
    );
    let changes: Vec<_> = preview
        .changes
        .iter()
        .map(|change| (change.selector, change.stops, change.starts))
        .collect();
    assert_eq!(changes, [(0, 1, 0), (1, 0, 2)]);

    let longest: LabelFilter = "!io,io.example/keep".parse().unwrap();
    assert_eq!(
        longest
            .apply(&labels("k8s:io.example/drop=1,k8s:io.example/keep=1"))
            .to_string(),
        "k8s:io.example/keep=1"
    );
    assert!("!".parse::<LabelFilter>().is_err());
}

#[test]
fn an_exception_equal_to_the_block_leaves_nobody() {
    let block = "10.0.0.0/8".parse().unwrap();
    assert!(cidr_minus(block, &[block]).is_empty());
    assert_eq!(cidr_minus(block, &[]), [block]);
    assert_eq!(cidr_minus(block, &["11.0.0.0/8".parse().unwrap()]), [block]);
}
