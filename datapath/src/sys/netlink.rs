//! The few rtnetlink messages of the clsact fallback.
//!
//! Formats: `include/uapi/linux/rtnetlink.h`, `pkt_sched.h` and `pkt_cls.h`.
//! A socket belongs to the network namespace it was made in, so that a filter
//! can be taken off again from any thread.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::bpf::{CallError, Command};
use super::link::TcxHook;

const RTM_NEWQDISC: u16 = 36;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const DIRECT_ACTION: u32 = 1;
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const ETH_P_ALL: u16 = 3;
const NLMSG_HEADER: usize = 16;
const TCMSG: usize = 20;

/// A place for a filter at a clsact hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilterSlot {
    /// The device.
    pub ifindex: u32,
    /// The hook.
    pub hook: TcxHook,
    /// Lower numbers run first; not 0.
    pub priority: u16,
    /// The filter's number within its priority; not 0.
    pub handle: u32,
}

impl FilterSlot {
    const fn parent(&self) -> u32 {
        match self.hook {
            TcxHook::Ingress => 0xffff_fff2,
            TcxHook::Egress => 0xffff_fff3,
        }
    }

    fn tcmsg(&self) -> [u8; TCMSG] {
        let protocol = ETH_P_ALL.to_be();
        let info = u32::from(self.priority) << 16 | u32::from(protocol);
        tcmsg(self.ifindex, self.handle, self.parent(), info)
    }
}

/// A BPF filter that is at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Where it is.
    pub slot: FilterSlot,
    /// The name it was attached with.
    pub name: String,
    /// The number of its program.
    pub program: u32,
}

/// A `NETLINK_ROUTE` socket in the network namespace of the thread that made it.
#[derive(Debug)]
pub struct RouteSocket {
    fd: OwnedFd,
}

impl RouteSocket {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn open() -> Result<Self, CallError> {
        // SAFETY: plain system call; the new descriptor is ours alone.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_ROUTE,
            )
        };
        if fd < 0 {
            return Err(CallError::last(Command::Netlink));
        }
        // SAFETY: just made, owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Gives the device a clsact qdisc; one that is there already is left alone.
    ///
    /// # Errors
    ///
    /// `ENODEV` for an unknown device, `EPERM` without `CAP_NET_ADMIN`.
    pub fn add_clsact(&self, ifindex: u32) -> Result<(), CallError> {
        let mut message = Message::new(RTM_NEWQDISC, REQUEST | ACK | CREATE | EXCLUSIVE);
        message.raw(&tcmsg(ifindex, CLSACT_HANDLE, CLSACT, 0));
        message.attribute(TCA_KIND, b"clsact\0");
        match self.request(message) {
            Err(error) if error.is(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// Puts a program into a slot, in direct-action mode. With `replace`, it
    /// takes the place of what is there.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the slot is taken and `replace` is not set, `EINVAL`
    /// without a clsact qdisc.
    pub fn set_filter(
        &self,
        slot: FilterSlot,
        program: BorrowedFd<'_>,
        name: &str,
        replace: bool,
    ) -> Result<(), CallError> {
        let how = if replace { REPLACE } else { EXCLUSIVE };
        let mut message = Message::new(RTM_NEWTFILTER, REQUEST | ACK | CREATE | how);
        message.raw(&slot.tcmsg());
        message.attribute(TCA_KIND, b"bpf\0");
        let mut options = Message::default();
        let fd = program.as_raw_fd().cast_unsigned();
        options.attribute(TCA_BPF_FD, &fd.to_ne_bytes());
        options.attribute(TCA_BPF_NAME, &[name.as_bytes(), b"\0"].concat());
        options.attribute(TCA_BPF_FLAGS, &DIRECT_ACTION.to_ne_bytes());
        message.attribute(TCA_OPTIONS, &options.bytes);
        self.request(message)
    }

    /// Takes the filter out of its slot; an empty slot or a device that is gone is no error.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn remove_filter(&self, slot: FilterSlot) -> Result<(), CallError> {
        let mut message = Message::new(RTM_DELTFILTER, REQUEST | ACK);
        message.raw(&slot.tcmsg());
        message.attribute(TCA_KIND, b"bpf\0");
        match self.request(message) {
            Err(error)
                if matches!(
                    error.errno(),
                    Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// The BPF filters at a hook, in no order.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn filters(&self, ifindex: u32, hook: TcxHook) -> Result<Vec<Filter>, CallError> {
        let mut slot = FilterSlot {
            ifindex,
            hook,
            priority: 0,
            handle: 0,
        };
        let mut message = Message::new(RTM_GETTFILTER, REQUEST | DUMP);
        message.raw(&tcmsg(ifindex, 0, slot.parent(), 0));
        self.send(message)?;
        let mut found = Vec::new();
        loop {
            let datagram = self.receive()?;
            for (kind, body) in messages(&datagram) {
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => return acknowledged(body).map(|()| found),
                    RTM_NEWTFILTER => {
                        let Some((name, program)) = bpf_filter(body) else {
                            continue;
                        };
                        slot.handle = word(body, 8).unwrap_or(0);
                        slot.priority = (word(body, 16).unwrap_or(0) >> 16) as u16;
                        found.push(Filter {
                            slot,
                            name,
                            program,
                        });
                    }
                    _ => {}
                }
            }
        }
    }

    fn request(&self, message: Message) -> Result<(), CallError> {
        self.send(message)?;
        loop {
            let datagram = self.receive()?;
            for (kind, body) in messages(&datagram) {
                if kind == NLMSG_ERROR {
                    return acknowledged(body);
                }
            }
        }
    }

    fn send(&self, message: Message) -> Result<(), CallError> {
        let bytes = message.finish();
        // SAFETY: a buffer and its own length.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(CallError::last(Command::Netlink));
        }
        Ok(())
    }

    fn receive(&self) -> Result<Vec<u8>, CallError> {
        let mut bytes = vec![0_u8; 32 * 1024];
        loop {
            // SAFETY: a buffer and its own length.
            let got = unsafe {
                libc::recv(
                    self.fd.as_raw_fd(),
                    bytes.as_mut_ptr().cast(),
                    bytes.len(),
                    0,
                )
            };
            if let Ok(got) = usize::try_from(got) {
                bytes.truncate(got);
                return Ok(bytes);
            }
            let error = CallError::last(Command::Netlink);
            if !error.is(libc::EINTR) {
                return Err(error);
            }
        }
    }
}

/// A message or a nest of attributes under construction.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        Self { bytes }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        // Names and options here are far below 64 KiB.
        let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(value);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        for (slot, byte) in self.bytes.iter_mut().zip(len.to_ne_bytes()) {
            *slot = byte;
        }
        self.bytes
    }
}

