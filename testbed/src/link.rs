//! Links, addresses, routes and network settings of a namespace, over rtnetlink.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::str::FromStr;

use ipnet::IpNet;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, LinkVxlan, RouteMessageBuilder};

use crate::error::LinkError;
use crate::namespace::Namespace;

/// A link-layer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not six bytes in hexadecimal, separated by colons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a link-layer address of the form `02:00:00:00:00:01`")]
pub struct ParseMacError(String);

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ParseMacError(text.to_owned()))
    }
}

/// The two devices of a veth pair, each by its index in its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Veth {
    /// The index of the near end.
    pub index: u32,
    /// The index of the far end, in the other namespace.
    pub peer_index: u32,
}

impl Namespace {
    /// Makes a veth pair: `name` here, `peer` in the namespace `other`. Both ends are down.
    ///
    /// # Errors
    /// [`LinkError`] when a name is taken or the kernel refuses.
    pub fn veth(&self, name: &str, other: &Namespace, peer: &str) -> Result<Veth, LinkError> {
        let far = LinkUnspec::new_with_name(peer)
            .setns_by_fd(other.as_fd().as_raw_fd())
            .build();
        let pair = LinkVeth::new(name, peer)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        let request = || format!("make the veth pair `{name}` and `{peer}`");
        self.netlink(request, async |handle| {
            handle.link().add(pair).execute().await
        })?;
        Ok(Veth {
            index: self.index(name)?,
            peer_index: other.index(peer)?,
        })
    }

    /// Makes a VXLAN device that takes its headers from programs (external mode) and receives at this
    /// UDP port. It asks nobody for link-layer addresses, and is down.
    ///
    /// # Errors
    /// [`LinkError`] when the name or the port is taken, or the kernel refuses.
    pub fn vxlan(&self, name: &str, port: u16) -> Result<u32, LinkError> {
        let device = LinkVxlan::new(name, 0)
            .collect_metadata(true)
            .learning(false)
            .port(port)
            .arp(false)
            .build();
        let request = || format!("make the VXLAN device `{name}` at port {port}");
        self.netlink(request, async |handle| {
            handle.link().add(device).execute().await
        })?;
        self.index(name)
    }

    /// Removes a link; of a veth pair both ends go.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link.
    pub fn delete(&self, link: &str) -> Result<(), LinkError> {
        let index = self.index(link)?;
        let request = || format!("remove the link `{link}`");
        self.netlink(request, async |handle| {
            handle.link().del(index).execute().await
        })
    }

    /// The index of a link.
    ///
    /// # Errors
    /// [`LinkError::NoLink`] when there is none of that name.
    pub fn index(&self, link: &str) -> Result<u32, LinkError> {
        let found = self.run(|| if_nametoindex(link))?;
        found.map_err(|source| LinkError::NoLink {
            name: link.to_owned(),
            source,
        })
    }

    /// The link-layer address of a link.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link, or it has no six-byte address.
    pub fn mac(&self, link: &str) -> Result<Mac, LinkError> {
        let request = || format!("read the link-layer address of `{link}`");
        // Not from sysfs, which shows the links of the namespace that it was mounted in.
        let found = self.run(|| {
            let mut entries = getifaddrs()?.filter(|entry| entry.interface_name == link);
            Ok(entries.find_map(|entry| entry.address?.as_link_addr()?.addr()))
        })?;
        found
            .map_err(|errno: Errno| refused(request(), errno))?
            .map(Mac)
            .ok_or_else(|| LinkError::NoLink {
                name: link.to_owned(),
                source: Errno::ENODEV,
            })
    }

