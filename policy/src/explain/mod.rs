//! Why a decision is what it is, and what little would have made it another.

mod candidates;
mod explanation;
mod near_miss;
mod obstacle;

pub(crate) use candidates::weaker;
pub use explanation::{Candidate, Explanation, Weaker};
pub(crate) use near_miss::Asked;
pub use near_miss::NearMiss;
pub use obstacle::Obstacle;