/// `struct tcmsg`: family, padding, ifindex, handle, parent, info.
fn tcmsg(ifindex: u32, handle: u32, parent: u32, info: u32) -> [u8; TCMSG] {
    let mut bytes = [0; TCMSG];
    let words = [0, ifindex, handle, parent, info];
    for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// The messages of a datagram: kind and body.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = word(bytes, 0)? as usize;
        let kind = half(bytes, 4)?;
        let body = bytes.get(NLMSG_HEADER..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes of a nest: kind and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The name and program of a filter, if it is a BPF filter with both.
fn bpf_filter(body: &[u8]) -> Option<(String, u32)> {
    let options = attributes(body.get(TCMSG..)?).find(|(kind, _)| *kind == TCA_OPTIONS)?;
    let find = |wanted| attributes(options.1).find(move |(kind, _)| *kind == wanted);
    let (_, name) = find(TCA_BPF_NAME)?;
    let (_, id) = find(TCA_BPF_ID)?;
    Some((super::object::name_text(name), word(id, 0)?))
}

/// `struct nlmsgerr`: a negative errno, 0 for success.
fn acknowledged(body: &[u8]) -> Result<(), CallError> {
    match word(body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(errno) => Err(CallError::from_errno(
            Command::Netlink,
            errno.saturating_neg(),
        )),
        None => Err(CallError::from_errno(Command::Netlink, libc::EPROTO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let mut message = Message::new(RTM_NEWTFILTER, REQUEST);
        message.raw(&tcmsg(7, 9, 11, 13));
        let mut options = Message::default();
        options.attribute(TCA_BPF_NAME, b"porin\0");
        options.attribute(TCA_BPF_ID, &42_u32.to_ne_bytes());
        message.attribute(TCA_KIND, b"bpf\0");
        message.attribute(TCA_OPTIONS, &options.bytes);
        let bytes = message.finish();
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0, RTM_NEWTFILTER);
        assert_eq!(bpf_filter(all[0].1), Some(("porin".to_owned(), 42)));
        assert_eq!(word(all[0].1, 4), Some(7));
    }

    #[test]
    fn broken_lengths_end_the_walk() {
        assert_eq!(messages(&[3, 0, 0, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0);
        assert!(acknowledged(&[]).is_err());
    }
}
