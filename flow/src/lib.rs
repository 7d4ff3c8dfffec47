//! Flow records.
