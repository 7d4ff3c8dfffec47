//! Kernel enforcement.
