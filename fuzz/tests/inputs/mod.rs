//! Seeds and changed seeds.

use porin_fuzz::{Target, seeds, words};
use porin_worlds::Random;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// Holds the law against so many inputs.
pub(crate) fn hold(target: Target, count: u64) {
    let seed = number("PORIN_SEED").unwrap_or(1);
    eprintln!("{}: PORIN_SEED={seed}", target.name());
    let mut random = Random::new(seed);
    let (seeds, words) = (seeds(target, seed, 100), words(target));
    for at in 0..count * number("PORIN_INPUTS").unwrap_or(1) {
        let mut bytes = random.pick(&seeds).unwrap().clone();
        for _ in 0..random.below(5) {
            change(&mut bytes, &seeds, &words, &mut random);
        }
        bytes.truncate(target.max_len());
        if let Err(broken) = target.check(&bytes) {
            let file = std::env::temp_dir().join(format!("{}-{seed}-{at}", target.name()));
            std::fs::write(&file, &bytes).unwrap();
            let repeat = format!(
                "cargo xtask fuzz {} --input {}",
                target.name(),
                file.display()
            );
            panic!("PORIN_SEED={seed}, input {at}: {broken}\n{repeat}");
        }
    }
}

/// One change of an input.
fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], random: &mut Random) {
    let start = random.below(bytes.len() + 1);
    let end = (start + random.below(40)).min(bytes.len());
    let byte = u8::try_from(random.below(256)).unwrap();
    let instead = match random.below(5) {
        0 => Vec::new(),
        1 => vec![byte],
        2 => bytes.get(start..end).unwrap().repeat(2),
        3 => random
            .pick(words)
            .copied()
            .unwrap_or_default()
            .as_bytes()
            .to_vec(),
        _ => {
            let other = random.pick(seeds).unwrap();
            let from = random.below(other.len() + 1);
            other
                .iter()
                .skip(from)
                .take(random.below(60))
                .copied()
                .collect()
        }
    };
    bytes.splice(start..end, instead);
}
