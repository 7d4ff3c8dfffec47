//! Findings: what a set of valid policies will do that their authors most likely did not mean.
//!
//! Every code has a file of its own; `docs/lint.md` shows each with a bad and a good example.
//! A finding names the place, the reason, what else it hangs together with and, where that is safe
//! without knowing what was meant, an edit that makes it disappear. Edits never widen what a policy
//! allows, with two exceptions that say so: PL002 points a rule at the peer it misses, PL005 asks
//! for presence where nothing could match.
//!
//! Lints work on clauses (one port element of one rule), whose subjects are numbered: only clauses
//! that guard all whom another guards are ever compared with it.

mod clause;
mod code;
mod cover;
mod cover_l7;
mod edit;
mod expression;
mod finding;
mod isolation;
mod people;
mod pl001;
mod pl002;
mod pl003;
mod pl004;
mod pl005;
mod pl006;
mod pl010;
mod pl011;
mod pl012;
mod pl013;
mod pl014;
mod pl015;
mod pl016;
mod pl017;
mod pl018;
mod pl019;
mod pl020;
mod pl021;
mod pl022;
mod pl023;
mod pl024;
mod pl025;
mod pl026;
mod pl027;
mod pl028;
mod pl029;
mod pl030;
mod pl031;
mod pl032;
mod pl033;
mod prune;
mod registry;
mod replaced;
mod shadow;
mod side;

pub use code::{Code, Level};
pub(crate) use cover_l7::covers;
pub use finding::{Edit, Finding, Related, Suggestion};
pub use registry::lint;
