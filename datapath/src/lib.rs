//! Kernel enforcement.

pub mod error;
pub mod sys;
