//! Kernel enforcement.

pub mod backend;
pub mod error;
pub mod link;
pub mod pin;
pub mod probe;
pub mod ring;
pub mod sys;
