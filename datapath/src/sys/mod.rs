//! `bpf(2)` and its neighbours, made safe.
//!
//! A thin layer of typed handles over [`std::os::fd::OwnedFd`]: maps, programs,
//! links, pins, the memory of a ring buffer, and the few netlink messages that
//! the clsact fallback needs. Whichever loader turned the object into maps and
//! programs, everything that happens to them afterwards goes through here, so
//! that the loaders behave alike.
//!
//! The handles check lengths against what the *kernel* says about a map
//! (`BPF_OBJ_GET_INFO_BY_FD`), never against what an object file claims: the
//! kernel copies as many bytes as its own definition has, and a caller who
//! believes in a smaller one would have its memory overwritten.
//!
//! Sources: `include/uapi/linux/bpf.h`, `Documentation/bpf/` and
//! `include/uapi/linux/rtnetlink.h` of the Linux kernel.

mod batch;
mod bpf;
mod clock;
mod cpu;
mod fs;
mod link;
mod map;
mod mapped;
mod netlink;
mod object;
mod pod;
mod program;
mod ring;
mod shape;
mod typed;

pub use bpf::{CallError, Command};
pub use clock::{monotonic, monotonic_to_unix, thread_time};
pub use cpu::possible_cpus;
pub use fs::{BPF_FS_MAGIC, is_bpffs, mount_bpffs};
pub use link::{CgroupHook, CgroupLink, Link, LinkInfo, LinkPosition, TcxHook, TcxState};
pub use map::{Map, UpdateMode};
pub use mapped::MappedArray;
pub use netlink::{Filter, FilterSlot, RouteSocket};
pub use object::{get_pinned, kernel_release, pin};
pub use pod::{Pod, bytes_of, from_bytes, slice_bytes, zeroed};
pub use program::{Program, ProgramInfo, SkbFields, TestInput, TestRun};
pub use ring::{RingMemory, wait_readable};
pub use shape::{MapFlags, MapInfo, MapKind, MapShape};
pub use typed::{MapOfMaps, PerCpuMap, TypedMap};
