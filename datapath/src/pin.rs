//! What outlives the process: maps and links pinned in a BPF file system.
//!
//! ```text
//! DIR/maps/NAME        every map that the programs use
//! DIR/links/ID-from    what is attached for an endpoint, from-endpoint …
//! DIR/links/ID-to      … and to-endpoint
//! DIR/links/group-ID-HOOK             what is attached to a group of processes
//! DIR/links/ROLE-IFINDEX-from, -to    the same of a device of the node; ROLE: host, overlay
//! ```
//!
//! A directory belongs to one process at a time: [`PinDir`] holds a lock on it,
//! which the kernel releases when the process ends, however it ends. Two
//! instances with two directories share nothing.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use porin_flow::EndpointId;

use crate::error::PinError;
use crate::sys::{self, CgroupHook, CgroupLink, Map, MapShape, TcxHook};

/// How the names of the links of groups begin.
const GROUP: &str = "group-";

/// What a device of the node itself is to the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The host is judged there.
    Host,
    /// The tunnels between nodes.
    Overlay,
}

impl Role {
    const ALL: [Self; 2] = [Self::Host, Self::Overlay];

    /// How the names of its links begin.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Host => "host-",
            Self::Overlay => "overlay-",
        }
    }
}

/// Where systems mount their BPF file system.
const USUAL: &str = "/sys/fs/bpf";

/// Where maps and links are pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pins {
    /// Nowhere: everything ends with the process.
    #[default]
    None,
    /// In this directory of a BPF file system; it is made if it does not exist.
    Dir(PathBuf),
}

/// A directory of pins, held by this process.
///
/// Dropping it leaves the pins where they are; [`remove`](Self::remove) takes them away.
#[derive(Debug)]
pub struct PinDir {
    root: PathBuf,
    lock: File,
}

impl Drop for PinDir {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child process that another thread is starting,
        // until that runs its program.
        let _ = self.lock.unlock();
    }
}

