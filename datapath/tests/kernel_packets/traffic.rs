//! Servers in pods, and those who talk to them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::common::{Failure, eventually};
use crate::scene::Pod;

/// How long an answer that should come is waited for.
pub(crate) const COMES: Duration = Duration::from_secs(15);
/// How long one that must not come is waited for.
pub(crate) const STAYS_AWAY: Duration = Duration::from_millis(80);
/// How often a server looks whether it should end.
const STEP: Duration = Duration::from_millis(5);

/// Servers of a pod that send back what they get, on TCP and UDP of both families.
pub(crate) struct Echo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(pod: &Pod, ports: &[u16]) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for port in ports {
            let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port);
            let udp = pod.namespace.run(|| UdpSocket::bind(any))??;
            let tcp = pod.namespace.run(|| TcpListener::bind(any))??;
            let (one, two) = (Arc::clone(&stop), Arc::clone(&stop));
            threads.push(thread::spawn(move || echo_udp(&udp, &one)));
            threads.push(thread::spawn(move || echo_tcp(&tcp, &two)));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A server that failed was noticed by its client.
            let _ = thread.join();
        }
    }
}

fn echo_udp(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    socket.set_read_timeout(Some(STEP)).expect("a timeout");
    while !stop.load(Ordering::Acquire) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // Whether the answer may leave is what is tested.
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

fn echo_tcp(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    listener.set_nonblocking(true).expect("a listener");
    let mut connections = Vec::new();
    while !stop.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                let stop = Arc::clone(stop);
                connections.push(thread::spawn(move || echo_stream(stream, &stop)));
            }
            Err(_) => thread::sleep(STEP),
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn echo_stream(mut stream: TcpStream, stop: &AtomicBool) {
    let mut buffer = [0; 64 * 1024];
    stream.set_nodelay(true).expect("a stream");
    stream.set_read_timeout(Some(STEP)).expect("a timeout");
    while !stop.load(Ordering::Acquire) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if stream.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            Err(error) if is_timeout(&error) => {}
            Err(_) => return,
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// A way to talk to an [`Echo`] server, or to the echo of ICMP.
pub(crate) trait Talk: Send {
    /// Sends `mark` and waits for it to come back.
    fn ask(&mut self, mark: u64, limit: Duration) -> Result<bool, Failure>;

    /// Whether an answer comes that should.
    fn answers(&mut self, mark: u64) -> Result<bool, Failure> {
        self.ask(mark, COMES)
    }

    /// Whether no answer comes.
    fn is_silent(&mut self, mark: u64) -> Result<bool, Failure> {
        Ok(!self.ask(mark, STAYS_AWAY)?)
    }
}

/// A UDP or ICMP echo client; messages may be longer than a packet.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    to: SocketAddr,
    /// The message that goes before the mark: an ICMP echo request.
    header: Vec<u8>,
}

impl Datagrams {
    /// From this address of the pod (unspecified: any of them) to a server.
    pub(crate) fn udp(pod: &Pod, from: IpAddr, to: SocketAddr) -> Result<Self, Failure> {
        Self::bound(pod, SocketAddr::new(from, 0), to)
    }

    /// From this very address and port of the pod to a server.
    pub(crate) fn bound(pod: &Pod, from: SocketAddr, to: SocketAddr) -> Result<Self, Failure> {
        let socket = pod.namespace.run(|| UdpSocket::bind(from))??;
        Ok(Self {
            socket,
            to,
            header: Vec::new(),
        })
    }

    /// The port that answers come to.
    pub(crate) fn port(&self) -> Result<u16, Failure> {
        Ok(self.socket.local_addr()?.port())
    }

    /// The pod's ping, on the kernel's own socket for it (`icmp(7)`).
    pub(crate) fn ping(pod: &Pod, to: IpAddr) -> Result<Self, Failure> {
        pod.namespace.set("ipv4/ping_group_range", "0 2147483647")?;
        let (family, protocol, kind) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
        };
        let open = || socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol);
        let socket = pod.namespace.run(open)??;
        Ok(Self {
            socket: socket.into(),
            to: SocketAddr::new(to, 0),
            // Type, code, checksum, identifier (both the kernel's), sequence number.
            header: vec![kind, 0, 0, 0, 0, 0, 0, 1],
        })
    }

    /// Puts this many bytes before every mark.
    pub(crate) fn padded(mut self, bytes: usize) -> Self {
        self.header.resize(bytes, 0);
        self
    }

    /// Whether nothing at all came, or comes.
    pub(crate) fn hears_nothing(&self) -> Result<bool, Failure> {
        self.socket.set_read_timeout(Some(STAYS_AWAY))?;
        match self.socket.recv(&mut [0; 16]) {
            Ok(_) => Ok(false),
            Err(error) if is_timeout(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Every message may take so many hops (IPv4).
    pub(crate) fn hops(&self, count: u32) -> Result<(), Failure> {
        Ok(self.socket.set_ttl(count)?)
    }

    pub(crate) fn send(&self, mark: u64) -> Result<(), Failure> {
        let message = [&self.header[..], &mark.to_be_bytes()].concat();
        match self.socket.send_to(&message, self.to) {
            Ok(_) => Ok(()),
            // An earlier packet met with an ICMP error; this one was not sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.send(mark),
            Err(error) => Err(error.into()),
        }
    }
}

impl Talk for Datagrams {
    fn ask(&mut self, mark: u64, limit: Duration) -> Result<bool, Failure> {
        self.send(mark)?;
        let end = Instant::now() + limit;
        let mut buffer = [0; 16 * 1024];
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(false);
            }
            self.socket.set_read_timeout(Some(rest))?;
            match self.socket.recv(&mut buffer) {
                Ok(length) if buffer[..length].ends_with(&mark.to_be_bytes()) => return Ok(true),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A TCP connection to an [`Echo`] server.
pub(crate) struct Stream {
    stream: TcpStream,
}

impl Stream {
    /// Opens a connection; `None` if it does not come about within `limit`.
    pub(crate) fn open(
        pod: &Pod,
        to: SocketAddr,
        limit: Duration,
    ) -> Result<Option<Self>, Failure> {
        let connect = || TcpStream::connect_timeout(&to, limit);
        match pod.namespace.run(connect)? {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                Ok(Some(Self { stream }))
            }
            Err(error) if is_timeout(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn connect(pod: &Pod, to: SocketAddr) -> Result<Self, Failure> {
        Self::open(pod, to, COMES)?.ok_or_else(|| format!("no connection to {to}").into())
    }
}

impl Talk for Stream {
    fn ask(&mut self, mark: u64, limit: Duration) -> Result<bool, Failure> {
        self.stream.write_all(&mark.to_be_bytes())?;
        let end = Instant::now() + limit;
        let mut buffer = [0; 8];
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(false);
            }
            self.stream.set_read_timeout(Some(rest))?;
            match self.stream.read_exact(&mut buffer) {
                Ok(()) if u64::from_be_bytes(buffer) == mark => return Ok(true),
                Ok(()) => {}
                Err(error) if is_timeout(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Stream {
    /// Sends this many bytes and reads them back; the time of both.
    pub(crate) fn echo(self, bytes: usize) -> Result<Duration, Failure> {
        let (mut writer, mut reader) = (self.stream.try_clone()?, self.stream);
        reader.set_read_timeout(Some(COMES))?;
        writer.set_write_timeout(Some(COMES))?;
        let block: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
        let begin = Instant::now();
        thread::scope(|scope| -> Result<(), Failure> {
            let sent = scope.spawn(|| {
                let blocks = std::iter::repeat_n(&block, bytes / block.len());
                blocks
                    .into_iter()
                    .try_for_each(|block| writer.write_all(block))
            });
            let mut back = vec![0; block.len()];
            for _ in 0..bytes / block.len() {
                reader.read_exact(&mut back)?;
                assert_eq!(back, block);
            }
            sent.join().map_err(|_| "the writer panicked")??;
            Ok(())
        })?;
        Ok(begin.elapsed())
    }
}

/// Any address of the family.
pub(crate) fn unspecified(v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// A server that sends without being asked, and a client that counts what comes.
pub(crate) struct Download {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    /// How often nothing was there to be read.
    idle: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Download {
    /// From this port of `server` to `client`.
    pub(crate) fn start(client: &Pod, server: &Pod, v6: bool, port: u16) -> Result<Self, Failure> {
        let to = server.at(v6, port);
        let listener = server.namespace.run(|| TcpListener::bind(to))??;
        let connect = || TcpStream::connect_timeout(&to, COMES);
        let incoming = client.namespace.run(connect)??;
        let (outgoing, _) = listener.accept()?;
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let idle = Arc::new(AtomicU64::new(0));
        let (one, two) = (stop.clone(), stop.clone());
        let (count, pauses) = (received.clone(), idle.clone());
        let threads = vec![
            thread::spawn(move || send_on(outgoing, &one)),
            thread::spawn(move || count_up(incoming, &two, &count, &pauses)),
        ];
        Ok(Self {
            stop,
            received,
            idle,
            threads,
        })
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Whether more comes.
    pub(crate) fn goes_on(&self) -> bool {
        let before = self.received();
        eventually(|| self.received() > before)
    }

    /// Whether nothing comes any more, but for what had passed already.
    pub(crate) fn has_stopped(&self) -> bool {
        thread::sleep(STAYS_AWAY);
        let idle = || self.idle.load(Ordering::Acquire);
        let then = idle();
        if !eventually(|| idle() > then) {
            return false;
        }
        let before = self.received();
        thread::sleep(2 * STAYS_AWAY);
        self.received() == before
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn send_on(mut stream: TcpStream, stop: &AtomicBool) {
    stream.set_nodelay(true).expect("a stream");
    stream.set_write_timeout(Some(STEP)).expect("a timeout");
    while !stop.load(Ordering::Acquire) {
        match stream.write(&[7; 8]) {
            Ok(_) => thread::sleep(Duration::from_millis(1)),
            Err(error) if is_timeout(&error) => {}
            Err(_) => return,
        }
    }
}

fn count_up(mut stream: TcpStream, stop: &AtomicBool, received: &AtomicU64, idle: &AtomicU64) {
    let mut buffer = [0; 2048];
    stream.set_read_timeout(Some(STEP)).expect("a timeout");
    while !stop.load(Ordering::Acquire) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                received.fetch_add(length as u64, Ordering::AcqRel);
            }
            Err(error) if is_timeout(&error) => {
                idle.fetch_add(1, Ordering::AcqRel);
            }
            Err(_) => return,
        }
    }
}
