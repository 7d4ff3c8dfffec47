//! Why a decision is what it is, and what little would have made it another.

mod explanation;
mod near_miss;
mod obstacle;

pub use explanation::{Candidate, Explanation};
pub(crate) use near_miss::Asked;
pub use near_miss::NearMiss;
pub use obstacle::Obstacle;