impl PinDir {
    /// Opens the directory, making it if it does not exist, and locks it.
    ///
    /// # Errors
    ///
    /// [`PinError::NotBpfFs`] if it would lie in another file system,
    /// [`PinError::InUse`] if another process holds it.
    pub fn open(root: &Path) -> Result<Self, PinError> {
        let existing = root.ancestors().find(|path| path.exists());
        let existing = existing.unwrap_or(Path::new("/"));
        if !sys::is_bpffs(existing).map_err(|source| PinError::Call {
            path: existing.to_owned(),
            source,
        })? {
            return Err(PinError::NotBpfFs(root.to_owned()));
        }
        make_dir(root)?;
        let lock = File::open(root).map_err(|source| failed(root, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PinError::InUse(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(root, source)),
        }
        make_dir(&root.join("maps"))?;
        make_dir(&root.join("links"))?;
        Ok(Self {
            root: root.to_owned(),
            lock,
        })
    }

    /// Opens the directory, and mounts a BPF file system first where there is
    /// none: at `/sys/fs/bpf`, the usual place, for a directory below it,
    /// otherwise at `root` itself. A mount stays when the pins are removed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); mounting needs `CAP_SYS_ADMIN`.
    pub fn open_mounted(root: &Path) -> Result<Self, PinError> {
        match Self::open(root) {
            Err(PinError::NotBpfFs(_)) => {}
            other => return other,
        }
        let place = if root.starts_with(USUAL) {
            Path::new(USUAL)
        } else {
            make_dir(root)?;
            root
        };
        sys::mount_bpffs(place).map_err(|source| PinError::Call {
            path: place.to_owned(),
            source,
        })?;
        Self::open(root)
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the map of this name is pinned.
    #[must_use]
    pub fn map_path(&self, name: &str) -> PathBuf {
        self.root.join("maps").join(name)
    }

    /// Where an endpoint's attachment is pinned: from-endpoint is at the
    /// ingress of the host's side of its link, to-endpoint at the egress.
    #[must_use]
    pub fn link_path(&self, endpoint: EndpointId, hook: TcxHook) -> PathBuf {
        let name = format!("{}-{}", endpoint.get(), side(hook));
        self.root.join("links").join(name)
    }

    /// Where what is attached at a device of the node is pinned.
    #[must_use]
    pub fn device_link_path(&self, role: Role, ifindex: u32, hook: TcxHook) -> PathBuf {
        let name = format!("{}{ifindex}-{}", role.prefix(), side(hook));
        self.root.join("links").join(name)
    }

    /// The pinned map of this name, if there is one, whatever its shape.
    ///
    /// # Errors
    ///
    /// If something that is not a map is there.
    pub fn map(&self, name: &str) -> Result<Option<Map>, PinError> {
        let path = self.map_path(name);
        match Map::from_pin(&path) {
            Ok(map) => Ok(Some(map)),
            Err(error) if error.is(libc::ENOENT) => Ok(None),
            Err(source) => Err(PinError::Call { path, source }),
        }
    }

    /// The pinned map of this name, if there is one and it is of this shape.
    ///
    /// # Errors
    ///
    /// [`PinError::Incompatible`] if it is of another shape: it is neither
    /// used nor replaced.
    pub fn map_of(&self, name: &str, shape: &MapShape) -> Result<Option<Map>, PinError> {
        let map = self.map(name)?;
        if let Some(map) = &map {
            map.verify(shape).map_err(|source| PinError::Incompatible {
                path: self.map_path(name),
                source,
            })?;
        }
        Ok(map)
    }

    /// Pins a map under this name.
    ///
    /// # Errors
    ///
    /// If the name is taken, or the kernel refuses.
    pub fn pin_map(&self, name: &str, map: &Map) -> Result<(), PinError> {
        let path = self.map_path(name);
        map.pin(&path)
            .map_err(|source| PinError::Call { path, source })
    }

    /// The names of all pinned maps, in order.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn map_names(&self) -> Result<Vec<String>, PinError> {
        names(&self.root.join("maps"))
    }

    /// The endpoints of all pinned attachments, in order.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn links(&self) -> Result<Vec<(EndpointId, TcxHook)>, PinError> {
        let names = names(&self.root.join("links"))?;
        let mut links: Vec<_> = names.iter().filter_map(|name| parse_link(name)).collect();
        links.sort_unstable_by_key(|(endpoint, hook)| (endpoint.get(), *hook));
        Ok(links)
    }

