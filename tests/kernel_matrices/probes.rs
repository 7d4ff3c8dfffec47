//! One packet on every way for every probe, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
use porin::datapath::Frame;
use porin::flow::{Flow, FlowVerdict, Transport};
use porin::policy::{Direction, Protocol};
use porin_testbed::PacketSocket;
use porin_testbed::suite::Failed;

use crate::case::{Cell, Expect, Probe};
use crate::field::{Field, Inhabitant};

/// How long is waited for what must come: the packet, or the report of its drop.
const COMES: Duration = Duration::from_secs(20);

/// From whom to whom, by places in the table.
type Way = (usize, usize, Probe);

/// Somebody who hears every probe.
struct Ears {
    streams: Vec<(Probe, TcpListener)>,
    datagrams: Vec<(Probe, UdpSocket)>,
    frames: PacketSocket,
}

/// One step's probes, under way.
struct Round<'a> {
    everybody: Vec<&'a Inhabitant>,
    ears: Vec<Ears>,
    /// Connections, which must not end before they are heard.
    open: Vec<OwnedFd>,
    arrived: BTreeSet<Way>,
    dropped: BTreeMap<Way, BTreeSet<Cell>>,
}

/// Sends all probes of a step; whatever is not as the table says, and how much was compared.
pub(crate) fn compare(field: &mut Field, expect: &Expect) -> Result<(Vec<String>, usize), Failed> {
    let Field {
        enforcer,
        inhabitants,
        ..
    } = field;
    let everybody: Vec<_> = expect
        .endpoints
        .iter()
        .map(|name| {
            inhabitants
                .get(name)
                .ok_or_else(|| format!("`{name}` is nobody"))
        })
        .collect::<Result<_, _>>()?;
    let mut expected = expect.cells()?;
    expected
        .retain(|(from, to, _), _| everybody[*from].ip.is_ipv4() == everybody[*to].ip.is_ipv4());
    let probes = expect.probes()?;
    let ears = everybody
        .iter()
        .map(|one| Ears::of(one, &probes))
        .collect::<Result<_, _>>()?;
    let mut round = Round {
        everybody,
        ears,
        open: Vec::new(),
        arrived: BTreeSet::new(),
        dropped: BTreeMap::new(),
    };
    for (sent, way) in (1..).zip(expected.keys()) {
        round.send(*way)?;
        // The sockets and the ring hold some, not all of them.
        if sent % 32 == 0 {
            enforcer.drain(|flow| round.told(&flow, &probes));
            round.listen()?;
        }
    }
    let end = Instant::now() + COMES;
    while !round.is_complete(&expected) && Instant::now() < end {
        enforcer.wait(Duration::from_millis(1), |flow| round.told(&flow, &probes))?;
        round.listen()?;
    }
    if enforcer.lost()?.total() > 0 {
        return Err("events were lost".into());
    }
    let count = expected.len();
    let differs = expected
        .iter()
        .filter(|(way, cell)| !round.is_as(way, **cell));
    let differences = differs.map(|((from, to, probe), cell)| {
        let way = (*from, *to, *probe);
        format!(
            "{} to {}, {}/{}: {cell:?} is recorded, arrived {}, dropped {:?}",
            expect.endpoints[*from],
            expect.endpoints[*to],
            probe.protocol,
            probe.port,
            round.arrived.contains(&way),
            round.dropped.get(&way),
        )
    });
    Ok((differences.collect(), count))
}

impl Ears {
    fn of(one: &Inhabitant, probes: &[Probe]) -> Result<Self, Failed> {
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for probe in probes {
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, probe.port));
            match probe.protocol {
                Protocol::TCP => {
                    let listener = one.namespace.run(|| TcpListener::bind(any))??;
                    listener.set_nonblocking(true)?;
                    streams.push((*probe, listener));
                }
                Protocol::UDP => {
                    let socket = one.namespace.run(|| UdpSocket::bind(any))??;
                    socket.set_nonblocking(true)?;
                    datagrams.push((*probe, socket));
                }
                _ => {}
            }
        }
        let frames = PacketSocket::open(&one.namespace, "eth0")?;
        Ok(Self {
            streams,
            datagrams,
            frames,
        })
    }

    /// Who was heard, and on what.
    fn hear(&self) -> Result<Vec<(IpAddr, Probe)>, Failed> {
        let mut heard = Vec::new();
        for (probe, listener) in &self.streams {
            while let Some((_, from)) = ready(listener.accept())? {
                heard.push((from.ip().to_canonical(), *probe));
            }
        }
        for (probe, socket) in &self.datagrams {
            while let Some((_, from)) = ready(socket.recv_from(&mut [0; 8]))? {
                heard.push((from.ip().to_canonical(), *probe));
            }
        }
        while let Some(frame) = self.frames.receive(Duration::ZERO)? {
            heard.extend(sctp_of(&frame));
        }
        Ok(heard)
    }
}

