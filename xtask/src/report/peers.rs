//! Real peers: small programs of ours around the unmodified thing that we compare with.

use std::{fs, path::PathBuf, process::Command};

use super::{Section, Values, measure};
use crate::{
    failure::Failure,
    workspace::{Workspace, succeed},
};

/// A built program that prints figures with our ids.
#[derive(Debug)]
pub(super) struct Peer {
    program: PathBuf,
}

/// Builds the peer of a section; `None` where there is none.
pub(super) fn build(workspace: &Workspace, section: Section) -> Result<Option<Peer>, Failure> {
    if section != Section::Policy {
        return Ok(None);
    }
    let folder = workspace.target().join("peers");
    fs::create_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
    let program = folder.join("cilium-policy");
    eprintln!("report: building Cilium's policy engine (minutes, the first time)");
    let mut go = Command::new("go");
    go.current_dir(workspace.root().join("benches/peers/cilium-policy"));
    succeed(go.args(["build", "-o"]).arg(&program).arg("."))
        .map_err(|failure| Failure::new(format!("{failure}; the peer needs Go 1.26 or later")))?;
    Ok(Some(Peer { program }))
}

impl Peer {
    /// Measures once and adds one value per figure.
    pub(super) fn run(&self, values: &mut Values) -> Result<(), Failure> {
        measure::lines(Command::new(&self.program).arg("bench"), values)
    }
}
