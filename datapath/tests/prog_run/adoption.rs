//! What a process leaves pinned goes on without it, and the next one takes it over.

use std::path::Path;

use porin_datapath::abi::{self, Address, FLOW_WAYS, FlowBucket, Owner};
use porin_datapath::sys::{Map, UpdateMode, bytes_of};
use porin_datapath::{Config, Datapath, Frame, LoadError, Loader, PinError, Pins};
use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState};
use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome};

use crate::common::with_bpffs;
use crate::node::{A, B, ID_A, ID_B, Node, at, entry, everything, limits, tcp_port, v4, v6};

pub(crate) fn config(loader: Loader, root: &Path) -> Config {
    Config {
        loader,
        limits: limits(),
        pins: Pins::Dir(root.join("node")),
        ..Config::default()
    }
}

/// A node with A (port 80 of B only) and B (open), on the datapath that `start` gives.
pub(crate) fn node(mut datapath: Datapath, devices: [u32; 2]) -> Result<Node, Failed> {
    let events = datapath.events().ok_or("the events are there once")?;
    Ok(Node {
        datapath,
        events,
        devices,
    })
}

fn fill(node: &mut Node) -> Outcome {
    let web = entry(
        Direction::Egress,
        ID_B,
        tcp_port(80),
        EntryAction::Allow,
        20,
    );
    let policy: MapState = [web].into_iter().collect();
    for id in [A, B] {
        node.add(id)?;
    }
    node.datapath
        .install(&[(A, &policy), (B, &everything(16))])?;
    for id in [A, B] {
        node.datapath.set_ready(id)?;
    }
    node.datapath
        .upsert_prefix("192.0.2.0/24".parse()?, IdentityId::new(300))?;
    node.datapath
        .upsert_prefix("192.0.2.9/32".parse()?, IdentityId::new(301))?;
    Ok(())
}

pub(crate) fn a_restart_has_no_gap(loader: Loader) -> Outcome {
    Namespace::new()?.run(|| with_bpffs(|root| restart(loader, root)))?
}

fn restart(loader: Loader, root: &Path) -> Outcome {
    let (namespace, peer) = (Namespace::current()?, Namespace::new()?);
    let devices = [
        namespace.veth("a", &peer, "a")?.index,
        namespace.veth("b", &peer, "b")?.index,
    ];
    let config = config(loader, root);
    let mut first = node(Datapath::open(&config)?, devices)?;
    fill(&mut first)?;
    let forth = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::ACK);
    let other = Frame::tcp(at(v4(A), 4000), at(v4(B), 81), TcpFlags::ACK);
    assert_eq!(first.cross(A, &forth).reason(), None);
    let endpoints = first.datapath.endpoints();
    let prefixes: Vec<_> = first.datapath.prefixes().collect();
    let policy = first.datapath.policy(A)?;
    let in_use = Datapath::open(&config);
    assert!(
        matches!(in_use, Err(LoadError::Pin(PinError::InUse(_)))),
        "{in_use:?}"
    );
    first.datapath.keep();

    let mut second = node(Datapath::open(&config)?, devices)?;
    assert_eq!(second.datapath.endpoints(), endpoints);
    assert_eq!(second.datapath.prefixes().collect::<Vec<_>>(), prefixes);
    assert_eq!(second.datapath.policy(A)?, policy);
    let running = second.cross(A, &forth);
    assert_eq!(
        (running.reason(), running.seen.len()),
        (None, 0),
        "the flow goes on"
    );
    assert_eq!(
        second.cross(A, &other).reason(),
        Some(DropReason::POLICY_DENIED)
    );
    // Epochs go on where they were.
    second.datapath.install(&[(A, &everything(17))])?;
    let newest = second.datapath.endpoints();
    assert!(newest[0].epoch > endpoints[0].epoch.max(endpoints[1].epoch));
    assert_eq!(second.cross(A, &other).reason(), None);
    second.datapath.keep();

    // A device that went away takes its endpoint with it.
    namespace.delete("b")?;
    let third = Datapath::open(&config)?;
    let left: Vec<_> = third.endpoints().iter().map(|dump| dump.spec.id).collect();
    assert_eq!(left, [A]);
    third.close()?;
    let fresh = Datapath::open(&config)?;
    assert_eq!(fresh.endpoints(), []);
    fresh.close()?;
    Ok(())
}

