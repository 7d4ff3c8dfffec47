//! Everything the tables hold, for people.

use std::fmt::Write as _;
use std::net::IpAddr;

use porin_policy::{EntryAction, MapEntry, Protocol};

use crate::abi::{Fragment, FragmentKey};
use crate::datapath::Datapath;
use crate::error::MapError;
use crate::tables::{FlowDump, decode_entry, decode_key};

impl Datapath {
    /// Everything that the tables of the kernel hold, in readable form: a title for each table, and a
    /// line for each of its entries. Policies and flows are read from the kernel; the form of the text
    /// may change. The node's secret is left out; lost events are at [`Events::lost`](crate::Events::lost).
    ///
    /// # Errors
    ///
    /// If the kernel refuses to read a table.
    pub fn dump(&self) -> Result<String, MapError> {
        let mut text = String::new();
        let (address, next) = self.endpoints.epochs_now();
        let epochs = format!("address epoch {address}, next epoch {next}");
        section(&mut text, "node", std::iter::once(epochs));
        self.dump_endpoints(&mut text);
        self.dump_policies(&mut text)?;
        self.dump_addresses(&mut text);
        self.dump_overlay(&mut text);
        section(&mut text, "flows", self.flows()?.iter().map(flow));
        let fragments = self.fragments.entries()?;
        section(&mut text, "fragments", fragments.iter().map(fragment));
        let drops = self.counters()?;
        let drop = |drop: &crate::DropCounter| {
            let (name, direction) = (drop.reason.name(), drop.direction);
            format!(
                "{direction} {name}: {} packets, {} bytes",
                drop.packets, drop.bytes
            )
        };
        section(&mut text, "drops", drops.iter().map(drop));
        let pressure = self.pressure()?;
        section(
            &mut text,
            "pressure",
            pressure.iter().map(ToString::to_string),
        );
        Ok(text)
    }

    fn dump_endpoints(&self, text: &mut String) {
        let line = |endpoint: &crate::EndpointDump| {
            let spec = &endpoint.spec;
            let ready = if endpoint.ready { "ready" } else { "not ready" };
            format!(
                "{} at device {}: identity {}, {:?}, {ready}, epoch {}, policy table {}",
                spec.id,
                spec.ifindex,
                spec.identity,
                spec.addresses,
                endpoint.epoch,
                endpoint.table
            )
        };
        section(text, "endpoints", self.endpoints().iter().map(line));
        let host = self.host().map(|host| format!("{host:?}"));
        section(text, "host", host.into_iter());
        let groups = self.groups().into_iter();
        section(text, "groups", groups.map(|group| format!("{group:?}")));
    }

    fn dump_policies(&self, text: &mut String) -> Result<(), MapError> {
        for (slot, endpoints) in self.policies.uses() {
            let mut entries: Vec<_> = self
                .policies
                .dump(slot)?
                .iter()
                .filter_map(|(key, entry)| Some((decode_key(key)?, decode_entry(entry)?)))
                .collect();
            entries.sort_unstable();
            let title = format!("policy table {slot}, of {endpoints}");
            let lines = entries
                .iter()
                .map(|(key, entry)| format!("{key} {}", rule(entry)));
            section(text, &title, lines);
        }
        Ok(())
    }

    fn dump_addresses(&self, text: &mut String) {
        let local = self
            .addresses
            .local()
            .map(|address| format!("{address} of an endpoint"));
        let remote = self.prefixes();
        let remote = remote.map(|(net, identity)| format!("{net} identity {identity}"));
        section(text, "addresses", local.chain(remote));
    }

    fn dump_overlay(&self, text: &mut String) {
        let overlay = self.overlay().map(|overlay| format!("{overlay:?}"));
        section(text, "overlay", overlay.into_iter());
        let nodes = self.nodes();
        let lines = nodes.iter().map(|(node, behind)| {
            let behind: Vec<String> = behind.iter().map(ToString::to_string).collect();
            format!("{node}: {}", behind.join(", "))
        });
        section(text, "nodes", lines);
    }
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let _ = writeln!(text, "{title}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

fn rule(entry: &MapEntry) -> String {
    let action = match entry.action {
        EntryAction::Allow => "allow".to_owned(),
        EntryAction::Deny => "deny".to_owned(),
        EntryAction::Redirect(redirect) => format!("{redirect:?}"),
    };
    let (precedence, cookie) = (entry.precedence.get(), entry.cookie);
    format!(
        "{action}, precedence {precedence}, rule {cookie}, auth {:?}",
        entry.auth
    )
}

fn flow(flow: &FlowDump) -> String {
    let end = |(address, port): (IpAddr, u16)| match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    };
    let side = |name: &str, rule: Option<porin_policy::RuleCookie>| {
        rule.map_or_else(String::new, |rule| format!("; {name} by rule {rule}"))
    };
    format!(
        "{} {} -> {}{}{}; {}{}; sent {}; received {}",
        flow.protocol,
        end(flow.initiator),
        end(flow.responder),
        side("egress", flow.egress),
        side("ingress", flow.ingress),
        if flow.answered {
            "answered"
        } else {
            "not answered"
        },
        if flow.ended { ", ended" } else { "" },
        flow.sent,
        flow.received
    )
}

fn fragment((key, first): &(FragmentKey, Fragment)) -> String {
    let (source, destination) = (IpAddr::from(key.source), IpAddr::from(key.destination));
    let protocol = Protocol::new(first.protocol);
    format!(
        "{protocol} {source} -> {destination}, datagram {:08x}",
        key.id
    )
}