    /// The devices of the node at which something is pinned in this role.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn device_links(&self, role: Role) -> Result<BTreeSet<u32>, PinError> {
        let names = names(&self.root.join("links"))?;
        let of_role = names
            .iter()
            .filter_map(|name| name.strip_prefix(role.prefix()));
        Ok(of_role
            .filter_map(|name| name.split_once('-')?.0.parse().ok())
            .collect())
    }

    /// Where what is attached to a group of processes is pinned.
    #[must_use]
    pub fn group_link_path(&self, group: EndpointId, hook: CgroupHook) -> PathBuf {
        let name = format!("{GROUP}{}-{}", group.get(), cgroup_hook(hook));
        self.root.join("links").join(name)
    }

    /// The groups of which something is pinned.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn group_links(&self) -> Result<BTreeSet<EndpointId>, PinError> {
        let names = names(&self.root.join("links"))?;
        let of_group = names.iter().filter_map(|name| name.strip_prefix(GROUP));
        let numbers = of_group.filter_map(|name| name.split_once('-')?.0.parse().ok());
        Ok(numbers.map(EndpointId::new).collect())
    }

    /// Takes what is pinned of a group off its hooks and out of the directory.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or a file cannot be removed.
    pub fn discard_group(&self, group: EndpointId) -> Result<(), PinError> {
        for (_, hook) in crate::object::GROUP {
            let path = self.group_link_path(group, hook);
            if let Ok(link) = CgroupLink::from_pin(&path) {
                link.detach().map_err(|source| PinError::Call {
                    path: path.clone(),
                    source,
                })?;
            }
            remove_file(&path)?;
        }
        Ok(())
    }

    /// Takes a pinned map away; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn unpin_map(&self, name: &str) -> Result<(), PinError> {
        remove_file(&self.map_path(name))
    }

    /// Takes a pinned link off its hook and its pin away, without adopting it:
    /// for what belongs to a device that is gone. Nothing there is no error.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or the file cannot be removed.
    pub fn discard_link(&self, endpoint: EndpointId, hook: TcxHook) -> Result<(), PinError> {
        discard(&self.link_path(endpoint, hook))
    }

    /// As [`discard_link`](Self::discard_link), for both hooks of a device of the node.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn discard_device(&self, role: Role, ifindex: u32) -> Result<(), PinError> {
        for hook in [TcxHook::Ingress, TcxHook::Egress] {
            discard(&self.device_link_path(role, ifindex, hook))?;
        }
        Ok(())
    }

    /// Takes every pin and the directory away. Links are taken off their hooks first.
    ///
    /// # Errors
    ///
    /// The first failure; what could be removed is removed all the same.
    pub fn remove(self) -> Result<(), PinError> {
        let mut result = Ok(());
        for (endpoint, hook) in self.links()? {
            result = result.and(self.discard_link(endpoint, hook));
        }
        for group in self.group_links()? {
            result = result.and(self.discard_group(group));
        }
        for role in Role::ALL {
            for ifindex in self.device_links(role)? {
                result = result.and(self.discard_device(role, ifindex));
            }
        }
        for name in self.map_names()? {
            result = result.and(self.unpin_map(&name));
        }
        for dir in [self.root.join("links"), self.root.join("maps")] {
            result = result.and(fs::remove_dir(&dir).map_err(|source| failed(&dir, source)));
        }
        match fs::remove_dir(&self.root) {
            // The root of a mount stays.
            Err(source) if source.kind() != io::ErrorKind::ResourceBusy => {
                result.and(Err(failed(&self.root, source)))
            }
            _ => result,
        }
    }
}

/// Takes a pinned link off its hook and its pin away.
fn discard(path: &Path) -> Result<(), PinError> {
    if let Ok(link) = sys::Link::from_pin(path) {
        link.detach().map_err(|source| PinError::Call {
            path: path.to_owned(),
            source,
        })?;
    }
    remove_file(&crate::link::aside(path))?;
    remove_file(path)
}

fn cgroup_hook(hook: CgroupHook) -> &'static str {
    match hook {
        CgroupHook::Ingress => "ingress",
        CgroupHook::Egress => "egress",
        CgroupHook::Connect4 => "connect4",
        CgroupHook::Connect6 => "connect6",
        CgroupHook::SendMsg4 => "sendmsg4",
        CgroupHook::SendMsg6 => "sendmsg6",
    }
}

fn side(hook: TcxHook) -> &'static str {
    match hook {
        TcxHook::Ingress => "from",
        TcxHook::Egress => "to",
    }
}

fn parse_link(name: &str) -> Option<(EndpointId, TcxHook)> {
    let (id, side) = name.split_once('-')?;
    let hook = match side {
        "from" => TcxHook::Ingress,
        "to" => TcxHook::Egress,
        _ => return None,
    };
    Some((EndpointId::new(id.parse().ok()?), hook))
}

fn names(dir: &Path) -> Result<Vec<String>, PinError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| failed(dir, source))? {
        let entry = entry.map_err(|source| failed(dir, source))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes a directory that only its owner can read: who can open a map can change it.
fn make_dir(path: &Path) -> Result<(), PinError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| failed(path, source))
}

fn remove_file(path: &Path) -> Result<(), PinError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(path, source)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> PinError {
    PinError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_are_read_back() {
        let id = EndpointId::new(17);
        assert_eq!(parse_link("17-from"), Some((id, TcxHook::Ingress)));
        assert_eq!(parse_link("17-to"), Some((id, TcxHook::Egress)));
        assert_eq!(parse_link("17-next"), None);
        assert_eq!(parse_link("x-to"), None);
        assert_eq!(parse_link("17"), None);
    }
}