/// A process that ended in the middle of a removal or a renaming left addresses
/// that are nobody's, or another's: the next one makes them the endpoint's again.
pub(crate) fn what_was_cut_short_is_made_whole(loader: Loader) -> Outcome {
    Namespace::new()?.run(|| with_bpffs(|root| cut_short(loader, root)))?
}

fn cut_short(loader: Loader, root: &Path) -> Outcome {
    let (namespace, peer) = (Namespace::current()?, Namespace::new()?);
    let devices = [
        namespace.veth("a", &peer, "a")?.index,
        namespace.veth("b", &peer, "b")?.index,
    ];
    let config = config(loader, root);
    let mut first = node(Datapath::open(&config)?, devices)?;
    fill(&mut first)?;
    first.datapath.keep();

    let addresses = Map::from_pin(&root.join("node/maps/addresses"))?;
    let [gone, renamed] = [v4(A), v6(A)].map(|address| Address::from(address).0);
    assert!(addresses.delete(&gone)?);
    let other = Owner {
        identity: 77,
        flags: Owner::LOCAL,
    };
    addresses.update(&renamed, bytes_of(&other), UpdateMode::Existing)?;

    let mut second = node(Datapath::open(&config)?, devices)?;
    let mark = second.datapath.mark(A).ok_or("known")?;
    for (a, b) in [(v4(A), v4(B)), (v6(A), v6(B))] {
        let frame = Frame::tcp(at(a, 4000), at(b, 80), TcpFlags::SYN);
        let forged = second.arrive(B, &frame, 0);
        assert_eq!(forged.reason(), Some(DropReason::INVALID_SOURCE_IP));
        let own = second.arrive(B, &frame, mark);
        assert_eq!(own.reason(), None);
        assert_eq!(own.seen.first().map(|seen| seen.source), Some(ID_A));
    }
    second.datapath.close()?;
    Ok(())
}

pub(crate) fn another_version_is_refused(loader: Loader) -> Outcome {
    with_bpffs(|root| {
        let config = config(loader, root);
        Datapath::open(&config)?.keep();
        let occupied = Datapath::load(&config);
        assert!(
            matches!(occupied, Err(LoadError::Pin(PinError::Occupied(_)))),
            "{occupied:?}"
        );

        let mut other = config.clone();
        other.limits.flows *= 2;
        let shape = Datapath::open(&other);
        assert!(
            matches!(shape, Err(LoadError::Pin(PinError::Incompatible { .. }))),
            "{shape:?}"
        );

        let stamp = Map::from_pin(&root.join("node/maps/abi"))?;
        stamp.update(&[0; 4], &[9, 0, 0, 0, 0, 0, 0, 0], UpdateMode::Any)?;
        let version = Datapath::open(&config);
        assert!(
            matches!(
                version,
                Err(LoadError::Pin(PinError::Version { found: 9, .. }))
            ),
            "{version:?}"
        );
        Ok(())
    })
}

/// A start that ended when its tables were stamped, but had no epoch and no secret yet: whoever takes
/// them over gives both.
pub(crate) fn a_start_without_epochs_begins(loader: Loader) -> Outcome {
    Namespace::new()?.run(|| with_bpffs(|root| without_epochs(loader, root)))?
}

