//! Policies and worlds from files, ready to be asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use porin::flow::Escaped;
use porin::identity::Families;
use porin::policy::ask::{Census, Connection, Model};
use porin::policy::{Options, PolicySet, Semantics, World};

use crate::args::{Inputs, Question};
use crate::failure::Failure;
use crate::input;

/// Reads policies and their world.
pub(crate) fn read(inputs: &Inputs) -> Result<Model, Failure> {
    let world = world(inputs.world.as_deref(), &inputs.policies)?;
    let set = load(&inputs.policies, inputs.semantics.into(), &world)?;
    let census = Arc::new(Census::new(&world, &[&set])?);
    Ok(Model::new(&set, &census)?)
}

/// The world that was given, or the one beside the policies.
pub(crate) fn world(given: Option<&Path>, policies: &[PathBuf]) -> Result<World, Failure> {
    input::world(given, policies)?.ok_or(Failure::NoWorld)
}

/// Reads a set of policies. Documents that are refused without being an error are reported on
/// standard error.
pub(crate) fn load(
    paths: &[PathBuf],
    semantics: Semantics,
    world: &World,
) -> Result<PolicySet, Failure> {
    let mut set = PolicySet::new(Options::new().semantics(semantics).families(Families::Dual));
    set.set_services(world.services.iter().cloned());
    let files = input::policies(paths)?;
    let report = set
        .load(files)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    for refused in &report.refused {
        eprintln!("porin-lab: {}", Escaped(&refused.to_string()));
    }
    Ok(set)
}

/// The connection that a question is about.
pub(crate) fn connection(model: &Model, asked: &Question) -> Result<Connection, Failure> {
    Ok(Connection {
        from: model.census().party(&asked.from)?,
        to: model.census().party(&asked.to)?,
        protocol: asked.protocol,
        port: asked.port,
    })
}
