//! A node with three pods, and what is asked of their connections.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use porin::enforcer::{Builder, EndpointSpec, Enforcer};
use porin::flow::{EndpointId, Flow};
use porin::identity::Labels;
use porin_testbed::Namespace;
use porin_testbed::suite::{Failed, Outcome};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 78, 1, 2);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 2, 2);
pub(crate) const PARTNER: Ipv4Addr = Ipv4Addr::new(10, 78, 3, 2);
pub(crate) const EXCEPTED: Ipv4Addr = Ipv4Addr::new(10, 78, 3, 9);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x78, 1, 0, 0, 0, 0, 2);
pub(crate) const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x78, 2, 0, 0, 0, 0, 2);
const PARTNER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x78, 3, 0, 0, 0, 0, 2);
pub(crate) const PORT: u16 = 8080;
/// How long what should come is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long what must not come is waited for.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// A node; the test runs inside of it.
pub(crate) struct World {
    pub(crate) client: Namespace,
    pub(crate) outside: Namespace,
    pub(crate) client_link: u32,
    pub(crate) server_link: u32,
    pub(crate) outside_link: u32,
    /// Holds the server's side of its link.
    _server: Namespace,
}

pub(crate) fn in_world(test: fn(&World) -> Outcome) -> Outcome {
    let node = Namespace::new()?;
    let [client, server, outside] = [Namespace::new()?, Namespace::new()?, Namespace::new()?];
    node.forward()?;
    let mut links = Vec::new();
    let pods = [
        (&client, "client", CLIENT, CLIENT6),
        (&server, "server", SERVER, SERVER6),
        (&outside, "outside", PARTNER, PARTNER6),
    ];
    for (pod, link, own, own6) in pods {
        let [a, b, c, _] = own.octets();
        let gateway = Ipv4Addr::new(a, b, c, 1);
        links.push(node.veth(link, pod, "eth0")?.index);
        node.add_address(link, format!("{gateway}/24").parse()?)?;
        pod.add_address("eth0", format!("{own}/24").parse()?)?;
        node.up(link)?;
        pod.up("eth0")?;
        pod.add_default_route("eth0", gateway.into())?;
        let [a, b, c, ..] = own6.segments();
        let gateway6 = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 1);
        node.add_address(link, format!("{gateway6}/64").parse()?)?;
        pod.add_address("eth0", format!("{own6}/64").parse()?)?;
        pod.add_default_route("eth0", gateway6.into())?;
    }
    outside.add_address("eth0", format!("{EXCEPTED}/24").parse()?)?;
    let listener = server.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))??;
    thread::spawn(move || {
        listener
            .incoming()
            .flatten()
            .for_each(|stream| drop(thread::spawn(|| echo(stream))))
    });
    let socket = server.run(|| UdpSocket::bind((SERVER, PORT)))??;
    thread::spawn(move || {
        let mut byte = [0];
        while let Ok((_, from)) = socket.recv_from(&mut byte) {
            let _ = socket.send_to(&byte, from);
        }
    });
    let [client_link, server_link, outside_link] = links.try_into().map_err(|_| "three links")?;
    let world = World {
        client,
        outside,
        client_link,
        server_link,
        outside_link,
        _server: server,
    };
    node.run(|| test(&world))?
}

pub(crate) fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
}

pub(crate) fn open() -> Builder {
    Enforcer::builder().node("test")
}

pub(crate) fn labels(app: &str) -> Labels {
    Labels::workload("shop", None, "default", [("app", app)]).unwrap()
}

pub(crate) fn now() -> Duration {
    Duration::from_secs(1)
}

impl World {
    pub(crate) fn client_spec(&self, app: &str) -> EndpointSpec {
        EndpointSpec::new("client-0", labels(app), self.client_link)
            .addresses([CLIENT.into(), CLIENT6.into()])
    }

    pub(crate) fn populate(&self, enforcer: &mut Enforcer) -> Result<[EndpointId; 2], Failed> {
        let server = EndpointSpec::new("server-0", labels("server"), self.server_link)
            .addresses([SERVER.into(), SERVER6.into()]);
        let ids = enforcer.add_endpoints([self.client_spec("client"), server], now())?;
        Ok(ids.try_into().map_err(|_| "two endpoints")?)
    }

    pub(crate) fn connect(&self) -> Result<TcpStream, Failed> {
        let stream = self
            .client
            .run(|| connect(PATIENCE))?
            .map_err(|error| format!("the client is refused: {error}"))?;
        Ok(stream)
    }

    pub(crate) fn connects(&self) -> bool {
        self.client.run(|| connect(PATIENCE)).unwrap().is_ok()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.client.run(|| connect(SHORT)).unwrap().is_err()
    }

    /// Does the host outside get an answer at this address of its own?
    pub(crate) fn reaches_from(&self, own: Ipv4Addr) -> bool {
        self.is_answered(own, PATIENCE)
    }

    pub(crate) fn is_kept_out(&self, own: Ipv4Addr) -> bool {
        !self.is_answered(own, SHORT)
    }

    pub(crate) fn is_answered(&self, own: Ipv4Addr, limit: Duration) -> bool {
        let socket = self
            .outside
            .run(|| UdpSocket::bind((own, 0)))
            .unwrap()
            .unwrap();
        socket.set_read_timeout(Some(limit)).unwrap();
        socket.send_to(b"x", (SERVER, PORT)).is_ok() && socket.recv(&mut [0]).is_ok()
    }
}

pub(crate) fn connect(limit: Duration) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((SERVER, PORT)), limit)
}

/// Does a byte come back?
pub(crate) fn answers(stream: &mut TcpStream) -> bool {
    echoes(stream, PATIENCE)
}

/// Does none?
pub(crate) fn is_silent(stream: &mut TcpStream) -> bool {
    !echoes(stream, SHORT)
}

pub(crate) fn echoes(stream: &mut TcpStream, limit: Duration) -> bool {
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok()
}

/// What is sent while nothing passes is sent again by TCP: does the answer come when it may?
pub(crate) fn recovers(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut [0]).is_ok()
}

pub(crate) fn flow_of(
    enforcer: &mut Enforcer,
    wanted: impl Fn(&Flow) -> bool,
) -> Result<Flow, Failed> {
    let until = Instant::now() + PATIENCE;
    let mut found = None;
    while found.is_none() && Instant::now() < until {
        enforcer.wait(Duration::from_millis(20), |flow| {
            if wanted(&flow) {
                found = Some(flow);
            }
        })?;
    }
    found.ok_or_else(|| "the flow was not told".into())
}

pub(crate) fn names(flow: &Flow) -> Vec<String> {
    flow.deciding_policies()
        .iter()
        .map(|policy| policy.name.to_string())
        .collect()
}
