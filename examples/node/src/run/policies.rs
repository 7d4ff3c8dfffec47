//! The directory of policies.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::error::NodeError;

/// A file of policies: its path and its text.
pub(crate) type PolicyFile = (String, String);

/// How long the directory must be quiet before it is read again: editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// A directory of policies that is being watched.
pub(crate) struct Directory {
    path: PathBuf,
    changes: Receiver<()>,
    changed: Option<Instant>,
    _watcher: RecommendedWatcher,
}

impl Directory {
    /// Begins to watch. Only then is the directory read, so that no change falls in between.
    pub(crate) fn watch(path: &Path) -> Result<Self, NodeError> {
        let failed = |source| NodeError::Watch {
            path: path.to_owned(),
            source,
        };
        let (sender, changes) = channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading is an event too, and ours. An error may hide a change.
                if event.is_ok_and(|event| event.kind.is_access()) {
                    return;
                }
                // The receiver is gone when the node stops; nobody wants to know then.
                let _ = sender.send(());
            })
            .map_err(failed)?;
        watcher
            .watch(path, RecursiveMode::NonRecursive)
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            changes,
            changed: None,
            _watcher: watcher,
        })
    }

    /// Has something changed, and has it been quiet since?
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        if self.changes.try_iter().count() > 0 {
            self.changed = Some(now);
        }
        let due = self
            .changed
            .is_some_and(|changed| now.duration_since(changed) >= QUIET);
        if due {
            self.changed = None;
        }
        due
    }

    /// The files `*.yaml`, `*.yml` and `*.json` of the directory, by name; no hidden ones, no
    /// subdirectories.
    pub(crate) fn read(&self) -> Result<Vec<PolicyFile>, NodeError> {
        read(&self.path).map_err(|source| NodeError::Policies {
            path: self.path.clone(),
            source,
        })
    }
}

fn read(directory: &Path) -> io::Result<Vec<PolicyFile>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().and_then(OsStr::to_str);
        let policy = matches!(extension, Some("yaml" | "yml" | "json"));
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if policy && !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| Ok((path.display().to_string(), fs::read_to_string(&path)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn a_directory_is_read_by_name_and_not_below() {
        let place = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.json", "c.yaml", ".d.yaml", "e.txt"] {
            fs::write(place.path().join(name), name).unwrap();
        }
        fs::create_dir(place.path().join("f.yaml")).unwrap();
        let files = read(place.path()).unwrap();
        let texts: Vec<&str> = files.iter().map(|(_, text)| &**text).collect();
        assert_eq!(texts, ["a.json", "b.yml", "c.yaml"]);
    }
}
