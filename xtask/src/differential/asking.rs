use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::case::{Compared, Told};
use crate::{
    failure::Failure,
    peers::CiliumPolicy,
    workspace::{Workspace, read, succeed},
};

/// What a file of cases is called, so that `porin-lab vectors` knows its kind.
pub(super) const FILE: &str = "policy-differential.jsonl";

/// Both who are asked, and where the questions lie meanwhile.
#[derive(Debug)]
pub(super) struct Asking {
    peer: CiliumPolicy,
    lab: PathBuf,
    engine: String,
    home: PathBuf,
    rounds: u32,
}

impl Asking {
    pub(super) fn build(
        workspace: &Workspace,
        home: &Path,
        rounds: u32,
        engine: &str,
    ) -> Result<Self, Failure> {
        let peer = CiliumPolicy::build(workspace)?;
        succeed(workspace.cargo().args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "porin-lab",
        ]))?;
        Ok(Self {
            peer,
            lab: workspace.target().join("release/porin-lab"),
            engine: engine.to_owned(),
            home: home.to_owned(),
            rounds,
        })
    }

    /// The worlds with the peer's answers.
    pub(super) fn peer(
        &self,
        place: &str,
        worlds: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Value>, Failure> {
        self.peer_often(place, worlds, self.rounds)
    }

    fn peer_often(
        &self,
        place: &str,
        worlds: impl IntoIterator<Item = Value>,
        rounds: u32,
    ) -> Result<Vec<Value>, Failure> {
        let folder = self.home.join(place);
        fs::create_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
        let asked = folder.join("asked.jsonl");
        let text: String = worlds
            .into_iter()
            .map(|world| format!("{world}\n"))
            .collect();
        fs::write(&asked, text).map_err(|error| Failure::io(asked.display(), &error))?;
        let answered = folder.join(FILE);
        self.peer.answer(&asked, &answered, rounds)?;
        lines(&read(&answered)?)
    }

    /// What our engine makes of answered cases, which lie where the peer put them.
    pub(super) fn ours(&self, place: &str, cases: Vec<Value>) -> Result<Vec<Compared>, Failure> {
        let folder = self.home.join(place);
        let mut lab = Command::new(&self.lab);
        lab.args(["vectors", "--engine", &self.engine, "--output", "json"]);
        let output = lab
            .arg(folder.join(FILE))
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| Failure::io(self.lab.display(), &error))?;
        if output.status.code() == Some(2) {
            return Err(Failure::new("porin-lab cannot answer"));
        }
        let told: Vec<Told> = lines(&String::from_utf8_lossy(&output.stdout))?;
        if told.len() != cases.len() {
            return Err(Failure::new(
                "porin-lab told of fewer cases than it was asked about",
            ));
        }
        fs::remove_dir_all(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
        let pairs = cases.into_iter().zip(told);
        Ok(pairs.map(|(case, told)| Compared { case, told }).collect())
    }

    /// One changed world, asked anew.
    pub(super) fn anew(&self, world: Value) -> Result<Option<Compared>, Failure> {
        let cases = self.peer("anew", [world])?;
        Ok(self.ours("anew", cases)?.pop())
    }

    /// The same world, the peer being asked so often that what varies shows it.
    pub(super) fn often(&self, world: Value) -> Result<Option<Value>, Failure> {
        Ok(self.peer_often("often", [world], 100)?.pop())
    }
}

fn lines<T: serde::de::DeserializeOwned>(text: &str) -> Result<Vec<T>, Failure> {
    let parse = |line| {
        serde_json::from_str(line).map_err(|error| Failure::new(format!("`{line:.80}`: {error}")))
    };
    text.lines().map(parse).collect()
}
