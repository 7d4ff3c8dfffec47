use std::borrow::Cow;
use std::str::from_utf8;

use porin_laws::{
    Broken, Random, World, any_text_is_read, content_is_judged, denials_only_deny, disagreements,
    history_leaves_no_trace, text_reads_as_printed,
};

use crate::memory::bounded;

/// What is fuzzed, one law each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// What is printed of a document reads as the document did.
    Print,
    /// Reference, compiled policy and table give one answer.
    Engines,
    /// A denial never lets more through.
    Deny,
    /// Documents and identities that come back leave no trace: neither in the hash of the set nor in
    /// the policy.
    History,
    /// Whatever stands in a file, it is read or refused: without a panic, within the bounds of
    /// memory, with a place inside the file, and without harm to its neighbours.
    Parse,
    /// Requests are judged as the rules about content say.
    L7,
}

/// How many flows are asked about in a world.
const FLOWS: usize = 40;

/// How many bytes spell the order of a history; the others spell its world.
const STEPS: usize = 64;

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Print,
        Self::Engines,
        Self::Deny,
        Self::History,
        Self::Parse,
        Self::L7,
    ];

    /// The target with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// The name of its program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Print => "policy_print",
            Self::Engines => "policy_engines",
            Self::Deny => "policy_deny",
            Self::History => "policy_history",
            Self::Parse => "policy_parse",
            Self::L7 => "policy_l7",
        }
    }

    /// The law, in a sentence.
    #[must_use]
    pub fn law(self) -> &'static str {
        match self {
            Self::Print => "parse, print, parse: the same document",
            Self::Engines => "reference = compiled policy = table",
            Self::Deny => "a denial more never lets more through",
            Self::History => "what is removed and added again restores hash and policy",
            Self::Parse => "any file is read or refused: no panic, bounded memory, right places",
            Self::L7 => "HTTP, Kafka, DNS and server names are judged as their rules say",
        }
    }

    /// The longest input worth trying, in bytes.
    #[must_use]
    pub fn max_len(self) -> usize {
        match self {
            Self::Print | Self::Parse => 8192,
            // A choice is two bytes, and few worlds need more than so many.
            Self::Engines | Self::Deny | Self::History => 2048,
            Self::L7 => 1024,
        }
    }

    /// Holds the law against an input.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(self, bytes: &[u8]) -> Result<(), Broken> {
        match self {
            Self::Print => printed(bytes),
            Self::Engines => match disagreements(&World::spelt(bytes, FLOWS)?)?
                .into_iter()
                .next()
            {
                None => Ok(()),
                Some(first) => Err(first),
            },
            Self::Deny => denials_only_deny(&World::spelt(bytes, FLOWS)?),
            Self::History => {
                let (steps, world) = bytes.split_at(bytes.len().min(STEPS));
                history_leaves_no_trace(&World::spelt(world, FLOWS)?, &mut Random::spelt(steps))
            }
            Self::Parse => {
                let text = text(bytes);
                bounded(&text)?;
                any_text_is_read(&text)
            }
            Self::L7 => content_is_judged(&text(bytes)),
        }
    }
}

/// What is no text spells a world, whose documents are then printed.
fn printed(bytes: &[u8]) -> Result<(), Broken> {
    match from_utf8(bytes) {
        Ok(text) => text_reads_as_printed(text),
        Err(_) => {
            let world = World::spelt(bytes, 0)?;
            world
                .policies
                .iter()
                .try_for_each(|text| text_reads_as_printed(text))
        }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Ends the process, so that libFuzzer keeps the input, unless the law holds.
pub fn hold(target: Target, bytes: &[u8]) {
    if let Err(broken) = target.check(bytes) {
        eprintln!("{}: {}: {broken}", target.name(), target.law());
        std::process::abort();
    }
}
