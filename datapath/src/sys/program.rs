//! Programs: information, and runs on packets that never see a wire.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::bpf::{Attributes, CallError, Command, address, bpf, bpf_fd};
use super::map::{Map, is_anonymous_inode};
use super::object::{by_id, info, name_text, object_name};
use super::pod::{Pod, bytes_of, from_bytes, zeroed};

/// `BPF_PROG_TYPE_SCHED_CLS`
const SCHED_CLS: u32 = 3;

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

/// What the kernel says about a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its number, unique while the program lives.
    pub id: u32,
    /// `enum bpf_prog_type`; 3 is a traffic-control classifier.
    pub kind: u32,
    /// The first eight bytes of the hash of its instructions.
    pub tag: [u8; 8],
    /// Its name: at most 15 bytes.
    pub name: String,
}

/// The head of the kernel's `struct bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    created_by: u32,
    map_count: u32,
    map_ids: u64,
    name: [u8; 16],
}

// SAFETY: `repr(C)`; the fields fill 80 bytes on an 8-byte grid without padding.
unsafe impl Pod for RawInfo {}

/// What `BPF_PROG_LOAD` reads, as far as a probe needs it.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
}

// SAFETY: mirrors the kernel's layout; the pointers are to slices that outlive the call.
unsafe impl Attributes for LoadAttributes {}

/// What `BPF_PROG_TEST_RUN` reads and writes.
#[repr(C)]
struct TestAttributes {
    program: u32,
    result: u32,
    input_len: u32,
    output_len: u32,
    input: u64,
    output: u64,
    repeat: u32,
    duration: u32,
    fields_len: u32,
    fields_out_len: u32,
    fields: u64,
    fields_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    pad: u32,
}

// SAFETY: mirrors the kernel's layout; the pointers are to buffers of the lengths given.
unsafe impl Attributes for TestAttributes {}

/// The fields of `struct __sk_buff` that a test run may set, and that it gives back.
///
/// `ifindex` above 1 must name a device of the calling thread's network
/// namespace (`net/bpf/test_run.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkbFields {
    /// `skb->mark`
    pub mark: u32,
    /// `skb->priority`
    pub priority: u32,
    /// The device whose hook the packet is at; 0 leaves the loopback device.
    pub ifindex: u32,
    /// The device by which the packet came (`skb->skb_iif`).
    pub ingress_ifindex: u32,
    /// `skb->cb`
    pub cb: [u32; 5],
    /// `skb->tstamp`, in nanoseconds.
    pub tstamp: u64,
    /// The length on the wire; 0 means the packet's own.
    pub wire_len: u32,
    /// `gso_segs`
    pub gso_segs: u32,
    /// `gso_size`
    pub gso_size: u32,
}

/// The kernel's `struct __sk_buff`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawFields {
    head: [u32; 2],
    mark: u32,
    middle: [u32; 5],
    priority: u32,
    ingress_ifindex: u32,
    ifindex: u32,
    tc_index: u32,
    cb: [u32; 5],
    tail: [u32; 19],
    flow_keys: u64,
    tstamp: u64,
    wire_len: u32,
    gso_segs: u32,
    socket: u64,
    gso_size: u32,
    tstamp_type: u32,
    hwtstamp: u64,
}

const _: () = assert!(size_of::<RawFields>() == 192);

// SAFETY: `repr(C)`; 32-bit fields in pairs before every 64-bit field, so no padding.
unsafe impl Pod for RawFields {}

impl SkbFields {
    fn raw(&self) -> RawFields {
        RawFields {
            mark: self.mark,
            priority: self.priority,
            ifindex: self.ifindex,
            ingress_ifindex: self.ingress_ifindex,
            cb: self.cb,
            tstamp: self.tstamp,
            wire_len: self.wire_len,
            gso_segs: self.gso_segs,
            gso_size: self.gso_size,
            ..zeroed()
        }
    }

    fn from_raw(raw: &RawFields) -> Self {
        Self {
            mark: raw.mark,
            priority: raw.priority,
            ifindex: raw.ifindex,
            ingress_ifindex: raw.ingress_ifindex,
            cb: raw.cb,
            tstamp: raw.tstamp,
            wire_len: raw.wire_len,
            gso_segs: raw.gso_segs,
            gso_size: raw.gso_size,
        }
    }
}

/// A packet for [`Program::test_run`].
#[derive(Clone, Copy, Debug)]
pub struct TestInput<'a> {
    /// The frame, from its Ethernet header on; at least 14 bytes.
    pub frame: &'a [u8],
    /// What the packet carries beside its bytes.
    pub skb: SkbFields,
    /// How often the program runs on it; the result is the last run's.
    pub repeat: u32,
}

impl<'a> TestInput<'a> {
    /// One run on this frame, without anything beside it.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        Self {
            frame,
            skb: SkbFields::default(),
            repeat: 1,
        }
    }
}

/// What came of a test run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned, as `TC_ACT_*` or `TCX_*`: −1 is next (unspec), 0 pass, 2 drop.
    pub result: i32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// The packet's fields afterwards.
    pub skb: SkbFields,
    /// The mean time of one run.
    pub duration: Duration,
}

/// `exit`
const EXIT: u64 = 0x95;

