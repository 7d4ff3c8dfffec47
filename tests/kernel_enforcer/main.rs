//! The closed loop on real packets: what changes takes hold of connections that run, and what is
//! wrong changes nothing.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod gateway;
mod policies;
mod world;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use porin::datapath::Limits;
use porin::datapath::sys::mount_bpffs;
use porin::enforcer::{EndpointSpec, Enforcer, PolicyError};
use porin::flow::{DropReason, Flow, Transport};
use porin::policy::{NamedPort, Protocol};
use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome, Test, run};

use policies::{BLOCK_MAY, CLIENT_MAY, ECHO_MAY, NOBODY_MAY, PARTNER_MAY, PARTNERS_MAY, WEB_ONLY};
use world::{
    CLIENT, EXCEPTED, PARTNER, PATIENCE, PORT, SERVER, SERVER6, SHORT, World, answers, connect,
    echoes, flow_of, in_world, is_silent, labels, names, now, open, recovers,
};

fn main() -> std::process::ExitCode {
    run(vec![
        Test::new("kernel_a_held_endpoint_passes_nothing", || in_world(held)),
        Test::new("kernel_a_change_takes_hold_of_what_runs", || {
            in_world(changes)
        }),
        Test::new("kernel_what_is_wrong_changes_nothing", || in_world(wrong)),
        Test::new("kernel_a_failed_addition_leaves_no_trace", || {
            in_world(failed)
        }),
        Test::new("kernel_ipv6_is_judged_alike", || in_world(ipv6)),
        Test::new("kernel_blocks_are_told_apart", || in_world(blocks)),
        Test::new("kernel_a_block_follows_its_group", || in_world(groups)),
        Test::new("kernel_a_port_is_what_its_endpoint_calls_so", || {
            in_world(port_names)
        }),
        Test::new("kernel_equal_labels_are_told_apart_by_address", || {
            in_world(told_apart)
        }),
        Test::new("kernel_equal_labels_are_told_apart_by_port_names", || {
            in_world(told_apart_by_names)
        }),
        Test::new("kernel_ac_11_a_reused_address_inherits_nothing", || {
            in_world(reused)
        }),
        Test::new("kernel_nobody_outside_is_the_host", || in_world(host)),
        Test::new("kernel_the_host_has_its_own_policy", || {
            in_world(gateway::own_policy)
        }),
        Test::new("kernel_ac_49_a_host_policy_is_confirmed_or_reverts", || {
            in_world(gateway::trial)
        }),
        Test::new("kernel_a_host_is_adopted_and_given_up", || {
            in_world(gateway::restarted)
        }),
        Test::new("kernel_a_restart_with_other_addresses_has_no_gap", || {
            in_world(restarted)
        }),
    ])
}

fn held(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    let server = EndpointSpec::new("server-0", labels("server"), world.server_link)
        .addresses([SERVER.into(), SERVER6.into()]);
    enforcer.add_endpoint(server, now())?;
    let client = enforcer.add_endpoint(world.client_spec("client").held(), now())?;
    assert!(world.is_shut(), "held");
    let flow = flow_of(&mut enforcer, |flow| {
        flow.drop_reason == Some(DropReason::NOT_READY)
    })?;
    assert!(names(&flow).is_empty(), "no policy is to blame: {flow}");
    enforcer.release(client)?;
    // The host's neighbour search was dropped too, and begins anew within seconds.
    let until = Instant::now() + PATIENCE;
    while !world.connects() {
        assert!(Instant::now() < until, "released");
    }
    enforcer.close()?;
    Ok(())
}

