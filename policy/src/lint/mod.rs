//! Findings: what a set of valid policies will do that their authors most likely did not mean.
//!
//! Every code has a file of its own; `docs/lint.md` shows each with a bad and a good example.
//! A finding names the place, the reason, what else it hangs together with, and an edit that
//! makes it disappear. Edits never widen what a policy allows, with two exceptions that say so:
//! PL002 points a rule at the peer it misses, PL005 asks for presence where nothing could match.

mod allow;
mod cover;
mod cover_l7;
mod edit;
mod finding;
mod pl001;
mod pl002;
mod pl003;
mod pl004;
mod pl005;
mod pl006;
mod prune;
mod registry;

pub use finding::{Code, Edit, Finding, Level, Related, Suggestion};
pub use registry::lint;
