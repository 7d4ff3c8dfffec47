//! Namespaces, links, processes and frames on the real kernel.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use porin_testbed::suite::{Outcome, Test, run};
use porin_testbed::{Mac, Namespace, PacketSocket, Signal};

fn main() -> ExitCode {
    run(vec![
        Test::new("kernel_fresh_namespace_is_alone", fresh_namespace_is_alone),
        Test::new(
            "kernel_veth_joins_two_namespaces",
            veth_joins_two_namespaces,
        ),
        Test::new(
            "kernel_router_forwards_both_families",
            router_forwards_both_families,
        ),
        Test::new(
            "kernel_process_runs_inside_and_dies",
            process_runs_inside_and_dies,
        ),
        Test::new(
            "kernel_stop_asks_before_it_kills",
            stop_asks_before_it_kills,
        ),
        Test::new("kernel_frame_arrives_as_sent", frame_arrives_as_sent),
        Test::new("kernel_errors_name_the_link", errors_name_the_link),
        Test::new(
            "kernel_links_go_with_the_namespace",
            links_go_with_the_namespace,
        ),
    ])
}

/// The inode of the namespace that a path of `/proc` shows.
fn inode(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::read_link(path)
}

fn fresh_namespace_is_alone() -> Outcome {
    let namespace = Namespace::new()?;
    let own = inode(Path::new("/proc/thread-self/ns/net"))?;
    let inside = namespace.run(|| inode(Path::new("/proc/thread-self/ns/net")))??;
    assert_ne!(own, inside);
    assert_eq!(own, inode(Path::new("/proc/thread-self/ns/net"))?);
    let links = namespace.run(|| -> nix::Result<Vec<_>> {
        let links = nix::net::if_::if_nameindex()?;
        Ok(links.iter().map(|link| link.name().to_owned()).collect())
    })??;
    assert_eq!(links, [c"lo".to_owned()]);
    Ok(())
}

/// Two namespaces on one link, 10.9.0.1 and 10.9.0.2.
fn pair() -> Result<(Namespace, Namespace), Box<dyn std::error::Error>> {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    left.veth("left0", &right, "right0")?;
    left.add_address("left0", "10.9.0.1/24".parse()?)?;
    right.add_address("right0", "10.9.0.2/24".parse()?)?;
    left.up("left0")?;
    right.up("right0")?;
    Ok((left, right))
}

/// Sends one byte from one namespace to a listener in another and reads it back.
fn talk(from: &Namespace, to: &Namespace, address: IpAddr) -> Outcome {
    let listener = to.run(|| TcpListener::bind((address, 4000)))??;
    let mut client = from.run(|| TcpStream::connect((address, 4000)))??;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"x")?;
    let mut byte = [0];
    server.read_exact(&mut byte)?;
    assert_eq!(&byte, b"x");
    Ok(())
}

fn veth_joins_two_namespaces() -> Outcome {
    let (left, right) = pair()?;
    talk(&left, &right, "10.9.0.2".parse()?)
}

fn router_forwards_both_families() -> Outcome {
    let (node, one, two) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    node.forward()?;
    for (pod, link, number) in [(&one, "one", 1), (&two, "two", 2)] {
        node.veth(link, pod, "eth0")?;
        node.up(link)?;
        pod.up("eth0")?;
        for (gateway, address) in [
            (format!("10.9.{number}.1"), format!("10.9.{number}.5/24")),
            (format!("fd09:{number}::1"), format!("fd09:{number}::5/64")),
        ] {
            let gateway: IpAddr = gateway.parse()?;
            let length = if gateway.is_ipv4() { 24 } else { 64 };
            node.add_address(link, format!("{gateway}/{length}").parse()?)?;
            pod.add_address("eth0", address.parse()?)?;
            pod.add_default_route("eth0", gateway)?;
        }
    }
    talk(&one, &two, "10.9.2.5".parse()?)?;
    talk(&one, &two, "fd09:2::5".parse()?)
}

fn process_runs_inside_and_dies() -> Outcome {
    let namespace = Namespace::new()?;
    let inside = namespace.run(|| inode(Path::new("/proc/thread-self/ns/net")))??;
    let mut command = Command::new("sleep");
    command.arg("60");
    let process = namespace.spawn(command)?;
    let directory = PathBuf::from(format!("/proc/{}", process.id()));
    assert_eq!(inode(&directory.join("ns/net"))?, inside);
    drop(process);
    assert!(!directory.exists());
    Ok(())
}

fn stop_asks_before_it_kills() -> Outcome {
    let namespace = Namespace::new()?;
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done",
        ])
        .stdout(Stdio::piped());
    let mut process = namespace.spawn(command)?;
    let mut ready = [0; 6];
    process.stdout().ok_or("piped")?.read_exact(&mut ready)?;
    assert_eq!(process.try_wait()?, None);
    let status = process.stop(Signal::SIGTERM, Duration::from_secs(10))?;
    assert_eq!(status.code(), Some(7));
    Ok(())
}

fn frame_arrives_as_sent() -> Outcome {
    let (left, right) = pair()?;
    let mac: Mac = "02:00:00:00:00:07".parse()?;
    right.set_mac("right0", mac)?;
    assert_eq!(right.mac("right0")?, mac);
    let (sender, receiver) = (
        PacketSocket::open(&left, "left0")?,
        PacketSocket::open(&right, "right0")?,
    );
    let mut frame = mac.0.to_vec();
    frame.extend(left.mac("left0")?.0);
    // An EtherType kept for experiments (IEEE 802), which nothing else on the link speaks.
    frame.extend([0x88, 0xb5]);
    frame.extend([0xa5; 50]);
    sender.send(&frame)?;
    let end = Instant::now() + Duration::from_secs(5);
    while let Some(seen) = receiver.receive(end.saturating_duration_since(Instant::now()))? {
        if seen == frame {
            return Ok(());
        }
    }
    Err("the frame did not arrive".into())
}

fn errors_name_the_link() -> Outcome {
    let namespace = Namespace::new()?;
    let error = namespace.up("absent0").err().ok_or("no such link")?;
    assert!(error.to_string().contains("absent0"), "{error}");
    let error = namespace.set("ipv4/absent", "1").err();
    let error = error.ok_or("no such setting")?;
    assert!(error.to_string().contains("ipv4/absent"), "{error}");
    Ok(())
}

fn links_go_with_the_namespace() -> Outcome {
    let (left, right) = pair()?;
    assert!(right.as_fd().as_raw_fd() > 2);
    drop(right);
    // The kernel takes the namespace apart some time after its last handle is closed.
    let end = Instant::now() + Duration::from_secs(10);
    while left.index("left0").is_ok() {
        assert!(Instant::now() < end, "the near end is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