    /// Gives a link another link-layer address.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link, or the address is not one of a single station.
    pub fn set_mac(&self, link: &str, mac: Mac) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(self.index(link)?)
            .address(mac.0.to_vec())
            .build();
        let request = || format!("give `{link}` the link-layer address `{mac}`");
        self.netlink(request, async |handle| {
            handle.link().set(message).execute().await
        })
    }

    /// Brings a link up.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link.
    pub fn up(&self, link: &str) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_index(self.index(link)?).up().build();
        let request = || format!("bring `{link}` up");
        self.netlink(request, async |handle| {
            handle.link().set(message).execute().await
        })
    }

    /// Adds an address with its prefix. An IPv6 address is usable at once: duplicates are not
    /// looked for.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link, or it has the address already.
    pub fn add_address(&self, link: &str, address: IpNet) -> Result<(), LinkError> {
        let index = self.index(link)?;
        let request = || format!("give `{link}` the address `{address}`");
        self.netlink(request, async move |handle| {
            let mut add = handle
                .address()
                .add(index, address.addr(), address.prefix_len());
            if address.addr().is_ipv6() {
                add.message_mut().header.flags = AddressHeaderFlags::Nodad;
            }
            add.execute().await
        })
    }

    /// Adds a route to `destination` over `link`, straight or by a gateway.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link, or the gateway is not reached over it.
    pub fn add_route(
        &self,
        destination: IpNet,
        link: &str,
        gateway: Option<IpAddr>,
    ) -> Result<(), LinkError> {
        let request = || format!("route `{destination}` over `{link}`");
        let invalid = |error| refused(request(), error);
        let mut route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination.network(), destination.prefix_len())
            .map_err(invalid)?
            .output_interface(self.index(link)?);
        if let Some(gateway) = gateway {
            route = route.gateway(gateway).map_err(invalid)?;
        }
        let mut route = route.build();
        if gateway.is_none() && route.header.address_family == AddressFamily::Inet {
            // Without a gateway the peers are on the link itself.
            route.header.scope = rtnetlink::packet_route::route::RouteScope::Link;
        }
        self.netlink(request, async |handle| {
            handle.route().add(route).execute().await
        })
    }

    /// Adds the default route of the gateway's family over `link`.
    ///
    /// # Errors
    /// As [`Namespace::add_route`].
    pub fn add_default_route(&self, link: &str, gateway: IpAddr) -> Result<(), LinkError> {
        let everywhere = match gateway {
            IpAddr::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
            IpAddr::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
        };
        self.add_route(everywhere, link, Some(gateway))
    }

    /// Says which station has an address, so that no ARP or neighbour discovery is needed.
    ///
    /// # Errors
    /// [`LinkError`] when there is no such link.
    pub fn add_neighbour(&self, link: &str, address: IpAddr, mac: Mac) -> Result<(), LinkError> {
        let index = self.index(link)?;
        let request = || format!("name `{mac}` as the station of `{address}` on `{link}`");
        self.netlink(request, async move |handle| {
            let neighbour = handle.neighbours().add(index, address);
            neighbour.link_layer_address(&mac.0).execute().await
        })
    }

    /// Writes a setting below `/proc/sys/net` of this namespace, such as `ipv4/ip_forward`.
    ///
    /// # Errors
    /// [`LinkError::Setting`] when there is no such setting or it does not take the value.
    pub fn set(&self, key: &str, value: &str) -> Result<(), LinkError> {
        // The kernel shows the settings of the namespace of the thread that opens the file.
        let path = format!("/proc/sys/net/{key}");
        let written = self.run(|| fs::write(path, value))?;
        written.map_err(|source| LinkError::Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            source,
        })
    }

    /// Lets the namespace pass packets from one link to another, for both families.
    ///
    /// # Errors
    /// As [`Namespace::set`].
    pub fn forward(&self) -> Result<(), LinkError> {
        self.set("ipv4/ip_forward", "1")?;
        self.set("ipv6/conf/all/forwarding", "1")
    }

    /// Sends one netlink request from inside the namespace and waits for its answer.
    fn netlink<W>(&self, request: impl Fn() -> String, work: W) -> Result<(), LinkError>
    where
        W: AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error> + Send,
    {
        let answer = self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection()?;
                let connection = tokio::spawn(connection);
                let answer = work(handle).await;
                connection.abort();
                Ok(answer)
            })
        })?;
        answer
            .map_err(LinkError::Socket)?
            .map_err(|error| refused(request(), error))
    }
}

fn refused(request: String, source: impl std::error::Error + Send + Sync + 'static) -> LinkError {
    LinkError::Refused {
        request,
        source: Box::new(source),
    }
}
