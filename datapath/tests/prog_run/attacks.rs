//! Attack cases that need many packets, or numbers at their borders.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use porin_datapath::{Frame, Hook, Limits, Loader, TestPacket};
use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{
    AuthMode, Direction, EntryAction, MapEntry, MapKey, MapState, PortPrefix, Precedence, Protocol,
    RuleCookie,
};
use porin_testbed::suite::{Failed, Outcome};

use crate::common::number;
use crate::node::{A, B, ID_A, ID_B, at, bare, everything, limits, open, v4};

const BIRTHS: u64 = 1_000;

/// Of two entries the one of higher precedence decides, at every border of the number and over ten
/// thousand tiers; of equal ones that of the peer.
pub(crate) fn priorities_have_one_order(loader: Loader) -> Outcome {
    let tiers: Vec<_> = (0..10_000)
        .map(|tier| Precedence::compose(tier, 255))
        .collect();
    assert!(
        tiers.is_sorted_by(|one, next| one < next),
        "no two alike, and none wraps"
    );
    let sign = 1 << 31;
    let borders = [
        0,
        1,
        255,
        256,
        sign - 1,
        sign,
        sign + 1,
        u32::MAX - 1,
        u32::MAX,
    ];
    let numbers: Vec<_> = borders
        .into_iter()
        .map(Precedence::new)
        .chain([tiers[9_998], tiers[9_999]])
        .collect();
    open(loader, |node| {
        let pairs = numbers
            .iter()
            .flat_map(|own| numbers.iter().map(move |any| (*own, *any)));
        let pairs: Vec<(u16, _)> = (1000..).zip(pairs).collect();
        let entry = |peer, port, precedence, action| {
            let key = MapKey {
                direction: Direction::Egress,
                identity: peer,
                protocol: Protocol::TCP,
                port: PortPrefix::exact(port),
            };
            let entry = MapEntry {
                auth: AuthMode::Disabled,
                action,
                precedence,
                cookie: RuleCookie::new(20),
            };
            (key, entry)
        };
        let both = |(port, (own, any)): &(u16, (Precedence, Precedence))| {
            [
                entry(ID_B, *port, *own, EntryAction::Allow),
                entry(IdentityId::UNKNOWN, *port, *any, EntryAction::Deny),
            ]
        };
        let policy: MapState = pairs.iter().flat_map(both).collect();
        node.datapath.install(&[(A, &policy)])?;
        for (port, (own, any)) in &pairs {
            let frame = Frame::tcp(at(v4(A), 4000), at(v4(B), *port), TcpFlags::SYN);
            let expected = (own < any).then_some(DropReason::POLICY_DENY);
            assert_eq!(
                node.leave(A, &frame).reason(),
                expected,
                "{own:?} against {any:?}"
            );
        }
        Ok(())
    })
}

/// An endpoint sends from its first moment on and all the time, and is replaced again and again:
/// nothing passes before it is ready. `PORIN_BIRTHS` says how often.
pub(crate) fn nothing_passes_before_ready(loader: Loader) -> Outcome {
    let births = number("PORIN_BIRTHS").unwrap_or(BIRTHS);
    let roomy = Limits {
        endpoints: 4096,
        ..limits()
    };
    bare(loader, roomy, |node| {
        let policy = everything(16);
        for id in [A, B] {
            node.add(id)?;
            node.datapath.install(&[(id, &policy)])?;
            node.datapath.set_ready(id)?;
        }
        let frame = Frame::udp(at(v4(A), 53), at(v4(B), 53));
        let (program, ifindex) = (node.datapath.program(Hook::FromEndpoint)?, node.devices[0]);
        let send = || {
            let packet = TestPacket {
                bytes: frame.bytes(),
                ifindex,
                mark: 0,
            };
            program.run(&packet, 1).map(|run| run.passed)
        };
        // Odd: born and not ready. Even: it may be either.
        let life = AtomicU64::new(0);
        let own: Vec<IpAddr> = vec![v4(A)];
        let datapath = &mut node.datapath;
        let (early, sent) = std::thread::scope(|scope| -> Result<_, Failed> {
            let sender = scope.spawn(|| {
                let (mut early, mut sent) = (0_u64, 0_u64);
                loop {
                    let before = life.load(Ordering::SeqCst);
                    if before == u64::MAX {
                        return (early, sent);
                    }
                    let passed = send().expect("the program runs");
                    let held = !before.is_multiple_of(2) && life.load(Ordering::SeqCst) == before;
                    early += u64::from(held && passed);
                    sent += u64::from(held);
                }
            });
            let lived = (0..births).try_for_each(|birth| {
                datapath.replace_endpoint(A, ID_A, own.clone())?;
                life.fetch_add(1, Ordering::SeqCst);
                // Its very first packet.
                assert!(!send()?, "birth {birth}");
                datapath.install(&[(A, &policy)])?;
                assert!(!send()?, "birth {birth}: a policy alone opens nothing");
                life.fetch_add(1, Ordering::SeqCst);
                datapath.set_ready(A)?;
                assert!(send()?, "birth {birth}: ready");
                Ok::<_, Failed>(())
            });
            life.store(u64::MAX, Ordering::SeqCst);
            let counts = sender.join().map_err(|_| "the sender panicked")?;
            lived.map(|()| counts)
        })?;
        eprintln!("births: {births} births, {early} of {sent} packets passed before ready");
        assert_eq!(early, 0);
        assert!(sent > births / 20, "the sender met {sent} births");
        Ok(())
    })
}
