//! Maps, as bytes.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::bpf::{Attributes, CallError, Command, address, bpf, bpf_fd};
use super::cpu::possible_cpus;
use super::object::{by_id, get_pinned, info, name_text, object_name, pin};
use super::pod::Pod;
use super::shape::{MapFlags, MapInfo, MapKind, MapShape};
use crate::error::MapError;

/// The head of the kernel's `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
}

// SAFETY: `repr(C)`, only 32-bit fields and an array of 16 bytes: no padding.
unsafe impl Pod for RawInfo {}

/// The head of what `BPF_MAP_CREATE` reads.
#[repr(C)]
struct CreateAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

// SAFETY: mirrors the kernel's layout, no pointers.
unsafe impl Attributes for CreateAttributes {}

/// `struct { map_fd; key; value | next_key; flags; }`
#[repr(C)]
struct ElementAttributes {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

// SAFETY: mirrors the kernel's layout; `Map` checks the lengths behind the pointers.
unsafe impl Attributes for ElementAttributes {}

/// When an update may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMode {
    /// `BPF_ANY`: whether or not the key is there.
    #[default]
    Any,
    /// `BPF_NOEXIST`: only if the key is new.
    New,
    /// `BPF_EXIST`: only if the key is there.
    Existing,
}

impl UpdateMode {
    pub(super) const fn flags(self) -> u64 {
        match self {
            Self::Any => 0,
            Self::New => 1,
            Self::Existing => 2,
        }
    }
}

/// A map of the kernel, with its keys and values as bytes.
///
/// Every method checks the lengths it is given against the kernel's own
/// definition of the map. For keys and values with a type see
/// [`TypedMap`](super::TypedMap).
///
/// ```no_run
/// use porin_datapath::sys::{Map, MapFlags, MapKind, MapShape, UpdateMode};
///
/// let shape = MapShape::of::<u32, u64>(MapKind::Hash, 128, MapFlags::NONE);
/// let map = Map::create("example", &shape)?;
/// map.update(&1_u32.to_ne_bytes(), &7_u64.to_ne_bytes(), UpdateMode::Any)?;
/// # Ok::<(), porin_datapath::error::MapError>(())
/// ```
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    info: MapInfo,
}

impl Map {
    /// Makes a new map. The kernel keeps at most 15 bytes of `name`.
    ///
    /// # Errors
    ///
    /// The kernel's refusal: `EPERM` without `CAP_BPF`, `EINVAL` for a shape it does not make.
    pub fn create(name: &str, shape: &MapShape) -> Result<Self, MapError> {
        Self::create_inner(name, shape, 0)
    }

