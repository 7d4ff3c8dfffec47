//! The node itself, as rules with a node selector see it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use porin::datapath::ApplyError;
use porin::enforcer::{EndpointError, EndpointSpec, Enforcer, HostSpec};
use porin::flow::DropReason;
use porin_testbed::suite::{Failed, Outcome};

use super::bpffs;
use super::policies::{GATEWAY_MAY, GATEWAY_SHUT};
use super::world::{
    EXCEPTED, PARTNER, PATIENCE, PORT, SHORT, World, answers, flow_of, is_silent, labels, names,
    now, open, recovers,
};

/// The node's side of the wire that leads outside.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 78, 3, 1);

/// Echoes on the node itself.
fn serve() -> Result<(), Failed> {
    let listener = TcpListener::bind((GATEWAY, PORT))?;
    thread::spawn(move || {
        let serve = |stream| drop(thread::spawn(|| super::world::echo(stream)));
        listener.incoming().flatten().for_each(serve);
    });
    Ok(())
}

fn reach(world: &World, from: Ipv4Addr, limit: Duration) -> Result<TcpStream, Failed> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
    };
    let stream = world.outside.run(|| -> Result<TcpStream, Failed> {
        let own = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        let time =
            nix::sys::time::TimeVal::new(limit.as_secs().try_into()?, limit.subsec_micros().into());
        setsockopt(&own, sockopt::SendTimeout, &time)?;
        use std::os::fd::AsRawFd as _;
        bind(
            own.as_raw_fd(),
            &SockaddrIn::from(std::net::SocketAddrV4::new(from, 0)),
        )?;
        let to = std::net::SocketAddrV4::new(GATEWAY, PORT);
        connect(own.as_raw_fd(), &SockaddrIn::from(to))?;
        Ok(own.into())
    })??;
    assert_eq!(stream.peer_addr()?, SocketAddr::from((GATEWAY, PORT)));
    Ok(stream)
}

fn host(world: &World) -> Result<HostSpec, Failed> {
    Ok(HostSpec::new([world.outside_link]).label("role", "gateway")?)
}

fn is_open(world: &World, from: Ipv4Addr) -> bool {
    reach(world, from, PATIENCE).is_ok()
}

fn is_shut(world: &World, from: Ipv4Addr) -> bool {
    reach(world, from, SHORT).is_err()
}

pub(crate) fn own_policy(world: &World) -> Outcome {
    serve()?;
    let mut enforcer = open().host(host(world)?).open()?;
    assert!(is_open(world, EXCEPTED), "nothing is asked of the host yet");
    enforcer.load_policies([("gateway.yaml", GATEWAY_MAY)], now())?;
    world.populate(&mut enforcer)?;
    assert!(is_open(world, PARTNER));
    let allowed = flow_of(&mut enforcer, |flow| flow.rule.is_some())?;
    let rule = allowed.rule.as_deref().unwrap_or_default();
    assert_eq!(rule, "ccnp/gateway-may ingress[0] (gateway.yaml:8)");
    assert!(is_shut(world, EXCEPTED));
    let denied = flow_of(&mut enforcer, |flow| {
        flow.drop_reason == Some(DropReason::POLICY_DENIED)
    })?;
    assert_eq!(names(&denied), ["gateway-may"], "{denied}");
    assert!(world.connects(), "what is forwarded is not the host's");
    enforcer.load_policies::<&str, &str>([], now())?;
    assert!(is_open(world, EXCEPTED), "nobody selects the host");
    enforcer.close()?;
    Ok(())
}

/// Waits for the end of the trial that goes on.
fn ends_by_itself(enforcer: &Enforcer) -> bool {
    let until = Instant::now() + PATIENCE;
    while enforcer.host_trial().is_some() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    enforcer.host_trial().is_none()
}

