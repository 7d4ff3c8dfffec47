//! Where the workspace lies, and how its commands are run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::failure::Failure;

/// The work tree this binary was started from.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Cargo names the package's folder; its parent is the root.
    pub(crate) fn locate() -> Result<Self, Failure> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .ok_or_else(|| Failure::new("start me as `cargo xtask TASK`"))?;
        let root = package
            .parent()
            .ok_or_else(|| Failure::new("the package `xtask` has no parent folder"))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where build results go.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |set| self.root.join(set))
    }

    /// `cargo` in the root folder, without what the outer cargo left in the environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let set_by_cargo = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
            });
            if set_by_cargo {
                command.env_remove(name);
            }
        }
        command
    }

    /// Packages, features and dependencies of the whole workspace.
    pub(crate) fn metadata(&self) -> Result<Metadata, Failure> {
        MetadataCommand::new()
            .current_dir(&self.root)
            .exec()
            .map_err(|error| Failure::new(format!("cargo metadata: {error}")))
    }

    /// Every file of the tree whose name ends in one of `endings`, sorted; build results left out.
    pub(crate) fn files(&self, endings: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| Failure::io(folder.display(), &error))?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let path = entry.path();
                if path.is_dir() {
                    if !name.starts_with('.') && name != "target" {
                        folders.push(path);
                    }
                } else if endings.iter().any(|ending| name.ends_with(ending)) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// A path as the reader of a message wants it: from the root.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::io(path.display(), &error))
}

/// Runs a command with its output on ours; a status other than 0 is a failure.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Failure> {
    let shown = show(command);
    let status = command
        .status()
        .map_err(|error| Failure::io(&shown, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{shown}`: {status}")))
    }
}

/// Runs a command and gives its standard output; its standard error goes to ours.
pub(crate) fn capture(command: &mut Command) -> Result<String, Failure> {
    let shown = show(command);
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| Failure::io(&shown, &error))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{shown}`: {}", output.status)));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::new(format!("`{shown}`: output is not UTF-8")))
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![
        program
            .file_name()
            .unwrap_or(command.get_program())
            .to_string_lossy()
            .into_owned(),
    ];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
