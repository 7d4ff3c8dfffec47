use porin_worlds::{Random, whole_world};
use serde_json::Value;

use crate::Target;

/// The page whose examples show every part of the languages.
const LANGUAGES: &str = include_str!("../../docs/languages.md");

/// How many choices spell most worlds to their end.
const CHOICES: usize = 400;

/// Rules and requests of every protocol.
const CONTENT: [&str; 4] = [
    "r\nmGET|PUT\np/api/.*\nhshop\\.example\ntX-Key: 1\nfX-Env prod\nlX-Team a\nr\np/a\nGGET /api/1 shop.example\nGPUT /a -\nHX-Key 1\nHx-env prod\n",
    "kp - - orders\nkc 3 cli -\nk18 - - -\nK0 7 - orders stock\nK1 3 cli a\nK18 0 -\n",
    "nA.example.\nw*.example\nw**.corp.test\nw*\nQa.example\nQx.y.corp.test\nQ\n",
    "sshop.example\ns*.cdn.example\ns**.corp.test\nQa.cdn.example\nQshop.example.\n",
];

/// Inputs to start from, the same for the same seed.
#[must_use]
pub fn seeds(target: Target, seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    match target {
        Target::Print | Target::Parse => texts(seed, count),
        Target::Engines | Target::Deny | Target::History => {
            (0..count).map(|_| choices(&mut random)).collect()
        }
        Target::L7 => CONTENT.map(|text| text.as_bytes().to_vec()).into(),
    }
}

/// The examples of the page, then the documents of random worlds; each text is a file.
fn texts(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let blocks = LANGUAGES.split("```").skip(1).step_by(2);
    let examples = blocks.filter(|block| block.starts_with("yaml"));
    let examples = examples.filter_map(|block| Some(block.split_once('\n')?.1.to_owned()));
    let worlds = (0_u64..).flat_map(|number| policies(&whole_world(seed, number, 0)));
    examples
        .chain(worlds)
        .take(count)
        .map(String::into_bytes)
        .collect()
}

fn policies(world: &Value) -> Vec<String> {
    let texts = world
        .get("policies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Choices that spell a world.
fn choices(random: &mut Random) -> Vec<u8> {
    let count = random.between(1, CHOICES);
    let low = |choice: u64| u16::try_from(choice & 0xffff).unwrap_or(0);
    (0..count)
        .flat_map(|_| low(random.any()).to_le_bytes())
        .collect()
}
