//! The Rust mirrors of `bpf/abi.h` against the types in the embedded object (BTF).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    reason = "a test says by panicking that its subject is wrong"
)]

use std::collections::BTreeMap;
use std::mem::offset_of;

use porin_datapath::abi::{
    Abi, Address, Counter, Endpoint, Event, FlowBucket, FlowEntry, FlowEvent, FlowKey, Fragment,
    FragmentKey, Host, Node, Owner, PolicyEntry, PolicyKey, Prefix, Remote, Side, Totals,
};
use porin_datapath::object;

/// Size of a struct, and the bit offset of each of its members.
type Layout = (u32, BTreeMap<String, u32>);

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn wide(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes[at..at + 8].try_into().expect("eight bytes");
    usize::try_from(u64::from_le_bytes(bytes)).expect("fits")
}

/// A section of an ELF-64 file (System V ABI, chapter 4).
fn section<'a>(elf: &'a [u8], wanted: &str) -> &'a [u8] {
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let (table, entry, count, names) = (wide(elf, 0x28), half(0x3a), half(0x3c), half(0x3e));
    let header = |index: usize| table + index * entry;
    let names = wide(elf, header(names) + 0x18);
    (0..count)
        .map(header)
        .find(|at| text(&elf[names..], word(elf, *at)) == wanted)
        .map(|at| &elf[wide(elf, at + 0x18)..][..wide(elf, at + 0x20)])
        .expect("the section is there")
}

fn text(strings: &[u8], at: u32) -> &str {
    let tail = &strings[at as usize..];
    let end = tail.iter().position(|byte| *byte == 0).expect("an end");
    std::str::from_utf8(&tail[..end]).expect("text")
}

/// Every struct and union of the BTF (`Documentation/bpf/btf.rst`).
fn layouts(btf: &[u8]) -> BTreeMap<String, Layout> {
    let header = word(btf, 4) as usize;
    let types = &btf[header + word(btf, 8) as usize..][..word(btf, 12) as usize];
    let strings = &btf[header + word(btf, 16) as usize..];
    let mut found = BTreeMap::new();
    let mut at = 0;
    while at < types.len() {
        let (name, info, size) = (word(types, at), word(types, at + 4), word(types, at + 8));
        let (kind, members) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        at += 12;
        let extra = match kind {
            1 | 14 | 17 => 4,        // int, variable, tag
            3 => 12,                 // array
            4 | 5 => members * 12,   // struct, union
            6 | 13 => members * 8,   // enum, prototype
            15 | 19 => members * 12, // section, 64-bit enum
            _ => 0,
        };
        if matches!(kind, 4 | 5) {
            let offsets = (0..members).map(|index| {
                let member = at + index * 12;
                let name = text(strings, word(types, member)).to_owned();
                (name, word(types, member + 8))
            });
            found.insert(text(strings, name).to_owned(), (size, offsets.collect()));
        }
        at += extra;
    }
    found
}

/// Compares size and the offset of every field; a field that C has and Rust does not is a failure.
fn compare<T>(layouts: &BTreeMap<String, Layout>, name: &str, fields: &[(&str, usize)]) {
    let (size, members) = layouts.get(name).expect(name);
    assert_eq!(*size as usize, size_of::<T>(), "size of {name}");
    let mirrored: BTreeMap<String, u32> = fields
        .iter()
        .map(|(field, offset)| {
            (
                (*field).to_owned(),
                u32::try_from(offset * 8).expect("small"),
            )
        })
        .collect();
    assert_eq!(&mirrored, members, "fields of {name}");
}

macro_rules! mirrors {
    ($layouts:expr; $($rust:ident = $c:literal { $($field:ident $(as $name:literal)?),* })+) => {$(
        compare::<$rust>($layouts, $c, &[
            $((mirrors!(@name $field $($name)?), offset_of!($rust, $field))),*
        ]);
    )+};
    (@name $field:ident $name:literal) => { $name };
    (@name $field:ident) => { stringify!($field) };
}