pub(crate) fn trial(world: &World) -> Outcome {
    serve()?;
    let host = host(world)?.confirm(Duration::from_secs(3));
    let mut enforcer = open().host(host).open()?;
    enforcer.load_policies([("gateway.yaml", GATEWAY_MAY)], now())?;
    enforcer.confirm_host(now())?;
    let mut control = reach(world, PARTNER, PATIENCE)?;
    assert!(answers(&mut control));

    enforcer.load_policies([("gateway.yaml", GATEWAY_SHUT)], now())?;
    assert!(is_silent(&mut control));
    // Identities come meanwhile, for both policies.
    world.populate(&mut enforcer)?;
    assert!(ends_by_itself(&enforcer));
    assert!(
        recovers(&mut control),
        "by a block that only the policy before names"
    );
    let late = enforcer.confirm_host(now());
    let too_late = |error| matches!(error, EndpointError::Apply(ApplyError::NoTrial));
    assert!(late.is_err_and(too_late));
    enforcer.tick(now())?;
    let outside = EndpointSpec::new("more-0", labels("more"), 9_999);
    assert!(enforcer.add_endpoint(outside, now()).is_err());
    assert!(answers(&mut control) && is_shut(world, EXCEPTED));
    assert_eq!(enforcer.policies().documents().count(), 1);

    // A set that changes nothing for the host is not on trial.
    let mut blocks = enforcer.datapath().prefixes().count();
    enforcer.load_policies([("gateway.yaml", GATEWAY_MAY)], now())?;
    assert_eq!(enforcer.host_trial(), None);
    blocks -= enforcer.datapath().prefixes().count();
    assert_eq!(blocks, 1, "the block of the other policy");

    enforcer.load_policies([("gateway.yaml", GATEWAY_SHUT)], now())?;
    enforcer.revert_host(now())?;
    assert!(answers(&mut control));
    enforcer.load_policies([("gateway.yaml", GATEWAY_SHUT)], now())?;
    enforcer.confirm_host(now())?;
    assert_eq!(enforcer.host_trial(), None);
    assert!(is_silent(&mut control) && is_open(world, EXCEPTED));
    enforcer.close()?;
    Ok(())
}

/// An equal policy after a restart is no change; without a host in the configuration it is given up.
pub(crate) fn restarted(world: &World) -> Outcome {
    let directory = bpffs()?;
    let pins = directory.path().join("node");
    serve()?;
    let host = host(world)?.confirm(Duration::from_secs(600));
    let start = |text: &str| -> Result<Enforcer, Failed> {
        let mut enforcer = open().host(host.clone()).pins(&pins).open()?;
        enforcer.load_policies([("gateway.yaml", text)], now())?;
        enforcer.forget_unclaimed()?;
        Ok(enforcer)
    };
    let mut enforcer = start(GATEWAY_MAY)?;
    enforcer.confirm_host(now())?;
    enforcer.keep();
    let mut control = reach(world, PARTNER, PATIENCE)?;
    let enforcer = start(GATEWAY_MAY)?;
    assert_eq!(enforcer.host_trial(), None);
    assert!(answers(&mut control));
    enforcer.keep();
    // Another policy, whose trial goes back to what nobody here knows.
    let enforcer = start(GATEWAY_SHUT)?;
    assert!(
        enforcer
            .host_trial()
            .is_some_and(|trial| trial.before.is_some())
    );
    let until = enforcer.host_trial().map(|trial| trial.until);
    enforcer.keep();
    // Whoever starts again with it has not confirmed it.
    let mut enforcer = start(GATEWAY_SHUT)?;
    let trial = enforcer.host_trial().ok_or("the restart confirmed it")?;
    let late = trial.until.checked_sub(until.ok_or("no trial")?);
    assert!(
        late.is_none_or(|late| late < Duration::from_secs(1)),
        "{late:?}"
    );
    assert!(is_silent(&mut control));
    enforcer.revert_host(now())?;
    assert!(recovers(&mut control) && is_shut(world, EXCEPTED));
    enforcer.keep();

    let mut enforcer = open().pins(&pins).open()?;
    enforcer.load_policies::<&str, &str>([], now())?;
    assert!(is_shut(world, EXCEPTED));
    enforcer.forget_unclaimed()?;
    assert!(is_open(world, EXCEPTED));
    enforcer.close()?;
    Ok(())
}