    /// Makes a new map of maps, whose elements are like `inner`.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_outer(name: &str, shape: &MapShape, inner: &Map) -> Result<Self, MapError> {
        Self::create_inner(name, shape, inner.raw())
    }

    fn create_inner(name: &str, shape: &MapShape, inner: u32) -> Result<Self, MapError> {
        let mut attributes = CreateAttributes {
            kind: shape.kind.number(),
            key_size: shape.key_size,
            value_size: shape.value_size,
            max_entries: shape.max_entries,
            flags: shape.flags.bits(),
            inner,
            numa_node: 0,
            name: object_name(name),
        };
        let fd = bpf_fd(Command::MapCreate, &mut attributes)
            .map_err(|source| MapError::call(name, source))?;
        Self::from_fd(fd).map_err(|source| MapError::call(name, source))
    }

    /// Takes over a descriptor; asks the kernel what map it is.
    ///
    /// # Errors
    ///
    /// If the descriptor is not one of a map, or the kernel does not tell.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, CallError> {
        if !is_anonymous_inode(fd.as_fd(), "bpf-map") {
            return Err(CallError::from_errno(Command::ObjectInfo, libc::EBADF));
        }
        let raw: RawInfo = info(fd.as_fd())?;
        let info = MapInfo {
            id: raw.id,
            name: name_text(&raw.name),
            shape: MapShape {
                kind: MapKind::from_number(raw.kind),
                key_size: raw.key_size,
                value_size: raw.value_size,
                max_entries: raw.max_entries,
                flags: MapFlags::from_bits(raw.flags),
            },
        };
        Ok(Self { fd, info })
    }

    /// Opens the map pinned at `path`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if nothing is pinned there, `EBADF` if it is not a map.
    pub fn from_pin(path: &Path) -> Result<Self, CallError> {
        Self::from_fd(get_pinned(path)?)
    }

    /// Opens the map of a number, as a lookup in a map of maps answers it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if no such map lives, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn from_id(id: u32) -> Result<Self, CallError> {
        Self::from_fd(by_id(Command::MapById, id)?)
    }

    /// A second handle of the same map.
    ///
    /// # Errors
    ///
    /// If the process is out of descriptors.
    pub fn try_clone(&self) -> Result<Self, MapError> {
        let fd = self.fd.try_clone().map_err(|source| {
            MapError::call(&self.info.name, CallError::new(Command::ObjectGet, source))
        })?;
        Ok(Self {
            fd,
            info: self.info.clone(),
        })
    }

    /// Bytes of kernel memory that are accounted to the map (`memlock` of
    /// `/proc/self/fdinfo`, bpf(2)).
    ///
    /// # Errors
    ///
    /// If `/proc` is not there, or an old kernel does not tell.
    pub fn memory(&self) -> Result<u64, MapError> {
        let told = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd()));
        let found = told.and_then(|text| {
            let mut lines = text.lines();
            let bytes = lines.find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
            bytes.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
        });
        found.map_err(|source| {
            MapError::call(&self.info.name, CallError::new(Command::ObjectInfo, source))
        })
    }

    /// Pins the map at `path` in a bpffs.
    ///
    /// # Errors
    ///
    /// As [`pin`].
    pub fn pin(&self, path: &Path) -> Result<(), CallError> {
        pin(self.fd.as_fd(), path)
    }

    /// What the kernel said about the map when the handle was made.
    #[must_use]
    pub fn info(&self) -> &MapInfo {
        &self.info
    }

    /// Compares the map with what is wanted.
    ///
    /// # Errors
    ///
    /// [`MapError::Mismatch`] with the first field that differs.
    pub fn verify(&self, wanted: &MapShape) -> Result<(), MapError> {
        match wanted.difference(&self.info.shape) {
            None => Ok(()),
            Some((field, expected, found)) => Err(MapError::Mismatch {
                map: self.info.name.clone(),
                field,
                expected,
                found,
            }),
        }
    }

    /// How many bytes a value has in user space: one copy of eight-byte
    /// multiples per possible CPU for the per-CPU kinds.
    #[must_use]
    pub fn value_len(&self) -> usize {
        let size = self.info.shape.value_size as usize;
        if self.info.shape.kind.is_per_cpu() {
            size.next_multiple_of(8) * possible_cpus()
        } else {
            size
        }
    }

    /// How many bytes a key has.
    #[must_use]
    pub fn key_len(&self) -> usize {
        self.info.shape.key_size as usize
    }

    /// Reads the value of `key` into `value`; `false` if the key is absent.
    ///
    /// # Errors
    ///
    /// [`MapError::Length`] for a buffer of another size, otherwise the kernel's refusal.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> Result<bool, MapError> {
        self.check_len("key", key.len(), self.key_len())?;
        self.check_len("value", value.len(), self.value_len())?;
        let mut attributes = self.element(key, value.as_mut_ptr(), 0);
        match bpf(Command::MapLookup, &mut attributes) {
            Ok(_) => Ok(true),
            Err(error) if error.is(libc::ENOENT) => Ok(false),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Writes one entry.
    ///
    /// # Errors
    ///
    /// [`MapError::Full`] if there is no room, [`MapError::Length`] for a
    /// buffer of another size, otherwise the kernel's refusal (`EEXIST` and
    /// `ENOENT` belong to [`UpdateMode`]).
    pub fn update(&self, key: &[u8], value: &[u8], mode: UpdateMode) -> Result<(), MapError> {
        self.check_len("key", key.len(), self.key_len())?;
        self.check_len("value", value.len(), self.value_len())?;
        let mut attributes = self.element(key, value.as_ptr().cast_mut(), mode.flags());
        bpf(Command::MapUpdate, &mut attributes).map_err(|error| self.error(error))?;
        Ok(())
    }

    /// Removes one entry; `false` if the key was absent.
    ///
    /// # Errors
    ///
    /// [`MapError::Length`] for a buffer of another size, otherwise the kernel's refusal.
    pub fn delete(&self, key: &[u8]) -> Result<bool, MapError> {
        self.check_len("key", key.len(), self.key_len())?;
        let mut attributes = self.element(key, std::ptr::null_mut(), 0);
        match bpf(Command::MapDelete, &mut attributes) {
            Ok(_) => Ok(true),
            Err(error) if error.is(libc::ENOENT) => Ok(false),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Writes the key after `key` (the first one for `None`) into `next`; `false` at the end.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    pub fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool, MapError> {
        if let Some(key) = key {
            self.check_len("key", key.len(), self.key_len())?;
        }
        self.check_len("key", next.len(), self.key_len())?;
        let mut attributes = self.element(key.unwrap_or_default(), next.as_mut_ptr(), 0);
        if key.is_none() {
            attributes.key = 0;
        }
        match bpf(Command::MapNextKey, &mut attributes) {
            Ok(_) => Ok(true),
            Err(error) if error.is(libc::ENOENT) => Ok(false),
            Err(error) => Err(self.error(error)),
        }
    }

    fn element(&self, key: &[u8], value: *mut u8, flags: u64) -> ElementAttributes {
        ElementAttributes {
            map: self.raw(),
            pad: 0,
            key: address(key.as_ptr()),
            value: address(value),
            flags,
        }
    }

    pub(super) fn raw(&self) -> u32 {
        self.fd.as_raw_fd().cast_unsigned()
    }

    pub(super) fn check_len(
        &self,
        what: &'static str,
        given: usize,
        wanted: usize,
    ) -> Result<(), MapError> {
        if given == wanted {
            return Ok(());
        }
        Err(MapError::Length {
            map: self.info.name.clone(),
            what,
            expected: wanted,
            found: given,
        })
    }

    /// `E2BIG` (hash) and `ENOSPC` (trie) mean that the map is full.
    pub(super) fn error(&self, error: CallError) -> MapError {
        match error.errno() {
            Some(libc::E2BIG | libc::ENOSPC) => MapError::Full {
                map: self.info.name.clone(),
                capacity: self.info.shape.max_entries,
            },
            _ => MapError::call(&self.info.name, error),
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether `fd` is an anonymous inode of this name, e.g. `bpf-map`.
///
/// `BPF_OBJ_GET_INFO_BY_FD` answers for programs and links too, in another
/// layout; the kind of object is only visible through the inode's name.
pub(super) fn is_anonymous_inode(fd: BorrowedFd<'_>, name: &str) -> bool {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::read_link(path)
        .ok()
        .and_then(|target| target.to_str().map(|text| text.contains(name)))
        .unwrap_or(false)
}
