//! The slow and obvious evaluator: straight from documents and labels, for tests and fuzzing.
//!
//! It walks every rule for every question, keeps nothing, and shares no deciding code with the
//! rest of the crate, so that agreement between the two means something. The steps of an answer:
//!
//! 1. `subject`, `speaking`: which specs select the subject, and what they switch on.
//! 2. `statement`, `implied`: what their rules say about one written port of one selector (`peers`,
//!    `entities`, `services`, `scope`, `picks`; `ports`; `terms`), and what goes without saying.
//! 3. `merge`, `join`: what rules with one selector and one written port say together; `clash`: why
//!    they cannot.
//! 4. `verdict`: which of all that covers the flow decides.
//!    `wildcard`: whom everybody is, once it has been taken for CIDR groups.
//! 5. `choice`: where the flow goes and what it has to prove; `content`: what a proxy is told.

mod choice;
mod clash;
mod content;
mod entities;
mod evaluator;
mod implied;
mod join;
mod merge;
mod peers;
mod picks;
mod ports;
mod scope;
mod services;
mod speaking;
mod statement;
mod subject;
mod terms;
mod verdict;
mod wildcard;

pub use evaluator::{Answer, Reference};