fn changes(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    let [client, _] = world.populate(&mut enforcer)?;
    let mut running = world.connect()?;
    assert!(answers(&mut running));

    enforcer.load_policies([("nobody.yaml", NOBODY_MAY)], now())?;
    assert!(
        is_silent(&mut running),
        "a policy change stops a running connection"
    );
    let denied = |flow: &Flow| flow.drop_reason == Some(DropReason::POLICY_DENIED);
    let flow = flow_of(&mut enforcer, denied)?;
    assert_eq!(
        names(&flow),
        ["nobody-may"],
        "default deny names who switched it on: {flow}"
    );
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    assert!(recovers(&mut running), "and lets it go on");

    let before = enforcer.identity(client);
    enforcer.relabel(client, labels("retired"), now())?;
    assert_ne!(enforcer.identity(client), before);
    assert!(
        is_silent(&mut running),
        "a relabel stops a running connection"
    );
    enforcer.relabel(client, labels("client"), now())?;
    assert_eq!(
        enforcer.identity(client),
        before,
        "the same labels are the same identity"
    );
    assert!(recovers(&mut running));

    enforcer.drain(drop);
    assert!(answers(&mut world.connect()?));
    let allowed = flow_of(&mut enforcer, |flow| flow.rule.is_some())?;
    let rule = allowed.rule.as_deref().unwrap_or_default();
    assert_eq!(rule, "cnp/shop/client-may ingress[0] (may.yaml:8)");
    enforcer.close()?;
    Ok(())
}

fn wrong(world: &World) -> Outcome {
    let limits = Limits {
        policy_entries: 16,
        ..Limits::default()
    };
    let mut enforcer = open().limits(limits).open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    world.populate(&mut enforcer)?;
    let (revision, identities) = (enforcer.policies().revision(), enforcer.identities().len());

    let broken = enforcer.load_policies(
        [("broken.yaml", CLIENT_MAY.replace("toPorts", "toPort"))],
        now(),
    );
    let told = match broken {
        Err(PolicyError::Refused(error)) => error.to_string(),
        other => return Err(format!("a broken file was taken: {other:?}").into()),
    };
    assert!(
        told.contains("broken.yaml:9"),
        "file and line are named: {told}"
    );

    let many: Vec<String> = (0..64)
        .map(|number| format!("10.{number}.0.0/16"))
        .collect();
    let large = format!("{PARTNER_MAY}  - fromCIDR: [{}]\n", many.join(", "));
    let full = enforcer.load_policies([("large.yaml", large)], now());
    assert!(matches!(full, Err(PolicyError::Apply(_))), "{full:?}");

    assert_eq!(enforcer.policies().revision(), revision);
    assert_eq!(
        enforcer.identities().len(),
        identities,
        "no identity stays behind"
    );
    assert_eq!(
        enforcer.datapath().prefixes().count(),
        0,
        "no prefix stays behind"
    );
    assert!(
        answers(&mut world.connect()?),
        "the last good set is in force"
    );
    enforcer.close()?;
    Ok(())
}

fn failed(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    world.populate(&mut enforcer)?;
    let identities = enforcer.identities().len();
    let nowhere =
        EndpointSpec::new("nowhere-0", labels("nowhere"), 9999).address("10.78.9.9".parse()?);
    let good =
        EndpointSpec::new("good-0", labels("good"), world.outside_link).address(PARTNER.into());
    assert!(
        enforcer
            .add_endpoints([good.clone(), nowhere], now())
            .is_err()
    );
    assert_eq!(enforcer.endpoints().count(), 2);
    assert_eq!(enforcer.datapath().endpoints().len(), 2);
    assert_eq!(enforcer.identities().len(), identities);
    assert!(
        answers(&mut world.connect()?),
        "the others are as they were"
    );
    enforcer.add_endpoint(good, now())?;
    enforcer.close()?;
    Ok(())
}

fn ipv6(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    world.populate(&mut enforcer)?;
    let attempt = |pod: &Namespace, limit| {
        let to = SocketAddr::from((SERVER6, PORT));
        let attempt = || TcpStream::connect_timeout(&to, limit).is_ok();
        pod.run(attempt).unwrap()
    };
    let connects = |pod| attempt(pod, PATIENCE);
    let is_shut = |pod| !attempt(pod, SHORT);
    assert!(connects(&world.client) && is_shut(&world.outside));
    let partner = PARTNER_MAY.replace(
        "{cidr: 10.78.3.0/24, except: [10.78.3.8/29]}",
        "{cidr: \"fd00:78:3::/48\"}",
    );
    enforcer.load_policies([("partner.yaml", partner.clone())], now())?;
    assert!(is_shut(&world.client) && connects(&world.outside));
    let except = partner.replace("/48\"}", "/48\", except: [\"fd00:78:3::/64\"]}");
    enforcer.load_policies([("partner.yaml", except)], now())?;
    assert!(
        is_shut(&world.outside),
        "an address inside of the exception"
    );
    enforcer.close()?;
    Ok(())
}

