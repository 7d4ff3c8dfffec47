//! `exposure`: who may use which port of a workload, and what the workload may use.

mod dot;
mod program;
mod run;
mod text;

pub(crate) use run::run;
