//! Frames by hand: what no socket of a decent host would send.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, bind,
    recv, send, socket,
};

use crate::error::LinkError;
use crate::namespace::Namespace;

/// A socket that sends and receives whole Ethernet frames on one link (`packet(7)`).
///
/// It sees what arrives on the link and what leaves by it, before the link's own programs for
/// incoming packets and after those for outgoing ones.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on `link` in `namespace`.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link or the kernel refuses; needs `CAP_NET_RAW`.
    pub fn open(namespace: &Namespace, link: &str) -> Result<Self, LinkError> {
        let index = namespace.index(link)?;
        let opened = namespace.run(|| open(index))?;
        let socket = opened.map_err(|source| LinkError::Refused {
            request: format!("open a packet socket on `{link}`"),
            source: Box::new(source),
        })?;
        Ok(Self { socket })
    }

    /// Sends one frame, which starts with its Ethernet header.
    ///
    /// # Errors
    /// The system's error, such as a frame longer than the link allows.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// Receives the next frame, or nothing after `limit`.
    ///
    /// # Errors
    /// The system's error, such as the link going down.
    pub fn receive(&self, limit: Duration) -> io::Result<Option<Vec<u8>>> {
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut wait = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut wait, limit)? == 0 {
            return Ok(None);
        }
        // Longer than any frame, segmented ones included.
        let mut frame = vec![0; 1 << 16];
        let length = recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty())?;
        frame.truncate(length);
        Ok(Some(frame))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A packet socket bound to the link with this index, in the thread's namespace.
fn open(index: u32) -> nix::Result<OwnedFd> {
    let every_protocol = SockProtocol::EthAll;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        every_protocol,
    )?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(index).map_err(|_| nix::errno::Errno::ENODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the pointer is to a complete `sockaddr_ll` that lives through the call, and the
    // length given is its size.
    let address = unsafe {
        LinkAddr::from_raw(
            (&raw const address).cast(),
            Some(size_of::<libc::sockaddr_ll>() as libc::socklen_t),
        )
    };
    bind(
        socket.as_raw_fd(),
        &address.ok_or(nix::errno::Errno::EAFNOSUPPORT)?,
    )?;
    Ok(socket)
}