fn blocks(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    world.populate(&mut enforcer)?;
    let identities = enforcer.identities().len();
    assert!(world.is_kept_out(PARTNER));
    enforcer.load_policies([("partner.yaml", PARTNER_MAY)], now())?;
    assert!(
        world.reaches_from(PARTNER),
        "an address inside of the block"
    );
    assert!(
        world.is_kept_out(EXCEPTED),
        "an address inside of the exception"
    );
    assert_eq!(
        enforcer.identities().len(),
        identities + 2,
        "the block and its exception"
    );
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    assert!(world.is_kept_out(PARTNER));
    assert_eq!(enforcer.identities().len(), identities);
    assert_eq!(enforcer.datapath().prefixes().count(), 0);
    enforcer.close()?;
    Ok(())
}

/// The block of a group is known by the group's name, and no more when it has left the group.
fn groups(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    world.populate(&mut enforcer)?;
    let group = |name: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {{name: {name}}}\n\
             spec: {{externalCIDRs: [10.78.3.0/24]}}\n---\n{PARTNERS_MAY}"
        )
    };
    enforcer.load_policies([("policies.yaml", group("partners"))], now())?;
    let identities = enforcer.identities().len();
    assert!(world.reaches_from(PARTNER), "a partner");
    enforcer.load_policies([("policies.yaml", group("others"))], now())?;
    assert!(world.is_kept_out(PARTNER), "no partner any more");
    enforcer.load_policies([("policies.yaml", group("partners"))], now())?;
    assert!(world.reaches_from(PARTNER), "a partner that came back");
    assert_eq!(enforcer.identities().len(), identities);
    enforcer.close()?;
    Ok(())
}

fn port_names(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("policies.yaml", ECHO_MAY)], now())?;
    let server = |port| {
        EndpointSpec::new("server-0", labels("server"), world.server_link)
            .addresses([SERVER.into(), SERVER6.into()])
            .ports([NamedPort::new("echo", Protocol::TCP, port)])
    };
    enforcer.add_endpoint(world.client_spec("client"), now())?;
    let id = enforcer.add_endpoint(server(PORT + 1), now())?;
    assert!(world.is_shut(), "the name stands for another port");
    enforcer.remove_endpoint(id, now())?;
    enforcer.add_endpoint(server(PORT), now())?;
    let mut open = world.client.run(|| connect(PATIENCE))??;
    assert!(echoes(&mut open, PATIENCE), "the name stands for this port");
    enforcer.close()?;
    Ok(())
}

/// Two pods with equal labels, of which a block covers one.
fn told_apart(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    let [client, _] = world.populate(&mut enforcer)?;
    let twin = EndpointSpec::new("client-1", labels("client"), world.outside_link);
    let twin = enforcer.add_endpoint(twin.address(PARTNER.into()), now())?;
    let shared = enforcer.identity(client);
    assert_eq!(shared, enforcer.identity(twin), "nothing tells them apart");
    let mut running = world.connect()?;

    enforcer.load_policies([("block.yaml", BLOCK_MAY)], now())?;
    let own = enforcer.identity(client);
    assert_ne!(own, shared, "the block covers it");
    assert_eq!(
        enforcer.identity(twin),
        shared,
        "it stands in the exception"
    );
    assert!(answers(&mut running), "a connection that may go on does");
    assert!(world.connects());
    assert!(world.is_kept_out(PARTNER), "its twin may not");
    let known = own.and_then(|own| enforcer.identities().labels(own));
    let names = known.map(ToString::to_string).unwrap_or_default();
    assert!(names.contains("cidr:10.78.1.2/32") && names.contains("k8s:app=client"));

    let both = BLOCK_MAY.replace(", except: [10.78.3.0/24]", "");
    enforcer.load_policies([("block.yaml", both)], now())?;
    assert!(world.reaches_from(PARTNER) && world.connects());
    assert_ne!(enforcer.identity(client), enforcer.identity(twin));

    enforcer.relabel(twin, labels("server"), now())?;
    assert!(world.reaches_from(PARTNER), "the block covers it still");
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    assert_eq!(enforcer.identity(client), shared, "nothing tells it apart");
    assert!(answers(&mut running) && world.is_kept_out(PARTNER));
    enforcer.close()?;
    Ok(())
}

