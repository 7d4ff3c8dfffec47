//! Frames that no device here makes, at the hooks where the host is judged.

use std::net::{IpAddr, SocketAddr, TcpListener};

use ipnet::IpNet;
use porin_datapath::{Frame, Hook, HostSpec, Loader};
use porin_flow::{DropReason, EndpointId, TcpFlags};
use porin_identity::IdentityId;
use porin_policy::{Direction, EntryAction, MapState, PortPrefix, Protocol};
use porin_testbed::suite::Outcome;

use crate::node::{A, ANY_PORT, B, Node, at, entry, nothing, open, v4, v6};

/// The host's number; its device is that of B, which is no endpoint here.
const HOST: EndpointId = EndpointId::new(99);
const DENIED: Option<DropReason> = Some(DropReason::POLICY_DENIED);

fn host(v4: bool) -> IpAddr {
    match v4 {
        true => [192, 0, 2, 1].into(),
        false => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    }
}

fn world(v4: bool) -> IpAddr {
    match v4 {
        true => [198, 51, 100, 7].into(),
        false => [0x2001, 0xdb8, 7, 0, 0, 0, 0, 7].into(),
    }
}

/// A node whose host may do nothing at the second device.
fn shut(loader: Loader, body: impl FnOnce(&mut Node) -> Outcome + Send) -> Outcome {
    open(loader, |node| {
        node.datapath.remove_endpoint(B)?;
        let own = [true, false].map(|v4| (IpNet::from(host(v4)), Some(IdentityId::HOST)));
        node.datapath.apply_prefixes(&own)?;
        let spec = HostSpec {
            id: HOST,
            devices: [node.devices[1]].into(),
        };
        node.datapath.attach_host(&spec, &nothing(), None)?;
        body(node)
    })
}

fn comes(node: &mut Node, frame: &Frame) -> Option<DropReason> {
    node.judge(Hook::FromNetwork, B, frame.bytes(), 0).reason()
}

fn goes(node: &mut Node, frame: &Frame, mark: u32) -> Option<DropReason> {
    node.judge(Hook::ToNetwork, B, frame.bytes(), mark).reason()
}

/// A pod's flow that leaves under the host's address, and everything that comes back on it.
pub(crate) fn masquerade(loader: Loader) -> Outcome {
    shut(loader, |node| {
        let mark = node.datapath.mark(A).ok_or("no mark")?;
        for family in [true, false] {
            let (own, far) = (at(host(family), 40_000), at(world(family), 443));
            let out = Frame::tcp(own, far, TcpFlags::SYN);
            let back = Frame::tcp(far, own, TcpFlags::SYN | TcpFlags::ACK);
            assert_eq!(comes(node, &back), DENIED, "nobody asked");
            assert_eq!(goes(node, &out, 0), DENIED, "the host itself");
            assert_eq!(comes(node, &back), DENIED);
            assert_eq!(goes(node, &out, mark), None, "the pod");
            assert_eq!(comes(node, &back), None);
            let other = Frame::tcp(far, at(own.ip(), 40_001), TcpFlags::SYN);
            assert_eq!(comes(node, &other), DENIED, "another flow");
            let begun = Frame::tcp(at(far.ip(), 443), own, TcpFlags::SYN);
            let judged = node.judge(Hook::FromNetwork, B, begun.bytes(), 0);
            assert!(judged.passed, "NAT alone knows whose it is");
            // A router on the way says that the pod's packet is too big.
            let kind = if family { 3 } else { 2 };
            let code = if family { 4 } else { 0 };
            let quote = [&[0; 4], out.packet()].concat();
            let router = if family { v4(B) } else { v6(B) };
            let too_big = |quote: &[u8]| Frame::icmp(router, own.ip(), kind, code, quote);
            assert_eq!(comes(node, &too_big(&quote)), None);
            let other = Frame::tcp(own, at(far.ip(), 444), TcpFlags::SYN);
            let stray = too_big(&[&[0; 4], other.packet()].concat());
            assert!(comes(node, &stray).is_some());
            // A new policy of the host says nothing about the pod.
            node.datapath.install_host(&nothing(), None)?;
            assert_eq!(comes(node, &back), None);
        }
        Ok(())
    })
}

