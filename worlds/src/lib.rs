//! Random worlds of policies, identities and questions, the same for the same seed.
//!
//! A world is a JSON object in the format of the policy cases under `vectors/`, without answers:
//! settings, documents of every policy language (as texts, and once more as objects), identities, a
//! subject, and flows to be asked about. It depends on no engine, so whoever answers is told nothing about the others.
//!
//! ```
//! let world = porin_worlds::world(7, 0, 60);
//! assert_eq!(world["name"], "world-7-0");
//! assert_eq!(world, porin_worlds::world(7, 0, 60));
//! assert_ne!(world["policies"], porin_worlds::world(7, 1, 60)["policies"]);
//! ```

mod admin;
mod block;
mod cilium;
mod cluster;
mod flow;
mod kubernetes;
mod l7;
mod mistake;
mod object;
mod peer;
mod people;
mod port;
mod random;
mod scene;
mod selector;
mod whole;
mod yaml;

pub use random::Random;
pub use scene::{whole_world, whole_world_of, world};
