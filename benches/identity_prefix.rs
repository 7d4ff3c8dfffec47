//! What does it cost to find the longest prefix of an address among 65,281 of three lengths?

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use porin::identity::{Generation, IdentityId, OwnerId, PrefixEntry, PrefixTable, Source};
use porin_benches::settings;

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = PrefixTable::new();
    let mut number = 1 << 24;
    let mut add = |address: Ipv4Addr, length: u8| -> Result<(), Box<dyn Error>> {
        number += 1;
        let entry = PrefixEntry {
            identity: IdentityId::new(number),
            source: Source::Policy,
            owner: OwnerId::new(1),
            generation: Generation::new(1),
        };
        table.upsert(
            IpNet::V4(Ipv4Net::new(address, length)?),
            entry,
            Duration::ZERO,
        )?;
        Ok(())
    };
    add(Ipv4Addr::new(10, 0, 0, 0), 16)?;
    for third in 0..=254 {
        add(Ipv4Addr::new(10, 0, third, 0), 24)?;
        for fourth in 0..=254 {
            add(Ipv4Addr::new(10, 0, third, fourth), 32)?;
        }
    }
    // A step that is prime to the number of addresses visits them all, far apart.
    let mut turn = 0_u16;
    let mut next = || {
        turn = turn.wrapping_add(40_503);
        let [third, fourth] = turn.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, third, fourth))
    };
    let mut criterion = settings();
    criterion
        .benchmark_group("identity.prefix")
        .bench_function("prefixes=65281", |bencher| {
            bencher.iter(|| table.lookup(next()).is_some())
        });
    criterion.final_summary();
    Ok(())
}
