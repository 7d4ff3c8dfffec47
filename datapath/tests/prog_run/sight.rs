//! What an operator sees of the tables.

use std::mem::offset_of;

use porin_datapath::abi::FlowBucket;
use porin_datapath::object::Table;
use porin_datapath::{Counted, Frame, Loader};
use porin_flow::TcpFlags;
use porin_identity::IdentityId;
use porin_testbed::suite::{Failed, Outcome};

use crate::node::{A, B, Node, at, open, v4};

fn used(node: &Node, table: Table, of: Counted) -> Result<(u64, u64), Failed> {
    let all = node.datapath.pressure()?;
    let found = all.iter().find(|one| (one.table, one.of) == (table, of));
    let found = found.ok_or("the table has a pressure")?;
    assert!((0.0..=1.0).contains(&found.ratio()), "{found}");
    Ok((found.used, found.capacity))
}

/// Every entry counts while it is there, a flow while it lives.
pub(crate) fn pressure_is_what_is_held(loader: Loader) -> Outcome {
    // Two integers of a word are two places.
    assert_eq!(offset_of!(FlowBucket, tags) % 8, 0);
    open(loader, |node| {
        let entries = Counted::Entries;
        assert_eq!(used(node, Table::Endpoints, entries)?.0, 2);
        assert_eq!(used(node, Table::Addresses, entries)?.0, 4);
        assert_eq!(used(node, Table::Prefixes, entries)?.0, 0);
        assert_eq!(used(node, Table::Policies, entries)?.0, 1, "shared");
        let rules = node.datapath.policy(A)?.len() as u64;
        assert_eq!(used(node, Table::Policies, Counted::Fullest)?.0, rules);
        node.datapath
            .upsert_prefix("192.0.2.0/24".parse()?, IdentityId::new(300))?;
        node.datapath
            .upsert_prefix("192.0.2.9/32".parse()?, IdentityId::new(301))?;
        assert_eq!(used(node, Table::Addresses, entries)?.0, 5);
        assert_eq!(used(node, Table::Prefixes, entries)?.0, 1);
        assert_eq!(used(node, Table::Flows, entries)?, (0, 4096));
        for number in 0..40 {
            let frame = Frame::udp(at(v4(A), 1024 + number), at(v4(B), 53));
            assert!(node.cross(A, &frame).passed);
        }
        assert_eq!(used(node, Table::Flows, entries)?.0, 40);
        node.datapath.clear_flows()?;
        assert_eq!(used(node, Table::Flows, entries)?.0, 0);
        Ok(())
    })
}

/// The dump names what every table holds.
pub(crate) fn dump_names_what_is_held(loader: Loader) -> Outcome {
    open(loader, |node| {
        let (a, b) = (at(v4(A), 4000), at(v4(B), 80));
        assert!(node.cross(A, &Frame::tcp(a, b, TcpFlags::SYN)).passed);
        let forged = Frame::tcp(at(v4(B), 1), b, TcpFlags::SYN);
        assert!(!node.leave(A, &forged).passed);
        node.datapath
            .upsert_prefix("192.0.2.0/24".parse()?, IdentityId::new(300))?;
        let text = node.datapath.dump()?;
        for expected in [
            format!("{A} at device {}", node.devices[0]),
            format!("TCP {a} -> {b}; egress by rule"),
            "192.0.2.0/24 identity 300".to_owned(),
            "INVALID_SOURCE_IP: 1 packets".to_owned(),
            "policy table 1, of 2".to_owned(),
            "flows: 1 of 4096".to_owned(),
        ] {
            assert!(text.contains(&expected), "{expected} in\n{text}");
        }
        Ok(())
    })
}
