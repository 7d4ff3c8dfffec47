//! Which device leads to an endpoint.

use std::fs::File;
use std::path::Path;
use std::thread;

use futures_util::TryStreamExt;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use rtnetlink::packet_route::link::LinkAttribute;

use super::config::DeviceConfig;

/// The index of a device of the node, or why there is none.
pub(crate) fn named(name: &str) -> Result<u32, String> {
    if_nametoindex(name).map_err(|error| format!("interface `{name}`: {error}"))
}

/// The index of the device on the node's side, or why there is none.
pub(crate) fn index(device: &DeviceConfig) -> Result<u32, String> {
    match device {
        DeviceConfig::Interface(name) => named(name),
        DeviceConfig::Namespace { path, device } => peer(path, device)
            .map_err(|reason| format!("device `{device}` in `{}`: {reason}", path.display())),
    }
}

/// The index of a virtual device's other end, which the kernel tells inside the namespace.
fn peer(namespace: &Path, device: &str) -> Result<u32, String> {
    let file = File::open(namespace).map_err(|error| error.to_string())?;
    let look = || {
        setns(&file, CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        runtime
            .map_err(|error| error.to_string())?
            .block_on(other_end(device))
    };
    // A thread of its own: the others stay in the node's namespace.
    thread::scope(|scope| {
        scope
            .spawn(look)
            .join()
            .map_err(|_| "the look-up failed".to_owned())?
    })
}

async fn other_end(device: &str) -> Result<u32, String> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = handle
        .link()
        .get()
        .match_name(device.to_owned())
        .execute()
        .try_next()
        .await;
    connection.abort();
    let link = answer
        .map_err(|error| error.to_string())?
        .ok_or("there is no such device")?;
    let index = link
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Link(index) => Some(*index),
            _ => None,
        });
    index.ok_or_else(|| {
        "it has no other end; name the device on the node's side with `interface`".to_owned()
    })
}
