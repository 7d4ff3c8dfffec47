//! Network policies that name identities.
