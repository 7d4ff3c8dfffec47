//! A place for pins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use porin::datapath::probe::{Capability, Missing, lacking};
use porin::datapath::sys::{is_bpffs, mount_bpffs};

use super::error::NodeError;

/// The directory of pins, in a BPF file system.
#[derive(Debug)]
pub(crate) struct PinDirectory {
    path: PathBuf,
    fresh: bool,
}

/// A file beside the directory says that the mount is ours, and which directory above it is the
/// first that was made for it: for the process that comes after one that was killed.
const MARK: &str = ".mounted-by-porin-node";

impl PinDirectory {
    /// Makes the directory, and mounts a BPF file system on it where it lies in none.
    pub(crate) fn open(path: &Path) -> Result<Self, NodeError> {
        let failed = |source: io::Error| NodeError::Pins {
            path: path.to_owned(),
            source,
        };
        let refused = |error| NodeError::Mount {
            path: path.to_owned(),
            source: Box::new(error),
        };
        let present = first_present(path);
        let fresh = !is_bpffs(present).map_err(refused)?;
        if fresh {
            let lacking = lacking(&[Capability::SysAdmin]);
            if !lacking.is_empty() {
                return Err(NodeError::Privilege(Missing::Capabilities(lacking)));
            }
            let first_made = path
                .ancestors()
                .take_while(|above| *above != present)
                .last();
            fs::create_dir_all(path).map_err(failed)?;
            let made = first_made.map_or_else(String::new, |made| made.display().to_string());
            fs::write(mark(path), made).map_err(failed)?;
            mount_bpffs(path).map_err(refused)?;
        }
        Ok(Self {
            path: path.to_owned(),
            fresh,
        })
    }

    /// Where pins go.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Was it mounted just now, so that nobody else can have pinned anything in it?
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Takes away what [`PinDirectory::open`] made, once nothing is pinned any more.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let mark = mark(&self.path);
        let Ok(made) = fs::read_to_string(&mark) else {
            return gone(fs::remove_dir(&self.path));
        };
        umount2(&self.path, MntFlags::MNT_DETACH)?;
        fs::remove_file(mark)?;
        let ours = |above: &&Path| !made.is_empty() && above.starts_with(&made);
        self.path
            .ancestors()
            .take_while(ours)
            .try_for_each(|above| gone(fs::remove_dir(above)))
    }
}

fn mark(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{MARK}-{name}"))
}

/// The path itself, or the lowest directory above it that exists.
fn first_present(path: &Path) -> &Path {
    path.ancestors()
        .find(|above| above.exists())
        .unwrap_or(Path::new("/"))
}

/// A directory that is gone already, or that others use too, is no failure.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
