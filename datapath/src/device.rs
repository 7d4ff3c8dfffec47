//! Programs at devices of the node itself.

use std::collections::BTreeMap;

use crate::datapath::Datapath;
use crate::error::{AttachError, LoadError, PinError};
use crate::link::{Attachment, Target};
use crate::pin::Role;
use crate::sys::{LinkPosition, Program, TcxHook};

const HOOKS: [TcxHook; 2] = [TcxHook::Ingress, TcxHook::Egress];

impl Datapath {
    pub(crate) fn device_program(&self, role: Role, hook: TcxHook) -> &Program {
        match (role, hook) {
            (Role::Host, TcxHook::Ingress) => &self.from_network,
            (Role::Host, TcxHook::Egress) => &self.to_network,
            (Role::Overlay, TcxHook::Ingress) => &self.from_overlay,
            (Role::Overlay, TcxHook::Egress) => &self.to_overlay,
        }
    }

    /// Attaches the programs of a role to both hooks of a device, or to none.
    pub(crate) fn attach_device(
        &self,
        role: Role,
        ifindex: u32,
    ) -> Result<Vec<Attachment>, AttachError> {
        let mut made: Vec<Attachment> = Vec::new();
        for hook in HOOKS {
            match self.attach_hook(role, Target { ifindex, hook }) {
                Ok(attachment) => made.push(attachment),
                Err(error) => {
                    // One that is pinned would stay; the first error is the one that tells why.
                    made.into_iter().for_each(|one| drop(one.detach()));
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// First of its hook; but what judges the host comes behind the program of an endpoint, or of the
    /// tunnels, at the same device: that one says who sent a packet.
    fn attach_hook(&self, role: Role, target: Target) -> Result<Attachment, AttachError> {
        let mut endpoints = self.known.values();
        let stamps = endpoints.any(|known| known.spec.ifindex == target.ifindex)
            || self.overlay_device() == target.ifindex;
        let position = match role {
            Role::Host if stamps => LinkPosition::Last,
            _ => LinkPosition::First,
        };
        let (program, mode) = (self.device_program(role, target.hook), self.config.attach);
        match &self.pins {
            Some(pins) => {
                let path = pins.device_link_path(role, target.ifindex, target.hook);
                Attachment::attach_pinned(program, target, mode, position, &path)
            }
            None => Attachment::attach(program, target, mode, position),
        }
    }

    /// Takes over what is pinned in a role, and attaches what is lacking of it, if it is `wanted`;
    /// else it is taken away. A device that is gone is forgotten.
    pub(crate) fn adopt_devices(
        &self,
        role: Role,
        wanted: bool,
    ) -> Result<BTreeMap<u32, Vec<Attachment>>, LoadError> {
        let mut adopted = BTreeMap::new();
        let Some(pins) = &self.pins else {
            return Ok(adopted);
        };
        for ifindex in pins.device_links(role)? {
            let found = wanted.then(|| self.adopt_device(role, ifindex));
            match found {
                Some(Ok(attachments)) => drop(adopted.insert(ifindex, attachments)),
                None | Some(Err(AttachError::Stale { .. } | AttachError::NoDevice { .. })) => {
                    pins.discard_device(role, ifindex)?;
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(adopted)
    }

    fn adopt_device(&self, role: Role, ifindex: u32) -> Result<Vec<Attachment>, AttachError> {
        let adopt = |hook| {
            let target = Target { ifindex, hook };
            let path = self
                .pins
                .as_ref()
                .map(|pins| pins.device_link_path(role, ifindex, hook));
            let pinned = path
                .map(|path| Attachment::adopt(&path, target))
                .transpose()?;
            match pinned.flatten() {
                Some(mut attachment) => {
                    attachment.update(self.device_program(role, hook))?;
                    Ok(attachment)
                }
                None => self.attach_hook(role, target),
            }
        };
        HOOKS.into_iter().map(adopt).collect()
    }

    /// Takes the pins of a device that is gone out of the directory.
    pub(crate) fn forget_device(&self, role: Role, ifindex: u32) -> Result<(), PinError> {
        match &self.pins {
            Some(pins) => pins.discard_device(role, ifindex),
            None => Ok(()),
        }
    }
}
