//! Identity-aware networking.

pub use porin_flow as flow;
pub use porin_identity as identity;
pub use porin_policy as policy;
#[cfg(feature = "datapath")]
pub use porin_datapath as datapath;
