//! `test`: do the policies do what their authors expect?

mod junit;
mod run;

pub(crate) use run::run;