impl Program {
    /// Takes over a descriptor.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not one of a program.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, CallError> {
        if is_anonymous_inode(fd.as_fd(), "bpf-prog") {
            Ok(Self { fd })
        } else {
            Err(CallError::from_errno(Command::ObjectInfo, libc::EBADF))
        }
    }

    /// Opens the program of a number.
    ///
    /// # Errors
    ///
    /// `ENOENT` if no such program lives, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn from_id(id: u32) -> Result<Self, CallError> {
        by_id(Command::ProgramById, id).map(|fd| Self { fd })
    }

    /// Loads a classifier that only returns `result`: two instructions, to
    /// learn what the kernel allows.
    ///
    /// # Errors
    ///
    /// The kernel's refusal: `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`.
    pub fn constant(name: &str, result: i32) -> Result<Self, CallError> {
        // `r0 = result; exit` — Documentation/bpf/standardization/instruction-set.rst
        let load = 0xb7 | (u64::from(result.cast_unsigned()) << 32);
        Self::assemble(name, &[load, EXIT])
    }

    /// Loads a classifier that looks up one key of 16 bytes, each half of it a
    /// sign-extended word, and returns -1: the unit that other programs are measured in.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn lookup(name: &str, map: &Map, key: [i32; 2]) -> Result<Self, CallError> {
        // *(u64 *)(r10 + at) = word, which the kernel extends
        let store = |(at, word): (i16, i32)| 0x0a7a | offset(at) | immediate(word);
        let stores = [-16, -8].into_iter().zip(key).map(store);
        Self::assemble(name, &asking(map, stores))
    }

    /// Loads a classifier that looks up one key of four words, of which a map may take fewer, and
    /// returns -1: to compare structures of maps.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn find(name: &str, map: &Map, key: [u32; 4]) -> Result<Self, CallError> {
        // *(u32 *)(r10 + at) = word
        let store = |(at, word): (i16, u32)| 0x0a62 | offset(at) | immediate(word.cast_signed());
        let stores = [-16, -12, -8, -4].into_iter().zip(key).map(store);
        Self::assemble(name, &asking(map, stores))
    }

    fn assemble(name: &str, instructions: &[u64]) -> Result<Self, CallError> {
        let count = u32::try_from(instructions.len())
            .map_err(|_| CallError::from_errno(Command::ProgramLoad, libc::E2BIG))?;
        let mut attributes = LoadAttributes {
            kind: SCHED_CLS,
            count,
            instructions: address(instructions.as_ptr()),
            license: address(c"GPL".as_ptr()),
            log_level: 0,
            log_size: 0,
            log: 0,
            version: 0,
            flags: 0,
            name: object_name(name),
            ifindex: 0,
            expected_attach_type: 0,
        };
        bpf_fd(Command::ProgramLoad, &mut attributes).map(|fd| Self { fd })
    }

    /// What the kernel says about the program.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell.
    pub fn info(&self) -> Result<ProgramInfo, CallError> {
        let raw: RawInfo = info(self.fd.as_fd())?;
        Ok(ProgramInfo {
            id: raw.id,
            kind: raw.kind,
            tag: raw.tag,
            name: name_text(&raw.name),
        })
    }

    /// Runs the program on a packet (`BPF_PROG_TEST_RUN`).
    ///
    /// # Errors
    ///
    /// `ENODEV` for a device that is not in this thread's network namespace,
    /// `EINVAL` for a frame that is too short, `EPERM` without `CAP_BPF`.
    pub fn test_run(&self, input: &TestInput<'_>) -> Result<TestRun, CallError> {
        let length = |len: usize| {
            u32::try_from(len)
                .map_err(|_| CallError::from_errno(Command::ProgramTestRun, libc::EMSGSIZE))
        };
        // Room for headers that a program may add.
        let mut frame = vec![0_u8; input.frame.len() + 256];
        let fields = input.skb.raw();
        let mut fields_out = vec![0_u8; size_of::<RawFields>()];
        let mut attributes = TestAttributes {
            program: self.fd.as_raw_fd().cast_unsigned(),
            result: 0,
            input_len: length(input.frame.len())?,
            output_len: length(frame.len())?,
            input: address(input.frame.as_ptr()),
            output: address(frame.as_mut_ptr()),
            repeat: input.repeat,
            duration: 0,
            fields_len: length(size_of::<RawFields>())?,
            fields_out_len: length(size_of::<RawFields>())?,
            fields: address(bytes_of(&fields).as_ptr()),
            fields_out: address(fields_out.as_mut_ptr()),
            flags: 0,
            cpu: 0,
            batch: 0,
            pad: 0,
        };
        bpf(Command::ProgramTestRun, &mut attributes)?;
        frame.truncate(attributes.output_len as usize);
        Ok(TestRun {
            result: attributes.result.cast_signed(),
            frame,
            skb: from_bytes(&fields_out).map_or(input.skb, |raw| SkbFields::from_raw(&raw)),
            duration: Duration::from_nanos(u64::from(attributes.duration)),
        })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The place of an instruction's immediate operand.
fn immediate(value: i32) -> u64 {
    u64::from(value.cast_unsigned()) << 32
}

/// The place of an instruction's offset.
fn offset(value: i16) -> u64 {
    u64::from(value.cast_unsigned()) << 16
}

/// Writes a key of 16 bytes by `stores` and looks it up in the map.
fn asking(map: &Map, stores: impl Iterator<Item = u64>) -> Vec<u64> {
    let question = [
        0xa2bf,                                      // r2 = r10
        0x0207 | immediate(-16),                     // r2 += -16
        0x1118 | immediate(map.as_fd().as_raw_fd()), // r1 = map
        0,
        0x85 | immediate(1),  // call bpf_map_lookup_elem
        0xb7 | immediate(-1), // r0 = -1
        EXIT,
    ];
    stores.chain(question).collect()
}
