//! A place for pins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use porin::datapath::sys::{is_bpffs, mount_bpffs};

use super::error::NodeError;

/// The directory of pins, in a BPF file system.
#[derive(Debug)]
pub(crate) struct PinDirectory {
    path: PathBuf,
    mounted: bool,
}

/// Says in the directory above that the mount below is ours, for the process that comes after one
/// that was killed.
const MARK: &str = ".mounted-by-porin-node";

impl PinDirectory {
    /// Makes the directory, and mounts a BPF file system on it where it lies in none.
    pub(crate) fn open(path: &Path) -> Result<Self, NodeError> {
        let failed = |source: io::Error| NodeError::Pins {
            path: path.to_owned(),
            source,
        };
        let mark = mark(path);
        fs::create_dir_all(path).map_err(failed)?;
        let refused = |error| NodeError::Mount {
            path: path.to_owned(),
            source: Box::new(error),
        };
        if !is_bpffs(path).map_err(refused)? {
            mount_bpffs(path).map_err(refused)?;
            fs::write(&mark, b"").map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            mounted: mark.exists(),
        })
    }

    /// Where pins go.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes away what [`PinDirectory::open`] made, once nothing is pinned any more.
    pub(crate) fn remove(self) -> io::Result<()> {
        if self.mounted {
            umount2(&self.path, MntFlags::MNT_DETACH)?;
            fs::remove_file(mark(&self.path))?;
        }
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn mark(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{MARK}-{name}"))
}