fn without_epochs(loader: Loader, root: &Path) -> Outcome {
    let (namespace, peer) = (Namespace::current()?, Namespace::new()?);
    let devices = [
        namespace.veth("a", &peer, "a")?.index,
        namespace.veth("b", &peer, "b")?.index,
    ];
    let config = config(loader, root);
    Datapath::open(&config)?.keep();
    let facts = Map::from_pin(&root.join("node/maps/node"))?;
    let first = 0_u32.to_ne_bytes();
    facts.update(&first, bytes_of(&abi::Node::default()), UpdateMode::Any)?;

    let mut node = node(Datapath::open(&config)?, devices)?;
    fill(&mut node)?;
    assert!(node.datapath.endpoints().iter().all(|dump| dump.epoch > 0));
    let mut bytes = [0; size_of::<abi::Node>()];
    assert!(facts.lookup(&first, &mut bytes)?);
    let secret = &bytes[abi::SECRET..abi::SECRET + 8];
    assert_ne!(secret, [0; 8], "nobody can tell where flows lie");
    node.datapath.close()?;
    Ok(())
}

/// Silence ends a flow: what comes after is judged as new. The clock of the
/// programs cannot be moved, but the time at which they saw a flow last can.
pub(crate) fn a_silent_flow_is_forgotten(loader: Loader) -> Outcome {
    Namespace::new()?.run(|| with_bpffs(|root| silence(loader, root)))?
}

fn silence(loader: Loader, root: &Path) -> Outcome {
    let (namespace, peer) = (Namespace::current()?, Namespace::new()?);
    let devices = [
        namespace.veth("a", &peer, "a")?.index,
        namespace.veth("b", &peer, "b")?.index,
    ];
    let mut node = node(Datapath::open(&config(loader, root))?, devices)?;
    fill(&mut node)?;
    let web = entry(
        Direction::Ingress,
        ID_A,
        tcp_port(80),
        EntryAction::Allow,
        21,
    );
    node.datapath
        .install(&[(B, &[web].into_iter().collect())])?;
    let flows = Map::from_pin(&root.join("node/maps/flows"))?;
    let (a, b) = (at(v4(A), 4000), at(v4(B), 80));
    let syn = Frame::tcp(a, b, TcpFlags::SYN);
    let forth = Frame::tcp(a, b, TcpFlags::ACK);
    let back = Frame::tcp(b, a, TcpFlags::ACK);
    let fin = TcpFlags::FIN | TcpFlags::ACK;
    let ends = [Frame::tcp(a, b, fin), Frame::tcp(b, a, fin)];
    // Ticks of silence that each state of the connection bears, and that it does not.
    for (answered, ended, bears, breaks) in [
        (false, false, 50, 60),
        (true, false, 7000, 7500),
        (true, true, 8, 12),
    ] {
        for (silent, forgotten) in [(bears, false), (breaks, true)] {
            node.datapath.clear_flows()?;
            assert_eq!(node.cross(A, &syn).reason(), None);
            if answered {
                assert_eq!(node.cross(B, &back).reason(), None);
            }
            if ended {
                assert_eq!(node.cross(A, &ends[0]).reason(), None);
                assert_eq!(node.cross(B, &ends[1]).reason(), None);
            }
            rest(&flows, silent)?;
            let late = node.cross(B, &back).reason();
            assert_eq!(
                late.is_some(),
                forgotten,
                "answered {answered}, ended {ended}, {silent}"
            );
            let again = node.cross(A, &forth);
            assert_eq!(again.reason(), None);
            let new = again.seen.len() == 2;
            assert_eq!(new, forgotten, "{again:?}");
        }
    }
    node.datapath.close()?;
    Ok(())
}

/// Every flow was last seen this many ticks earlier than it was.
pub(crate) fn rest(flows: &Map, ticks: u32) -> Outcome {
    let offset = std::mem::offset_of!(FlowBucket, expires);
    let mut buckets = Vec::new();
    flows.for_each(|index, bucket| buckets.push((index.to_vec(), bucket.to_vec())))?;
    for (index, mut bucket) in buckets {
        for expires in bucket[offset..offset + 4 * FLOW_WAYS].chunks_exact_mut(4) {
            let earlier = u32::from_ne_bytes((&*expires).try_into()?).wrapping_sub(ticks);
            expires.copy_from_slice(&earlier.to_ne_bytes());
        }
        flows.update(&index, &bucket, UpdateMode::Existing)?;
    }
    Ok(())
}
