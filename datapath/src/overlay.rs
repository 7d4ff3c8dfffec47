//! Tunnels between nodes, which carry the identity of who sends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::datapath::Datapath;
use crate::error::{ApplyError, AttachError, LoadError};
use crate::link::Attachment;
use crate::pin::Role;

/// The device of the tunnels between nodes: a VXLAN device in external mode (`collect_md`) that does
/// no address resolution (`ip link add vx0 type vxlan external dstport 4789`, `ip link set vx0 arp off`).
/// The kernel routes the addresses of other nodes' endpoints to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlaySpec {
    /// The device, in the calling thread's network namespace.
    pub ifindex: u32,
    /// Its UDP port; 4789 by RFC 7348.
    pub port: u16,
}

impl Datapath {
    /// Attaches the programs to the device of the tunnels.
    ///
    /// From now on a packet that leaves by it goes to the node that its destination
    /// [stands behind](Self::set_node), and the tunnel's number (VNI) is the identity of who sends, as
    /// this node knows it: an endpoint by the device that the packet left. What comes by it is
    /// believed as far as the node that sent it may speak for the address; the rest is dropped:
    ///
    /// | packet | reason |
    /// |---|---|
    /// | from an address that is no [node](Self::set_node) | `UNKNOWN_SENDER` |
    /// | number 0, the host, an aggregate or a world of one family | `INVALID_IDENTITY` |
    /// | source that stands behind another node, or is of this node | `INVALID_SOURCE_IP` |
    /// | number 2 (the world) for an endpoint whom no table here names | `INVALID_IDENTITY` |
    /// | destination that is not of this node | `UNKNOWN_L3_TARGET_ADDRESS` |
    /// | no IP, tags, malformed | as at an endpoint |
    ///
    /// An identity that means something on one node only (local blocks) does not travel: the number
    /// is 2 then, and the receiver asks its own tables. The host travels as `remote-node`.
    ///
    /// Endpoints may not send tunnel traffic themselves: UDP to the port is dropped
    /// (`ENCAPSULATION_TRAFFIC_IS_PROHIBITED`), unless it is for a workload.
    ///
    /// ```no_run
    /// # use porin_datapath::{Config, Datapath, OverlaySpec};
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut datapath = Datapath::open(&Config::default())?;
    /// datapath.attach_overlay(OverlaySpec { ifindex: 9, port: 4789 })?;
    /// datapath.set_node("192.0.2.2".parse()?, ["10.1.2.0/24".parse()?])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AttachError::OverlayTaken`] if there is another such device; otherwise the kernel's refusal.
    /// Nothing is attached then.
    pub fn attach_overlay(&mut self, spec: OverlaySpec) -> Result<(), AttachError> {
        let held = self.overlay_device();
        if held != 0 && held != spec.ifindex {
            return Err(AttachError::OverlayTaken(held));
        }
        // First: what comes by the device and was not asked about its tunnel is dropped.
        self.endpoints.set_overlay(spec.ifindex, spec.port);
        if self.overlay.is_empty() {
            let attached = self.attach_device(Role::Overlay, spec.ifindex);
            self.overlay = attached.inspect_err(|_| self.endpoints.set_overlay(0, 0))?;
        }
        Ok(())
    }

    /// The programs leave the device of the tunnels. What comes by it afterwards is named by its
    /// addresses alone.
    ///
    /// # Errors
    ///
    /// The first failure; the rest is taken away all the same.
    pub fn detach_overlay(&mut self) -> Result<(), AttachError> {
        let attachments = std::mem::take(&mut self.overlay).into_iter();
        let detached = attachments
            .map(Attachment::detach)
            .fold(Ok(()), Result::and);
        self.endpoints.set_overlay(0, 0);
        detached
    }

    /// The device of the tunnels.
    #[must_use]
    pub fn overlay(&self) -> Option<OverlaySpec> {
        let (ifindex, port) = self.endpoints.overlay();
        (ifindex != 0).then_some(OverlaySpec { ifindex, port })
    }

    pub(crate) fn overlay_device(&self) -> u32 {
        self.endpoints.overlay().0
    }

    /// Makes another node known by the address at which its tunnels end, and says which addresses
    /// stand behind it: those of its endpoints, and its own on the overlay. It may speak for these
    /// and no others; what was said of it before is forgotten.
    ///
    /// # Errors
    ///
    /// [`ApplyError::RouteTaken`] and [`ApplyError::Capacity`] before anything is written.
    pub fn set_node(
        &mut self,
        address: IpAddr,
        prefixes: impl IntoIterator<Item = IpNet>,
    ) -> Result<(), ApplyError> {
        let prefixes = prefixes.into_iter().map(|prefix| prefix.trunc()).collect();
        self.nodes.set(address.to_canonical(), &prefixes)
    }

    /// A node is none any more: its tunnel is closed in both directions. One that is not there is no
    /// error.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn remove_node(&mut self, address: IpAddr) -> Result<(), ApplyError> {
        Ok(self.nodes.remove(address.to_canonical())?)
    }

    /// The other nodes, each with the addresses that stand behind it.
    #[must_use]
    pub fn nodes(&self) -> BTreeMap<IpAddr, BTreeSet<IpNet>> {
        self.nodes.all()
    }

    /// Takes over what an earlier process left.
    pub(crate) fn adopt_overlay(&mut self) -> Result<(), LoadError> {
        let device = self.overlay_device();
        let mut adopted = self.adopt_devices(Role::Overlay, device != 0)?;
        self.overlay = adopted.remove(&device).unwrap_or_default();
        // Attached by one who was killed before it was in force.
        for (ifindex, attachments) in adopted {
            let detached = attachments.into_iter().map(Attachment::detach);
            detached.fold(Ok(()), Result::and)?;
            self.forget_device(Role::Overlay, ifindex)?;
        }
        if self.overlay.is_empty() {
            self.endpoints.set_overlay(0, 0);
        }
        Ok(())
    }
}
