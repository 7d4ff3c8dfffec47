//! Real peers: small programs of ours around the unmodified thing that we compare with.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    failure::Failure,
    workspace::{Workspace, succeed},
};

/// Cilium's own policy engine: answers cases, and measures itself.
#[derive(Debug)]
pub(crate) struct CiliumPolicy {
    program: PathBuf,
}

impl CiliumPolicy {
    /// Builds it.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self, Failure> {
        let folder = workspace.target().join("peers");
        fs::create_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
        let program = folder.join("cilium-policy");
        eprintln!("xtask: building Cilium's policy engine (minutes, the first time)");
        let mut go = Command::new("go");
        go.current_dir(workspace.root().join("benches/peers/cilium-policy"));
        succeed(go.args(["build", "-o"]).arg(&program).arg(".")).map_err(|failure| {
            Failure::new(format!("{failure}; the peer needs Go 1.26 or later"))
        })?;
        Ok(Self { program })
    }

    /// The command that prints figures with our ids, one JSON object a line.
    pub(crate) fn bench(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("bench");
        command
    }

    /// Has it answer every case of a file, each so many times, into another file.
    pub(crate) fn answer(&self, asked: &Path, answered: &Path, rounds: u32) -> Result<(), Failure> {
        let open = |file: std::io::Result<File>, path: &Path| {
            file.map_err(|error| Failure::io(path.display(), &error))
        };
        let mut command = Command::new(&self.program);
        command
            .args(["answer", "-rounds", &rounds.to_string()])
            .stdin(open(File::open(asked), asked)?)
            .stdout(open(File::create(answered), answered)?);
        succeed(&mut command)
    }
}