/// Two servers with equal labels that call different ports by one name.
fn told_apart_by_names(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    enforcer.load_policies([("web.yaml", WEB_ONLY)], now())?;
    let named = |name, link, address: Ipv4Addr, port| {
        EndpointSpec::new(name, labels("server"), link)
            .address(address.into())
            .ports([NamedPort::new("web", Protocol::TCP, port)])
    };
    let server = named("server-0", world.server_link, SERVER, PORT);
    let ids = enforcer.add_endpoints([world.client_spec("client"), server], now())?;
    let [_, server] = ids.try_into().map_err(|_| "two endpoints")?;
    let shared = enforcer.identity(server);
    let mut running = world.connect()?;

    let twin = named("server-1", world.outside_link, PARTNER, PORT + 1);
    let twin = enforcer.add_endpoint(twin, now())?;
    assert_ne!(enforcer.identity(server), shared, "they disagree");
    assert_ne!(enforcer.identity(server), enforcer.identity(twin));
    assert!(answers(&mut running) && world.connects());

    enforcer.remove_endpoint(twin, now())?;
    assert_eq!(enforcer.identity(server), shared, "nobody disagrees");
    assert!(answers(&mut running) && world.connects());
    enforcer.close()?;
    Ok(())
}

/// Additions and removals that come twice, late, or the wrong way round.
fn reused(world: &World) -> Outcome {
    let mut enforcer = open().open()?;
    // The server begins nothing: what it sends again is no flow of its own.
    let may =
        format!("{CLIENT_MAY}  egress: [{{toEndpoints: [{{matchLabels: {{app: nobody}}}}]}}]\n");
    enforcer.load_policies([("may.yaml", may)], now())?;
    let [client, _] = world.populate(&mut enforcer)?;
    let mut running = world.connect()?;
    assert!(answers(&mut running));
    // The successor is announced before its forerunner is gone, and twice.
    for _ in 0..2 {
        let early = enforcer.add_endpoint(world.client_spec("stranger"), now());
        assert!(early.is_err(), "the address has an owner: {early:?}");
        assert!(answers(&mut running), "who is as before");
    }
    enforcer.remove_endpoint(client, now())?;
    let late = now() + Duration::from_secs(10);
    let stranger = enforcer.add_endpoint(world.client_spec("stranger"), late)?;
    assert_ne!(stranger, client, "a number is given once");
    assert!(is_silent(&mut running), "the connection of the one before");
    assert!(world.is_shut(), "a new connection from its address");
    // The removal comes again, and the addition.
    for _ in 0..2 {
        assert!(enforcer.remove_endpoint(client, late).is_err(), "gone");
        assert!(
            enforcer
                .add_endpoint(world.client_spec("client"), late)
                .is_err()
        );
        assert!(enforcer.identity(stranger).is_some(), "who came stays");
    }
    assert!(world.is_shut(), "and is nobody else");
    enforcer.remove_endpoint(stranger, late)?;
    enforcer.add_endpoint(world.client_spec("client"), late)?;
    assert!(world.connects(), "the one who may is back");
    enforcer.close()?;
    Ok(())
}

/// Who bears the address of the node and came by a device is not the node.
fn host(world: &World) -> Outcome {
    let gateway = |link| Ipv6Addr::new(0xfd00, 0x78, link, 0, 0, 0, 0, 1);
    let mut enforcer = open()
        .addresses([gateway(1).into(), gateway(2).into()])
        .open()?;
    enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
    world.populate(&mut enforcer)?;
    let seen = |enforcer: &mut Enforcer, source: Ipv6Addr| {
        flow_of(enforcer, |flow| {
            let from = flow.addresses.as_ref().map(|both| both.source);
            from == Some(source.into()) && matches!(flow.transport, Some(Transport::Udp { .. }))
        })
    };
    UdpSocket::bind((gateway(2), 0))?.send_to(b"x", (SERVER6, PORT))?;
    let own = seen(&mut enforcer, gateway(2))?;
    assert_eq!(own.drop_reason, None, "the node itself: {own}");

    world
        .outside
        .add_address("eth0", format!("{}/128", gateway(1)).parse()?)?;
    let claimed = world.outside.run(|| UdpSocket::bind((gateway(1), 0)))??;
    claimed.send_to(b"x", (SERVER6, PORT))?;
    let flow = seen(&mut enforcer, gateway(1))?;
    assert_eq!(
        flow.drop_reason,
        Some(DropReason::POLICY_DENIED),
        "somebody else: {flow}"
    );
    enforcer.close()?;
    Ok(())
}

