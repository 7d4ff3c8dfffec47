//! Nothing passes before identity and policy are in place, nor in anybody else's name.

use porin_datapath::{ApplyError, AttachError, EndpointSpec, Frame, Hook, Loader};
use porin_flow::{DropReason, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction};
use porin_testbed::suite::Outcome;

use crate::node::{A, ANY_PORT, B, ID_A, ID_B, at, bare, entry, everything, limits, open, v4, v6};

pub(crate) fn not_ready(loader: Loader) -> Outcome {
    bare(loader, limits(), |node| {
        let frame = Frame::tcp(at(v4(A), 4000), at(v4(B), 80), TcpFlags::SYN);
        assert_eq!(
            node.leave(A, &frame).reason(),
            Some(DropReason::UNKNOWN_ENDPOINT)
        );

        node.add(A)?;
        let arp = Frame::ethernet(0x0806, &[0; 28]);
        for frame in [&frame, &arp] {
            assert_eq!(node.leave(A, frame).reason(), Some(DropReason::NOT_READY));
            assert_eq!(
                node.arrive(A, frame, 0).reason(),
                Some(DropReason::NOT_READY)
            );
        }
        assert!(matches!(node.datapath.set_ready(A), Err(ApplyError::NoPolicy(id)) if id == A));

        node.datapath.install(&[(A, &everything(16))])?;
        assert_eq!(node.leave(A, &frame).reason(), Some(DropReason::NOT_READY));
        node.datapath.set_ready(A)?;
        assert_eq!(node.leave(A, &frame).reason(), None);

        let drops = node.datapath.counters()?;
        let dropped = |reason| {
            drops
                .iter()
                .filter(|n| n.reason == reason)
                .map(|n| n.packets)
                .sum()
        };
        let not_ready: u64 = dropped(DropReason::NOT_READY);
        assert_eq!(not_ready, 5, "{drops:?}");
        Ok(())
    })
}

pub(crate) fn forged_source(loader: Loader) -> Outcome {
    open(loader, |node| {
        let world = "192.0.2.7".parse()?;
        for (own, other) in [(v4(A), v4(B)), (v6(A), v6(B))] {
            let target = at("198.51.100.1".parse()?, 80);
            let target = if own.is_ipv6() {
                at("2001:db8::1".parse()?, 80)
            } else {
                target
            };
            let forged = Frame::udp(at(other, 53), target);
            assert_eq!(
                node.leave(A, &forged).reason(),
                Some(DropReason::INVALID_SOURCE_IP)
            );
            let own = Frame::udp(at(own, 53), target);
            assert_eq!(node.leave(A, &own).reason(), None);
        }
        // An endpoint's address that did not leave the endpoint's device.
        let frame = Frame::udp(at(v4(A), 53), at(v4(B), 53));
        assert_eq!(
            node.arrive(B, &frame, 0).reason(),
            Some(DropReason::INVALID_SOURCE_IP)
        );
        let mark = node.datapath.mark(A).ok_or("known")?;
        assert_eq!(node.arrive(B, &frame, mark).reason(), None);
        // Also when the flow is established already.
        assert_eq!(
            node.arrive(B, &frame, 0).reason(),
            Some(DropReason::INVALID_SOURCE_IP)
        );
        // In the name of the wrong endpoint.
        let stolen = node.datapath.mark(B).ok_or("known")?;
        assert_eq!(
            node.arrive(B, &frame, stolen).reason(),
            Some(DropReason::INVALID_IDENTITY)
        );
        // For somebody else.
        let frame = Frame::udp(at(world, 53), at(v4(A), 53));
        assert_eq!(
            node.arrive(B, &frame, 0).reason(),
            Some(DropReason::UNKNOWN_L3_TARGET_ADDRESS)
        );
        Ok(())
    })
}

pub(crate) fn mark_is_overwritten(loader: Loader) -> Outcome {
    open(loader, |node| {
        let frame = Frame::udp(at(v4(A), 53), at(v4(B), 53));
        let forged = node.datapath.mark(B).ok_or("known")?;
        let left = node.judge(Hook::FromEndpoint, A, frame.bytes(), forged);
        assert_eq!(left.reason(), None);
        assert_eq!(Some(left.mark), node.datapath.mark(A));
        let seen = left.seen.first().ok_or("the verdict is told")?;
        assert_eq!((seen.source, seen.destination), (ID_A, ID_B));
        Ok(())
    })
}

