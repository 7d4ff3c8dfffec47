//! What `cargo xtask fuzz` has to know: `list` names the targets, `prepare TARGET SEED FOLDER` writes
//! what a run starts from.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use porin_fuzz::{Target, seeds, words};

/// How many seeds a run starts from.
const SEEDS: usize = 300;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match &words[..] {
        ["list"] => {
            list();
            Ok(())
        }
        ["prepare", target, seed, folder] => prepare(target, seed, Path::new(folder)),
        _ => Err("usage: porin-fuzz list | prepare TARGET SEED FOLDER".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("porin-fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One target a line: its name, the longest input in bytes, its law.
fn list() {
    for target in Target::ALL {
        println!("{}\t{}\t{}", target.name(), target.max_len(), target.law());
    }
}

/// Writes `seeds/` and `words` in libFuzzer's format.
fn prepare(target: &str, seed: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let target = Target::named(target).ok_or_else(|| format!("no target `{target}`"))?;
    let into = folder.join("seeds");
    fs::create_dir_all(&into)?;
    for (number, bytes) in seeds(target, seed.parse()?, SEEDS).iter().enumerate() {
        fs::write(into.join(format!("{number:03}")), bytes)?;
    }
    let mut dictionary = String::new();
    for word in words(target) {
        let bytes: String = word.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\x{byte:02x}");
            text
        });
        writeln!(dictionary, "\"{bytes}\"")?;
    }
    Ok(fs::write(folder.join("words"), dictionary)?)
}