/// A BPF file system that only this thread sees.
fn bpffs() -> Result<tempfile::TempDir, Failed> {
    let directory = tempfile::tempdir()?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount_bpffs(directory.path())?;
    Ok(directory)
}

fn restarted(world: &World) -> Outcome {
    let directory = bpffs()?;
    let pins = directory.path().join("node");
    let next = || -> Result<Enforcer, Failed> {
        let mut enforcer = open().pins(&pins).open()?;
        enforcer.load_policies([("may.yaml", CLIENT_MAY)], now())?;
        Ok(enforcer)
    };
    let server = EndpointSpec::new("server-0", labels("server"), world.server_link)
        .addresses([SERVER.into(), SERVER6.into()]);
    let mut enforcer = next()?;
    world.populate(&mut enforcer)?;
    enforcer.keep();

    // From an address that is not the client's, without a pause, while all of this goes on.
    let forged = Ipv4Addr::new(10, 78, 1, 9);
    world
        .client
        .add_address("eth0", format!("{forged}/24").parse()?)?;
    // Its question for the gateway would be a forged one as well.
    let gateway = Namespace::current()?.mac("client")?;
    world
        .client
        .add_neighbour("eth0", [10, 78, 1, 1].into(), gateway)?;
    let from = world.client.run(|| UdpSocket::bind((forged, 0)))??;
    let to = world.outside.run(|| UdpSocket::bind((PARTNER, 0)))??;
    let target = to.local_addr()?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = from.send_to(b"x", target);
                // More than the host takes would drown what is to pass.
                thread::sleep(Duration::from_micros(20));
            }
        });
        // Also when an assertion fails.
        let _end = defer(|| stop.store(true, Ordering::Relaxed));
        restarts(world, &next, &server)
    })?;
    to.set_nonblocking(true)?;
    assert!(to.recv(&mut [0]).is_err(), "a forged packet passed");
    let enforcer = next()?;
    enforcer.close()?;
    from.send_to(b"x", target)?;
    to.set_nonblocking(false)?;
    to.set_read_timeout(Some(PATIENCE))?;
    to.recv(&mut [0])?;
    Ok(())
}

/// Does `work` when it is dropped.
fn defer<F: FnMut()>(work: F) -> impl Drop {
    struct Deferred<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Deferred<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Deferred(work)
}

fn restarts(
    world: &World,
    next: &dyn Fn() -> Result<Enforcer, Failed>,
    server: &EndpointSpec,
) -> Outcome {
    // What cannot be changes nothing: both addresses are of one family.
    let mut enforcer = next()?;
    let two = EndpointSpec::new("client-0", labels("client"), world.client_link)
        .addresses([CLIENT.into(), Ipv4Addr::new(10, 78, 1, 8).into()]);
    let refused = enforcer.add_endpoints([server.clone(), two], now());
    assert!(refused.is_err());
    assert_eq!(enforcer.adopted(), 2, "what was left is there still");
    enforcer.keep();
    assert!(world.connects(), "and as it was");

    // One address less: nothing passes unjudged.
    let fewer = EndpointSpec::new("client-0", labels("client"), world.client_link)
        .addresses([CLIENT.into()]);
    let mut enforcer = next()?;
    enforcer.add_endpoints([server.clone(), fewer], now())?;
    enforcer.forget_unclaimed()?;
    assert!(world.connects());
    enforcer.keep();

    // The devices change places: whoever is named first takes the address of the other.
    let mut enforcer = next()?;
    let swapped = [
        EndpointSpec::new("server-0", labels("server"), world.client_link).address(SERVER.into()),
        EndpointSpec::new("client-0", labels("client"), world.server_link).address(CLIENT.into()),
    ];
    enforcer.add_endpoints(swapped, now())?;
    enforcer.forget_unclaimed()?;
    assert_eq!(enforcer.datapath().endpoints().len(), 2);
    assert!(world.is_shut(), "nobody is where they were");
    enforcer.keep();
    Ok(())
}
