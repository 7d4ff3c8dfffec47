//! Every law, in a few worlds.

use porin_laws::{Broken, World, disagreements};
use porin_worlds::Random;

const SEED: u64 = 1;

fn worlds() -> std::ops::Range<u64> {
    let asked = |name| std::env::var(name).ok()?.parse().ok();
    let first = asked("FIRST").unwrap_or(0);
    first..first + asked("WORLDS").unwrap_or(100)
}

#[test]
fn engines_agree() -> Result<(), Broken> {
    let mut found = 0;
    for number in worlds() {
        let world = World::random(SEED, number, 60)?;
        for broken in disagreements(&world)?.iter().take(2) {
            println!("{number}: {broken}");
            found += 1;
        }
    }
    assert_eq!(found, 0);
    Ok(())
}

#[test]
fn history_leaves_no_trace() -> Result<(), Broken> {
    for number in worlds() {
        let world = World::random(SEED, number, 20)?;
        porin_laws::history_leaves_no_trace(&world, &mut Random::new(number))
            .map_err(|broken| Broken::of(format!("world {number}: {broken}")))?;
    }
    Ok(())
}

#[test]
#[ignore = "shows worlds"]
fn show() -> Result<(), Broken> {
    for number in worlds() {
        let world = porin_worlds::whole_world(SEED, number, 60);
        let found = disagreements(&World::read(&world)?)?;
        let Some(first) = found.first() else {
            continue;
        };
        let text = first.to_string();
        let kind = |text: &str| {
            text.split(' ')
                .filter(|word| {
                    word.contains(':')
                        || word.contains("Deny")
                        || word.contains("Allow")
                        || word.contains("false")
                })
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let fails = |world: &serde_json::Value| {
            World::read(world)
                .and_then(|world| disagreements(&world))
                .is_ok_and(|found| {
                    found
                        .iter()
                        .any(|broken| kind(&broken.to_string()) == kind(&text))
                })
        };
        let small = porin_laws::smallest(&world, fails);
        println!("== {number} {}", small["config"]);
        for object in small["objects"].as_array().into_iter().flatten() {
            println!("   {object}");
        }
        println!("   {} {}", small["subject"], small["named_ports"]);
        for identity in small["identities"].as_array().into_iter().flatten() {
            println!("   {} {}", identity["id"], identity["labels"]);
        }
        for broken in disagreements(&World::read(&small)?)? {
            println!("   {broken}");
        }
    }
    Ok(())
}