#[test]
fn rust_mirrors_the_objects_types() {
    let layouts = layouts(section(object::BYTES, ".BTF"));
    assert_eq!(layouts["address"].0 as usize, size_of::<Address>());
    mirrors! { &layouts;
        Endpoint = "endpoint" { cell, lease, born, ifindex, id, identity, ipv4, ipv6, mac, direct }
        Host = "host" { own as "self", previous, deadline }
        Node = "node" {
            address_epoch, next_epoch, secret, born, overlay, tunnel_port, reserved
        }
        Remote = "remote" { prefixes, reserved }
        Abi = "abi" { version, reserved }
        Owner = "owner" { identity, flags }
        Prefix = "prefix" { length, address as "word" }
        PolicyKey = "policy_key" { length, identity, direction, protocol, port }
        PolicyEntry = "policy_entry" { precedence, cookie, action, parser, prefix, auth }
        FlowKey = "flow_key" { ends as "end", ports, protocol }
        Side = "side" { seal, stamp, cookie }
        FlowEntry = "flow" {
            key, sides as "side", state, opened, slots as "slot", handshake, bytes, packets
        }
        FlowBucket = "flow_bucket" { tags as "tag", expires, flows as "flow" }
        FragmentKey = "fragment_key" { source, destination, id, protocol }
        Fragment = "fragment" { ports, protocol, icmp_type, icmp_code, flags, seen }
        Event = "event" {
            time, source, destination, epoch, source_identity, destination_identity, endpoint,
            ifindex, cookie, length, source_port, destination_port, kind, direction, reason,
            match_kind as "match", protocol, tcp_flags, icmp_type, icmp_code, reply, family,
            reserved
        }
        Totals = "totals" { bytes, packets, age, handshake }
        FlowEvent = "flow_event" { event, totals }
        Counter = "counter" { packets, bytes }
    }
}

#[test]
fn rust_has_the_headers_numbers() {
    let header = include_str!("../bpf/abi.h");
    let number = |name: &str| {
        let line = header
            .lines()
            .find(|line| {
                line.trim_start()
                    .trim_start_matches("#define ")
                    .starts_with(name)
            })
            .unwrap_or_else(|| panic!("{name} is in the header"));
        let (code, _) = line.split_once("/*").unwrap_or((line, ""));
        let value = code
            .trim_end()
            .split([' ', '='])
            .filter(|word| !word.is_empty())
            .nth_back(0);
        let value = value.unwrap_or_default().trim_end_matches([',', 'U', 'L']);
        match value.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => value.parse(),
        }
        .unwrap_or_else(|_| panic!("{name} has a number: {line}"))
    };
    assert_eq!(number("PORIN_ABI"), porin_datapath::abi::VERSION);
    assert_eq!(number("MARK_MAGIC "), porin_datapath::abi::MARK_MAGIC);
    assert_eq!(number("SLOT_NONE"), porin_datapath::abi::SLOT_NONE);
    assert_eq!(number("COUNTERS"), porin_datapath::abi::COUNTERS);
    let tick = porin_datapath::abi::FLOW_CLOCK_SHIFT;
    assert_eq!(number("FLOW_CLOCK_SHIFT"), tick);
    assert_eq!(number("FLOW_AGE_SHIFT"), porin_datapath::abi::AGE_SHIFT);
    let handshake = porin_datapath::abi::HANDSHAKE_SHIFT;
    assert_eq!(number("FLOW_HANDSHAKE_SHIFT"), handshake);
    assert_eq!(number("EVENT_KINDS"), porin_datapath::abi::EVENT_KINDS);
    assert_eq!(
        number("CELL_TABLE_MASK"),
        porin_datapath::abi::TABLES_MAX - 1
    );
}

/// Every reason that the programs give has a name in the flow API.
#[test]
fn every_drop_reason_has_a_name() {
    let header = include_str!("../bpf/abi.h");
    let (_, reasons) = header.split_once("enum drop_reason {").expect("the enum");
    let (reasons, _) = reasons.split_once('}').expect("its end");
    let numbers = reasons.lines().filter_map(|line| {
        let (_, number) = line.trim().trim_end_matches(',').split_once(" = ")?;
        number.parse::<u8>().ok()
    });
    let unknown: Vec<_> = numbers
        .filter(|number| *number != 0)
        .filter(|number| porin_flow::DropReason::new(*number).name() == "DROP_REASON_UNKNOWN")
        .collect();
    assert_eq!(unknown, [] as [u8; 0]);
}
