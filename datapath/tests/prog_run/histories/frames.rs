//! Frames of every kind: flows that go on, errors about them, fragments, and what nobody should send.

use std::net::{IpAddr, SocketAddr};

use porin_datapath::Frame;
use porin_flow::TcpFlags;
use porin_policy::Protocol;

use crate::random::Random;

/// Few, so that flows meet; destinations and sources are drawn from the same.
pub(crate) const PORTS: [u16; 5] = [53, 80, 443, 4000, 4001];
const FLAGS: [TcpFlags; 10] = [
    TcpFlags::SYN,
    TcpFlags::SYN,
    TcpFlags::SYN,
    TcpFlags::ACK,
    TcpFlags::ACK,
    TcpFlags::ACK,
    TcpFlags::FIN,
    TcpFlags::RST,
    TcpFlags::NONE,
    TcpFlags::PSH,
];
const PROTOCOLS: [u8; 20] = [
    6, 6, 6, 6, 6, 6, 17, 17, 17, 17, 1, 1, 58, 58, 132, 47, 4, 50, 136, 255,
];

/// A packet as it is meant, before fragments, headers and errors are made of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sketch {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
    flags: TcpFlags,
    kind: u8,
}

impl Sketch {
    pub(crate) fn random(random: &mut Random, source: IpAddr, destination: IpAddr) -> Self {
        let mut protocol = random.pick(&PROTOCOLS);
        if matches!(protocol, 1 | 58) && random.chance(90) {
            protocol = if source.is_ipv4() { 1 } else { 58 };
        }
        let kinds: &[u8] = if protocol == 1 {
            &[8, 8, 8, 0, 0, 5, 13, 14, 17]
        } else {
            &[128, 128, 128, 129, 129, 133, 134, 135, 136, 137, 143, 130]
        };
        Self {
            source,
            destination,
            protocol,
            ports: (random.pick(&PORTS), random.pick(&PORTS)),
            flags: random_flags(random),
            kind: random.pick(kinds),
        }
    }

    /// The same flow again, or the answer.
    pub(crate) fn next(self, random: &mut Random) -> Self {
        let next = Self {
            flags: random_flags(random),
            ..self
        };
        if random.chance(45) {
            return next;
        }
        let kind = match self.kind {
            8 => 0,
            0 => 8,
            128 => 129,
            129 => 128,
            other => other,
        };
        Self {
            source: self.destination,
            destination: self.source,
            ports: (self.ports.1, self.ports.0),
            kind,
            ..next
        }
    }

    fn payload(&self, random: &mut Random) -> Vec<u8> {
        let at = |address, port| SocketAddr::new(address, port);
        let (from, to) = (
            at(self.source, self.ports.0),
            at(self.destination, self.ports.1),
        );
        let frame = match self.protocol {
            6 => Frame::tcp(from, to, self.flags),
            17 => Frame::udp(from, to),
            132 => Frame::sctp(from, to),
            1 | 58 => {
                let target = match self.destination {
                    IpAddr::V6(address) if random.chance(70) => address.octets().to_vec(),
                    _ => vec![0; usize::from(random.chance(50)) * 16],
                };
                let [high, low] = (self.ports.0 & 3).to_be_bytes();
                let code = u8::from(random.chance(5));
                let mut message = vec![self.kind, code, 0, 0, high, low, 0, 0];
                message.extend(target);
                return message;
            }
            _ => return vec![0; usize::from(random.chance(80)) * 24],
        };
        let header = if self.source.is_ipv4() { 20 } else { 40 };
        frame.packet()[header..].to_vec()
    }

    /// The packet in one piece, as the one who sends it would.
    pub(crate) fn whole(&self, random: &mut Random) -> Frame {
        let payload = self.payload(random);
        let mut frame = self.ip(self.protocol, &payload);
        let hops = if self.protocol == 58 && random.chance(60) {
            random.pick(&[255, 255, 1])
        } else {
            64
        };
        frame.bytes_mut()[if self.source.is_ipv4() { 22 } else { 21 }] = hops;
        frame
    }

    fn ip(&self, protocol: u8, payload: &[u8]) -> Frame {
        Frame::ip(
            self.source,
            self.destination,
            Protocol::new(protocol),
            payload,
        )
    }

    /// A fragment of the packet, the first or a later one, in no order.
    pub(crate) fn fragment(&self, random: &mut Random) -> Frame {
        let id = u8::try_from(random.below(6)).expect("small");
        let offset = random.pick(&[0, 0, 0, 8, 16, 24, 1480]);
        let more = random.chance(70);
        let payload = match offset {
            0 => self.payload(random),
            _ => vec![7; 24],
        };
        if self.source.is_ipv4() {
            let mut frame = self.ip(self.protocol, &payload);
            frame.bytes_mut()[19] = id;
            let field = (offset / 8) | if more { 0x2000 } else { 0 };
            frame.bytes_mut()[20..22].copy_from_slice(&u16::to_be_bytes(field));
            return frame;
        }
        let [high, low] = (offset | u16::from(more)).to_be_bytes();
        let header = [self.protocol, 0, high, low, 0, 0, 0, id];
        let (first, chain) = if random.chance(30) {
            extensions(random, 44)
        } else {
            (44, Vec::new())
        };
        self.ip(first, &[&chain, &header[..], &payload].concat())
    }

