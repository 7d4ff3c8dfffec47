//! Which structure should a policy table have?
//!
//! Prints the time of one lookup, without that of an empty program, in a longest-prefix-match trie and
//! in a hash, for tables of four sizes: keys that are there, and keys that are not. A decision asks
//! twice, for the peer's identity and for any peer. Every number is a median over many keys; each
//! program asks for one key again and again, so the caches are warm.

use std::error::Error;

use porin::datapath::{
    Floor, TestPacket,
    abi::PolicyKey,
    sys::{
        Map, MapFlags, MapKind, MapShape, Program, TestInput, UpdateMode, bytes_of, thread_time,
    },
};
use porin_benches::is_smoke_run;
use porin_testbed::privileges;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SIZES: [u32; 4] = [10, 1_000, 10_000, 60_000];
/// Ports that are open to each identity.
const PORTS: u32 = 10;
const FRAME: [u8; 64] = [0; 64];

/// How long, and how often, is measured.
struct Patience {
    repeat: u32,
    keys: u32,
}

fn main() -> Result<()> {
    if let Err(missing) = privileges() {
        eprintln!("datapath_table: not measured: {missing}");
        return Ok(());
    }
    let patience = if is_smoke_run() {
        Patience {
            repeat: 10,
            keys: 1,
        }
    } else {
        Patience {
            repeat: 100_000,
            keys: 15,
        }
    };
    let packet = TestPacket {
        bytes: &FRAME,
        ifindex: 1,
        mark: 0,
    };
    println!("entries  trie hit  trie miss  hash hit  hash miss   (ns)");
    for size in SIZES {
        let (trie, hash) = (table(MapKind::LpmTrie, size)?, table(MapKind::Hash, size)?);
        let floor = Floor::load()?;
        let mut columns = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for number in 0..patience.keys {
            let there = key(number * 7 % size);
            // An identity that nobody has.
            let absent = PolicyKey {
                identity: 1 << 23 | number,
                ..there
            };
            let empty = floor.empty(&packet, patience.repeat)?.as_nanos() as f64;
            let asked = [
                (&trie, &there),
                (&trie, &absent),
                (&hash, &there),
                (&hash, &absent),
            ];
            for (column, (map, key)) in columns.iter_mut().zip(asked) {
                let took = lookup(map, key, patience.repeat)?;
                column.push((took - empty) / f64::from(patience.repeat));
            }
        }
        let [trie_hit, trie_miss, hash_hit, hash_miss] = columns.map(median);
        println!("{size:7}  {trie_hit:8.1}  {trie_miss:9.1}  {hash_hit:8.1}  {hash_miss:9.1}");
    }
    Ok(())
}

/// The entry of this number: identities spread as those of workloads are.
fn key(number: u32) -> PolicyKey {
    let identity = 256 + (number / PORTS).wrapping_mul(0x9e37_79b1) % 0x7f_ff00;
    let port = u16::try_from(8000 + number % PORTS).unwrap_or(0);
    PolicyKey {
        length: 64,
        identity,
        direction: 1,
        protocol: 6,
        port: port.to_be_bytes(),
    }
}

fn table(kind: MapKind, size: u32) -> Result<Map> {
    let shape = MapShape {
        kind,
        key_size: 12,
        value_size: 12,
        max_entries: size,
        flags: MapFlags::NO_PREALLOC,
    };
    let map = Map::create("table", &shape)?;
    for number in 0..size {
        map.update(bytes_of(&key(number)), &[1; 12], UpdateMode::Any)?;
    }
    Ok(map)
}

/// Nanoseconds of all of `repeat` lookups.
fn lookup(map: &Map, key: &PolicyKey, repeat: u32) -> Result<f64> {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes_of(key).chunks_exact(4)) {
        *word = u32::from_ne_bytes(bytes.try_into()?);
    }
    let program = Program::find("find", map, words)?;
    let input = TestInput {
        repeat,
        ..TestInput::new(&FRAME)
    };
    let start = thread_time();
    program.test_run(&input)?;
    Ok(thread_time().saturating_sub(start).as_nanos() as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
