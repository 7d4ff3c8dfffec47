//! Questions about policies in a world: who exists, what may they do, why, and what would change.
//!
//! A [`Census`] gives numbers to everybody in a [`World`](crate::World) (and in the policies that
//! are asked about); a [`Model`] is a policy set in that census, ready to be asked:
//!
//! | question | answer |
//! |---|---|
//! | [`Model::judge`], [`Model::explain`] | one connection, both sides, and why |
//! | [`Model::exposure`] | who may use which port of a workload, and what it may use |
//! | [`diff`] | what becomes allowed, denied, wider or narrower between two sets |
//! | [`Model::replay`] | which recorded flows would be judged differently |
//! | [`Expectation`] | whether the policies do what their authors expect |
//! | [`suggest`] | the least policies that allow recorded flows |

mod census;
mod count;
mod diff;
mod error;
mod expectation;
mod exposure;
mod model;
mod outcome;
mod party;
mod place;
mod port_class;
mod read_expectation;
mod recorded;
mod replay;
mod suggest;
mod tested;

pub use census::Census;
pub use diff::{Change, Effect, diff};
pub use error::AskError;
pub use expectation::{Expectation, ExpectedPort, ExpectedRequest};
pub use exposure::{Exposure, Grant, Reach};
pub use model::{Connection, Model, Sides};
pub use outcome::{Breadth, Outcome};
pub use party::{Party, PartyKind};
pub use port_class::PortClass;
pub use recorded::{Recorded, RecordedEnd, Unjudged};
pub use replay::{Fate, Replayed};
pub use suggest::{
    Chosen, ChosenCluster, Remark, SuggestedPeers, SuggestedPolicy, SuggestedRule, Suggestion,
    suggest,
};
pub use tested::Tested;
