//! Labels, selectors, identities.