    /// With IPv4 options or IPv6 extension headers before the message.
    pub(crate) fn extended(&self, random: &mut Random) -> Frame {
        let payload = self.payload(random);
        if self.source.is_ipv6() {
            let (first, chain) = extensions(random, self.protocol);
            return self.ip(first, &[chain, payload].concat());
        }
        let known: [&[u8]; 6] = [
            &[1, 1, 1, 1],
            &[148, 4, 0, 0],
            &[7, 7, 4, 0, 0, 0, 0, 0],
            &[131, 7, 4, 10, 0, 0, 9, 0],
            &[1, 137, 3, 4],
            &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        let options: Vec<u8> = (0..=random.below(2))
            .flat_map(|_| random.pick(&known).to_vec())
            .collect();
        let mut frame = self.ip(self.protocol, &payload);
        let bytes = frame.bytes_mut();
        bytes[14] = 0x45 + u8::try_from(options.len() / 4).expect("few");
        bytes[17] += u8::try_from(options.len()).expect("few");
        bytes.splice(34..34, options);
        frame
    }

    /// An error about this packet, sent by `from`.
    pub(crate) fn error(&self, random: &mut Random, from: IpAddr) -> Frame {
        let quoted = match random.below(10) {
            0 => self.fragment(random),
            1 => self.extended(random),
            _ => self.whole(random),
        };
        let kinds: &[u8] = if from.is_ipv4() {
            &[3, 3, 3, 11, 12]
        } else {
            &[1, 1, 2, 3, 4]
        };
        let packet = quoted.packet();
        let keep = match random.below(5) {
            0 => random.below(64) as usize,
            _ => 64,
        };
        let head = &packet[..keep.min(packet.len())];
        let kind = random.pick(kinds);
        Frame::icmp(from, self.source, kind, 0, &[&[0; 4], head].concat())
    }
}

fn random_flags(random: &mut Random) -> TcpFlags {
    let one = random.pick(&FLAGS);
    if random.chance(40) {
        one | random.pick(&FLAGS)
    } else {
        one
    }
}

/// Up to seven extension headers, and the number of the first.
fn extensions(random: &mut Random, last: u8) -> (u8, Vec<u8>) {
    let most = if random.chance(10) { 7 } else { 2 };
    let count = 1 + random.below(most);
    let kinds: Vec<u8> = (0..count)
        .map(|place| match place {
            0 => random.pick(&[0, 60, 43, 51, 44]),
            _ => random.pick(&[60, 60, 60, 43, 51, 44, 0]),
        })
        .collect();
    let mut bytes = Vec::new();
    for (place, kind) in kinds.iter().enumerate() {
        let next = kinds.get(place + 1).copied().unwrap_or(last);
        match kind {
            51 => bytes.extend([next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
            43 => bytes.extend([next, 0, random.pick(&[0, 4, 4]), random.pick(&[0, 0, 1])]),
            44 => bytes.extend([next, 0, 0, random.pick(&[0, 0, 1])]),
            _ => bytes.extend([next, 0, 1, 4]),
        }
        if *kind != 51 {
            bytes.extend([0, 0, 0, random.pick(&[0, 1])]);
        }
    }
    let first = kinds.first().copied().unwrap_or(last);
    (if random.chance(4) { 59 } else { first }, bytes)
}

/// What is no IP packet, or one in wrapping.
pub(crate) fn foreign(random: &mut Random, inner: &Frame, own: IpAddr) -> Frame {
    let tagged = [&[0, 5, 8, 0], inner.packet()].concat();
    match random.below(6) {
        0 => Frame::ethernet(0x8100, &tagged),
        1 => Frame::ethernet(0x88a8, &tagged),
        2 => Frame::ethernet(random.pick(&[0x88cc, 0x8847, 0x8864, 0x0600]), &[0; 60]),
        3 => Frame::ethernet(random.pick(&[0, 46, 60, 0x5ff]), &[0; 60]),
        _ => {
            let sender = match own {
                IpAddr::V4(own) if random.chance(60) => own.octets(),
                _ => random.pick(&[[0; 4], [10, 0, 0, 9], [192, 0, 2, 1]]),
            };
            let operation = random.pick(&[1, 1, 2, 8]);
            let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 1];
            message.extend(sender);
            message.extend([0; 10]);
            Frame::ethernet(0x0806, &message)
        }
    }
}

/// Damage of any kind; enough is left that `BPF_PROG_TEST_RUN` takes it for a frame.
pub(crate) fn spoil(random: &mut Random, frame: &mut Frame) {
    let bytes = frame.bytes_mut();
    for _ in 0..=random.below(3) {
        let length = bytes.len() as u64;
        let near = random.below(length.min(90)) as usize;
        match random.below(8) {
            0 => bytes.truncate(random.below(length) as usize),
            1 => bytes.extend(vec![0; random.below(40) as usize]),
            // Lengths, header lengths, fragment fields: bytes 14 to 21 of either family.
            2 | 3 => {
                let at = 14 + random.below(8) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            4 => {
                if let Some(byte) = bytes.get_mut(17) {
                    *byte = byte.wrapping_add(random.pick(&[1, 255, 2, 254, 20, 236]));
                }
            }
            5 => bytes[near] ^= 1 << random.below(8),
            6 => bytes[near] = random.pick(&[0, 1, 0xff, 0x80]),
            _ => bytes[near] = random.next() as u8,
        }
        bytes.resize(bytes.len().max(15), 0);
    }
    let shortest = match bytes[12..14] {
        [0x08, 0x00] => 34,
        [0x86, 0xdd] => 54,
        _ => 15,
    };
    bytes.resize(bytes.len().max(shortest), 0);
}
