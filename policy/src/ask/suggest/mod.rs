//! The least policies that allow recorded flows.

mod chosen;
mod need;
mod policy;
mod suggestion;
mod write;

pub use chosen::{Chosen, ChosenCluster};
pub use policy::{SuggestedPeers, SuggestedPolicy, SuggestedRule};
pub use suggestion::{Remark, Suggestion, suggest};