/// Nobody behind the host opens a port of the host by sending from its number.
pub(crate) fn masquerade_opens_no_socket(loader: Loader) -> Outcome {
    shut(loader, |node| {
        let mark = node.datapath.mark(A).ok_or("no mark")?;
        let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        let own = at(host(true), listener.local_addr()?.port());
        let far = at(world(true), 443);
        let out = Frame::tcp(own, far, TcpFlags::SYN);
        assert_eq!(goes(node, &out, mark), None);
        let back = Frame::tcp(far, own, TcpFlags::SYN);
        assert_eq!(comes(node, &back), DENIED);
        drop(listener);
        assert_eq!(comes(node, &back), None);
        Ok(())
    })
}

/// What is not for the host passes on to its own hook; what nobody forwards is for the host.
pub(crate) fn whose_matter(loader: Loader) -> Outcome {
    shut(loader, |node| {
        let far = at(world(true), 1000);
        let to_pod = Frame::udp(far, at(v4(A), 53));
        assert_eq!(comes(node, &to_pod), None, "an endpoint's");
        for address in [[203, 0, 113, 9], [224, 0, 0, 251], [255, 255, 255, 255]] {
            let frame = Frame::udp(far, at(address.into(), 53));
            assert_eq!(comes(node, &frame), DENIED, "{address:?}");
        }
        let forged = Frame::udp(at(v4(A), 1000), at(host(true), 53));
        let reason = Some(DropReason::INVALID_SOURCE_IP);
        assert_eq!(comes(node, &forged), reason);
        assert_eq!(
            goes(node, &to_pod, node.datapath.mark(A).unwrap_or(0)),
            None
        );
        Ok(())
    })
}

/// What a link needs passes under any policy, and nothing that only looks like it.
pub(crate) fn link_matters(loader: Loader) -> Outcome {
    shut(loader, |node| {
        for kind in [0x0806, 0x8809, 0x888e, 0x88cc] {
            let frame = Frame::ethernet(kind, &[0; 46]);
            assert_eq!(comes(node, &frame), None, "{kind:x}");
            assert_eq!(goes(node, &frame, 0), None, "{kind:x}");
        }
        for kind in [0x8100, 0x88a8, 0x0026] {
            let frame = Frame::ethernet(kind, &[0; 46]);
            let reason = Some(DropReason::UNSUPPORTED_L2_PROTOCOL);
            assert_eq!(comes(node, &frame), reason, "{kind:x}");
        }
        let reason = Some(DropReason::UNSUPPORTED_L3_PROTOCOL);
        assert_eq!(comes(node, &Frame::ethernet(0x8847, &[0; 46])), reason);
        let near: IpAddr = [0xfe80, 0, 0, 0, 0, 0, 0, 2].into();
        let mut question = Frame::icmp(near, host(false), 135, 0, &[0; 20]);
        let hops = 14 + 7;
        for (limit, expected) in [(255, None), (64, DENIED)] {
            question.bytes_mut()[hops] = limit;
            assert_eq!(comes(node, &question), expected, "hop limit {limit}");
            assert_eq!(goes(node, &question, 0), expected, "hop limit {limit}");
        }
        Ok(())
    })
}

/// The host's policy, with the flows and the errors that belong to them.
pub(crate) fn host_flows(loader: Loader) -> Outcome {
    shut(loader, |node| {
        let dns = (Protocol::UDP, PortPrefix::exact(53));
        let ask: MapState = [entry(
            Direction::Egress,
            IdentityId::UNKNOWN,
            dns,
            EntryAction::Allow,
            5,
        )]
        .into_iter()
        .collect();
        node.datapath.install_host(&ask, None)?;
        let (own, far) = (at(host(true), 3000), at(world(true), 53));
        let (out, back) = (Frame::udp(own, far), Frame::udp(far, own));
        assert_eq!(comes(node, &back), DENIED);
        assert_eq!(goes(node, &out, 0), None);
        assert_eq!(comes(node, &back), None);
        let quote = [&[0; 4], out.packet()].concat();
        let error = Frame::icmp(far.ip(), own.ip(), 3, 3, &quote);
        assert_eq!(comes(node, &error), None);
        let all: MapState = [entry(
            Direction::Ingress,
            IdentityId::WORLD_IPV4,
            ANY_PORT,
            EntryAction::Allow,
            6,
        )]
        .into_iter()
        .collect();
        node.datapath.install_host(&all, None)?;
        assert_eq!(goes(node, &out, 0), DENIED, "judged anew");
        let begun = Frame::udp(at(world(true), 99), own);
        assert_eq!(comes(node, &begun), None);
        assert_eq!(goes(node, &Frame::udp(own, at(world(true), 99)), 0), None);
        Ok(())
    })
}