/// An identity that means something on this node only has one bit more than a workload's.
pub(crate) fn a_local_identity_is_told_apart(loader: Loader) -> Outcome {
    open(loader, |node| {
        let shared = ID_A;
        let own = IdentityId::new(1 << 24 | shared.get());
        let allow = entry(Direction::Ingress, own, ANY_PORT, EntryAction::Allow, 22);
        node.datapath
            .install(&[(B, &[allow].into_iter().collect())])?;
        let frame = Frame::udp(at(v4(A), 53), at(v4(B), 53));
        let denied = Some(DropReason::POLICY_DENIED);
        assert_eq!(node.cross(A, &frame).reason(), denied);
        let before = node.datapath.mark(A).ok_or("known")?;
        node.datapath.set_identity(A, own)?;
        let crossed = node.cross(A, &frame);
        assert_eq!(crossed.reason(), None);
        let seen = crossed.seen.last().ok_or("the verdict is told")?;
        assert_eq!((seen.source, seen.destination), (own, ID_B));
        // The mark of the shared identity is another's.
        assert_eq!(
            node.arrive(B, &frame, before).reason(),
            Some(DropReason::INVALID_IDENTITY)
        );
        // With the host's address it is known by its mark alone.
        let host: std::net::IpAddr = "10.0.0.254".parse()?;
        node.datapath.upsert_prefix(host.into(), IdentityId::HOST)?;
        let mark = node.datapath.mark(A).ok_or("known")?;
        let disguised = Frame::udp(at(host, 53), at(v4(B), 53));
        assert_eq!(node.arrive(B, &disguised, mark).reason(), None);
        node.datapath.clear_flows()?;
        assert_eq!(node.arrive(B, &disguised, before).reason(), denied);
        Ok(())
    })
}

pub(crate) fn strange_specs_are_refused(loader: Loader) -> Outcome {
    open(loader, |node| {
        let before = node.datapath.endpoints();
        let spec = node.spec(A);
        let again = node.datapath.add_endpoint(spec.clone());
        assert!(matches!(again, Err(AttachError::Duplicate(id)) if id == A));
        node.datapath.remove_endpoint(B)?;
        let other = EndpointSpec {
            id: B,
            ifindex: node.devices[1],
            ..spec.clone()
        };
        let taken = node.datapath.add_endpoint(other.clone());
        assert!(
            matches!(taken, Err(AttachError::AddressTaken(_))),
            "{taken:?}"
        );
        let wide = EndpointSpec {
            identity: IdentityId::new(1 << 25),
            ..node.spec(B)
        };
        let wide = node.datapath.add_endpoint(wide);
        assert!(matches!(wide, Err(AttachError::Identity(_))), "{wide:?}");
        let two = EndpointSpec {
            addresses: vec![v4(B), "10.0.0.3".parse()?],
            ..node.spec(B)
        };
        let two = node.datapath.add_endpoint(two);
        assert!(matches!(two, Err(AttachError::Addresses)), "{two:?}");
        let gone = EndpointSpec {
            ifindex: 0x7fff_fff0,
            ..node.spec(B)
        };
        let gone = node.datapath.add_endpoint(gone);
        assert!(
            matches!(gone, Err(AttachError::NoDevice { .. })),
            "{gone:?}"
        );
        // What was begun was taken back: the address is free, and A is as it was.
        let after = node.datapath.endpoints();
        assert_eq!(after.first(), before.first());
        assert_eq!(after.len(), 1);
        node.add(B)?;
        Ok(())
    })
}

pub(crate) fn lease_ends(loader: Loader) -> Outcome {
    open(loader, |node| {
        let frame = Frame::udp(at(v4(A), 53), at(v4(B), 53));
        let now = porin_datapath::sys::monotonic();
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let hour = std::time::Duration::from_secs(3600);
        node.datapath.set_lease(A, Some(nanos(now + hour)))?;
        assert_eq!(node.leave(A, &frame).reason(), None);
        node.datapath.set_lease(A, Some(1))?;
        assert_eq!(
            node.leave(A, &frame).reason(),
            Some(DropReason::LEASE_EXPIRED)
        );
        node.datapath.set_lease(A, None)?;
        assert_eq!(node.leave(A, &frame).reason(), None);
        Ok(())
    })
}

