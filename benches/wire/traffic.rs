//! What is sent, and what it costs the sender.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt};
use porin::datapath::sys::thread_time;

use crate::{
    Result,
    net::{CLIENT, Net, SERVER},
};

const PORT: u16 = 7_000;
/// Datagrams between two readings of the receiver.
const BURST: usize = 64;

/// Datagrams of 64 bytes from one or many ports of the client to one of the server.
pub(crate) struct Datagrams {
    senders: Vec<UdpSocket>,
    receiver: UdpSocket,
}

impl Datagrams {
    pub(crate) fn new(net: &Net, flows: u16) -> Result<Self> {
        // One socket at a time listens on a port; the flows of one number are always the same.
        let to = SocketAddr::new(SERVER.into(), PORT + flows);
        let receiver = net.server.run(|| UdpSocket::bind(to))??;
        receiver.set_nonblocking(true)?;
        let sender = |flow: u16| -> Result<UdpSocket> {
            let socket = UdpSocket::bind(SocketAddr::new(CLIENT.into(), 20_000 + flows + flow))?;
            socket.connect(to)?;
            Ok(socket)
        };
        let senders = net
            .client
            .run(|| (0..flows).map(sender).collect::<Result<_>>())??;
        let datagrams = Self { senders, receiver };
        datagrams.wait_for_link()?;
        // Every flow is known before the first measurement.
        datagrams.measure(flows.into())?;
        Ok(datagrams)
    }

    /// A link that was just brought up takes packets a moment later.
    fn wait_for_link(&self) -> Result<()> {
        let begin = Instant::now();
        let mut room = [0; 64];
        while begin.elapsed().as_secs() < 5 {
            if let Some(sender) = self.senders.first() {
                sender.send(&[0x5e; 22])?;
            }
            std::thread::sleep(Duration::from_millis(5));
            if self.receiver.recv(&mut room).is_ok() {
                while self.receiver.recv(&mut room).is_ok() {}
                return Ok(());
            }
        }
        Err("no datagram has arrived".into())
    }

    /// Nanoseconds of the sender's thread for each of about `count` datagrams: on a veth the way to
    /// the receiver's socket is part of sending. Every datagram has to arrive.
    pub(crate) fn measure(&self, count: usize) -> Result<f64> {
        let (mut nanos, mut sent, mut received) = (0.0, 0_usize, 0_usize);
        let mut senders = self.senders.iter().cycle();
        let mut room = [0; 64];
        while sent < count {
            let start = thread_time();
            for sender in senders.by_ref().take(BURST) {
                sender.send(&[0x5e; 22])?;
            }
            nanos += (thread_time() - start).as_nanos() as f64;
            sent += BURST;
            // What another thread of the kernel still carries comes a moment later.
            let patience = Instant::now();
            while received < sent {
                match self.receiver.recv(&mut room) {
                    Ok(_) => received += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if patience.elapsed().as_secs() >= 2 {
                            return Err(
                                format!("{received} of {sent} datagrams have arrived").into()
                            );
                        }
                        std::thread::yield_now();
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(nanos / sent as f64)
    }
}

/// Connections of the client to the server.
pub(crate) struct Connections {
    listener: TcpListener,
}

/// What connections cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connected {
    /// Nanoseconds that a tenth of the connections took at most.
    pub(crate) p10: f64,
    /// Connections a second, each opened, accepted and reset.
    pub(crate) rate: f64,
}

impl Connections {
    pub(crate) fn new(net: &Net) -> Result<Self> {
        let to = SocketAddr::new(SERVER.into(), PORT);
        let listener = net.server.run(|| TcpListener::bind(to))??;
        Ok(Self { listener })
    }

    /// Opens connections one after the other.
    pub(crate) fn measure(&self, net: &Net, count: usize) -> Result<Connected> {
        net.client.run(|| self.connect(count))?
    }

    fn connect(&self, count: usize) -> Result<Connected> {
        let to = self.listener.local_addr()?;
        let mut nanos = Vec::with_capacity(count);
        let begin = Instant::now();
        for _ in 0..count {
            let start = Instant::now();
            let stream = TcpStream::connect(to)?;
            nanos.push(start.elapsed().as_nanos() as f64);
            let (accepted, _) = self.listener.accept()?;
            // A reset leaves no port waiting behind.
            let at_once = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&stream, sockopt::Linger, &at_once)?;
            drop(stream);
            drop(accepted);
        }
        let rate = count as f64 / begin.elapsed().as_secs_f64();
        nanos.sort_by(f64::total_cmp);
        let p10 = nanos.get(count / 10).copied().unwrap_or(f64::NAN);
        Ok(Connected { p10, rate })
    }
}
