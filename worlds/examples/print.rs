//! Prints worlds as JSON lines: `cargo run -p porin-worlds --example print SEED FIRST COUNT`.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = |default| numbers.next().unwrap_or(Ok(default));
    let (seed, first, count) = (next(1)?, next(0)?, next(10)?);
    for number in first..first + count {
        println!("{}", porin_worlds::world(seed, number, 60));
    }
    Ok(())
}