fn ready<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// Sender and probe of an SCTP packet; there are no sockets for them everywhere.
fn sctp_of(frame: &[u8]) -> Option<(IpAddr, Probe)> {
    let (source, protocol, message) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let source: [u8; 4] = frame.get(26..30)?.try_into().ok()?;
            (IpAddr::from(source), *frame.get(23)?, frame.get(34..)?)
        }
        [0x86, 0xdd] => {
            let source: [u8; 16] = frame.get(22..38)?.try_into().ok()?;
            (IpAddr::from(source), *frame.get(20)?, frame.get(54..)?)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes(message.get(2..4)?.try_into().ok()?);
    let protocol = Protocol::new(protocol);
    (protocol == Protocol::SCTP).then_some((source, Probe { protocol, port }))
}

impl Round<'_> {
    fn send(&mut self, (from, to, probe): Way) -> Result<(), Failed> {
        let (one, target) = (
            self.everybody[from],
            SocketAddr::new(self.everybody[to].ip, probe.port),
        );
        match probe.protocol {
            Protocol::TCP => self.open.push(one.namespace.run(|| begin(target))??),
            Protocol::UDP => {
                let socket = one.namespace.run(|| UdpSocket::bind((one.ip, 0)))??;
                socket.send_to(&[7], target)?;
            }
            Protocol::SCTP => self.ears[from].frames.send(&sctp(one, target))?,
            other => return Err(format!("no probe of {other}").into()),
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<(), Failed> {
        for (to, ears) in self.ears.iter().enumerate() {
            for (source, probe) in ears.hear()? {
                if let Some(from) = self.place(source) {
                    self.arrived.insert((from, to, probe));
                }
            }
        }
        Ok(())
    }

    fn place(&self, ip: IpAddr) -> Option<usize> {
        self.everybody.iter().position(|one| one.ip == ip)
    }

    /// Keeps what is said of a probe that was dropped: by whose policy.
    fn told(&mut self, flow: &Flow, probes: &[Probe]) {
        let (Some(addresses), Some(transport)) = (flow.addresses, flow.transport) else {
            return;
        };
        let (protocol, port) = match transport {
            Transport::Tcp {
                destination_port, ..
            } => (Protocol::TCP, destination_port),
            Transport::Udp {
                destination_port, ..
            } => (Protocol::UDP, destination_port),
            Transport::Sctp {
                destination_port, ..
            } => (Protocol::SCTP, destination_port),
            _ => return,
        };
        let probe = Probe { protocol, port };
        let places = (
            self.place(addresses.source),
            self.place(addresses.destination),
        );
        let dropped = flow.verdict == FlowVerdict::Dropped && flow.reply != Some(true);
        if let (Some(from), Some(to)) = places
            && dropped
            && probes.contains(&probe)
        {
            let cell = match flow.direction {
                Some(Direction::Egress) => Cell::DeniedByEgress,
                _ => Cell::DeniedByIngress,
            };
            self.dropped
                .entry((from, to, probe))
                .or_default()
                .insert(cell);
        }
    }

    /// Whether all that must come has come: packets, and reports of drops.
    fn is_complete(&self, expected: &BTreeMap<Way, Cell>) -> bool {
        expected.iter().all(|(way, cell)| match cell {
            Cell::Reaches => self.arrived.contains(way),
            _ => self.dropped.contains_key(way),
        })
    }

    /// Arrived and not dropped, or dropped where the table says and not arrived.
    fn is_as(&self, way: &Way, cell: Cell) -> bool {
        let dropped = self.dropped.get(way);
        match cell {
            Cell::Reaches => self.arrived.contains(way) && dropped.is_none(),
            _ => !self.arrived.contains(way) && dropped.is_some_and(|by| by.iter().eq([&cell])),
        }
    }
}

/// Begins a connection, and does not wait for it.
fn begin(target: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match target {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let stream = socket(family, SockType::Stream, flags, None)?;
    match connect(stream.as_raw_fd(), &SockaddrStorage::from(target)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(stream),
        Err(error) => Err(error),
    }
}

/// A frame as the inhabitant would send it; routers look at the checksum of an IPv4 header.
fn sctp(from: &Inhabitant, target: SocketAddr) -> Vec<u8> {
    let mut frame = Frame::sctp(SocketAddr::new(from.ip, 40_000), target);
    let bytes = frame.bytes_mut();
    bytes[..6].copy_from_slice(&from.macs.1.0);
    bytes[6..12].copy_from_slice(&from.macs.0.0);
    if from.ip.is_ipv4() {
        let words = bytes[14..34].chunks_exact(2);
        let sum: u32 = words
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from(fold(fold(sum))).unwrap_or_default();
        bytes[24..26].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes.clone()
}