/// A packet that was given the host's address on its way is still its sender's.
pub(crate) fn masquerade_is_no_disguise(loader: Loader) -> Outcome {
    open(loader, |node| {
        let host: std::net::IpAddr = "10.0.0.254".parse()?;
        node.datapath
            .upsert_prefix(ipnet::IpNet::from(host), IdentityId::HOST)?;
        let own = entry(
            Direction::Ingress,
            IdentityId::HOST,
            ANY_PORT,
            EntryAction::Allow,
            20,
        );
        node.datapath
            .install(&[(B, &[own].into_iter().collect())])?;
        let frame = Frame::udp(at(host, 53), at(v4(B), 53));
        assert_eq!(node.arrive(B, &frame, 0).reason(), None);
        let mark = node.datapath.mark(A).ok_or("known")?;
        let disguised = node.arrive(B, &frame, mark);
        assert_eq!(disguised.reason(), Some(DropReason::POLICY_DENIED));
        assert_eq!(disguised.seen.first().map(|seen| seen.source), Some(ID_A));
        assert_eq!(node.arrive(B, &frame, 0).reason(), None);
        Ok(())
    })
}

/// Another endpoint at a device: the programs stay, nothing is inherited, and
/// one that cannot be leaves the old one as it was.
pub(crate) fn a_replacement_has_no_gap(loader: Loader) -> Outcome {
    open(loader, |node| {
        let forth = |from| Frame::udp(at(from, 53), at(v4(B), 53));
        let old = forth(v4(A));
        assert_eq!(node.cross(A, &old).reason(), None);
        let two = vec![v4(A), "10.0.0.9".parse()?];
        for (identity, addresses) in [
            (ID_A, two),
            (ID_A, vec![v4(B)]),
            (IdentityId::UNKNOWN, vec![v4(A)]),
        ] {
            assert!(
                node.datapath
                    .replace_endpoint(A, identity, addresses)
                    .is_err()
            );
            let running = node.cross(A, &old);
            assert_eq!((running.reason(), running.seen.len()), (None, 0));
        }
        let mark = node.datapath.mark(A).ok_or("known")?;
        // More often than there are slots.
        for low in 10..30 {
            let own = std::net::IpAddr::from([10, 0, 0, low]);
            node.datapath.replace_endpoint(A, ID_A, vec![own])?;
            assert_eq!(
                node.leave(A, &forth(own)).reason(),
                Some(DropReason::NOT_READY)
            );
            assert!(node.datapath.set_ready(A).is_err(), "it has no policy");
            node.datapath.install(&[(A, &everything(17))])?;
            node.datapath.set_ready(A)?;
            assert_eq!(
                node.leave(A, &old).reason(),
                Some(DropReason::INVALID_SOURCE_IP)
            );
            let passed = node.cross(A, &forth(own));
            assert_eq!((passed.reason(), passed.seen.len()), (None, 2));
            // The address it had is nobody's, and its own is its alone.
            assert_eq!(node.arrive(B, &old, mark).reason(), None);
            assert_eq!(
                node.arrive(B, &forth(own), 0).reason(),
                Some(DropReason::INVALID_SOURCE_IP)
            );
        }
        assert_eq!(node.datapath.endpoints().len(), 2);
        node.datapath.remove_endpoint(A)?;
        node.add(A)?;
        Ok(())
    })
}

/// Behind a link-local address there is the host, whatever the world may.
pub(crate) fn a_link_local_address_is_the_host(loader: Loader) -> Outcome {
    open(loader, |node| {
        let world = [Direction::Egress, Direction::Ingress].map(|direction| {
            let world = IdentityId::WORLD_IPV6;
            entry(direction, world, ANY_PORT, EntryAction::Allow, 20)
        });
        node.datapath
            .install(&[(A, &world.into_iter().collect())])?;
        let (link, far) = ("fe80::1".parse()?, "2001:db8::1".parse()?);
        let forth = |to| Frame::udp(at(v6(A), 53), at(to, 53));
        assert_eq!(node.leave(A, &forth(far)).reason(), None);
        let left = node.leave(A, &forth(link));
        assert_eq!(left.reason(), Some(DropReason::POLICY_DENIED));
        let arrived = node.arrive(A, &Frame::udp(at(link, 9), at(v6(A), 9)), 0);
        assert_eq!(arrived.reason(), Some(DropReason::POLICY_DENIED));
        let host = [left, arrived].map(|judged| judged.seen.first().cloned());
        assert!(matches!(&host, [Some(left), Some(arrived)]
            if left.destination == IdentityId::HOST && arrived.source == IdentityId::HOST));
        Ok(())
    })
}
