//! `toPorts` and `icmps`.

use super::json::{Fields, Json, only};
use super::l7;
use crate::port_rule::{ConfigKind, ListenerRef, Port, PortProtocol, PortRule, PortSpec, TlsSide};

/// The elements of a rule. The language has ports or message types in a rule, not both.
pub(super) fn ports(elements: &[PortRule], fields: &mut Fields) {
    let is_icmp =
        |spec: &PortSpec| matches!(spec.protocol, PortProtocol::Icmp | PortProtocol::Icmp6);
    let mut specs = elements.iter().flat_map(|element| &element.ports);
    if specs.any(is_icmp) {
        fields.filled("icmps", elements.iter().map(types));
    } else {
        fields.filled("toPorts", elements.iter().map(element));
    }
}

fn types(element: &PortRule) -> Fields {
    let field = |spec: &PortSpec| {
        let mut fields = Fields::default();
        fields.put(
            "family",
            match spec.protocol {
                PortProtocol::Icmp6 => "IPv6",
                _ => "IPv4",
            },
        );
        match spec.port {
            Port::Number(number) => fields.put("type", number),
            Port::Name(ref name) => fields.put("type", &**name),
        }
        fields
    };
    let mut fields = Fields::default();
    fields.filled("fields", element.ports.iter().map(field));
    fields
}

fn element(element: &PortRule) -> Fields {
    let mut fields = Fields::default();
    fields.filled("ports", element.ports.iter().map(port));
    fields.filled("serverNames", &element.server_names);
    fields.some(
        "terminatingTLS",
        element.tls.terminating.as_ref().map(|side| tls(side)),
    );
    fields.some(
        "originatingTLS",
        element.tls.originating.as_ref().map(|side| tls(side)),
    );
    fields.some(
        "listener",
        element.listener.as_ref().map(|one| listener(one)),
    );
    fields.some("rules", l7::rules(&element.l7));
    fields
}

fn port(spec: &PortSpec) -> Fields {
    let mut fields = Fields::default();
    fields.put("port", spec.port.to_string());
    fields.some("endPort", spec.end_port);
    let protocol = spec.protocol.to_string();
    // Only in lower case is such a protocol taken with a port.
    let odd = matches!(
        (spec.protocol, &spec.port),
        (PortProtocol::Portless(_), Port::Number(1..))
    );
    fields.put(
        "protocol",
        match odd {
            true => protocol.to_ascii_lowercase(),
            false => protocol,
        },
    );
    fields
}

fn tls(side: &TlsSide) -> Fields {
    let mut fields = Fields::default();
    fields.some("secret", side.secret.as_ref().map(l7::secret));
    fields.some("trustedCA", side.trusted_ca.as_ref());
    fields.some("certificate", side.certificate.as_ref());
    fields.some("privateKey", side.private_key.as_ref());
    fields
}

fn listener(listener: &ListenerRef) -> Json {
    let mut config = Fields::default();
    config.some(
        "kind",
        match listener.config {
            ConfigKind::Namespaced => Some("CiliumEnvoyConfig"),
            ConfigKind::Clusterwide => Some("CiliumClusterwideEnvoyConfig"),
            ConfigKind::Unsaid => None,
        },
    );
    config.put("name", &listener.config_name);
    let mut fields = Fields::default();
    fields.put("envoyConfig", config);
    fields.put("name", &listener.name);
    fields.some(
        "priority",
        (listener.priority > 0).then_some(listener.priority),
    );
    fields.into()
}

/// One port of one protocol, in the words of AdminNetworkPolicy.
pub(super) fn admin(spec: &PortSpec) -> Json {
    let number = match &spec.port {
        Port::Name(name) => return only("namedPort", &**name),
        Port::Number(number) => *number,
    };
    let mut fields = Fields::default();
    fields.put("protocol", spec.protocol.to_string());
    match spec.end_port {
        None => {
            fields.put("port", number);
            only("portNumber", fields)
        }
        Some(end) => {
            fields.put("start", number);
            fields.put("end", end);
            only("portRange", fields)
        }
    }
}

/// The same in the words of ClusterNetworkPolicy.
pub(super) fn cluster(spec: &PortSpec) -> Json {
    let number = match &spec.port {
        Port::Name(name) => return only("destinationNamedPort", &**name),
        Port::Number(number) => *number,
    };
    let port = match spec.end_port {
        None => only("number", number),
        Some(end) => {
            let mut range = Fields::default();
            range.put("start", number);
            range.put("end", end);
            only("range", range)
        }
    };
    let protocol = spec.protocol.to_string().to_ascii_lowercase();
    only(&protocol, only("destinationPort", port))
}

/// The same in the words of NetworkPolicy.
pub(super) fn network(spec: &PortSpec) -> Fields {
    let mut fields = Fields::default();
    fields.put("protocol", spec.protocol.to_string());
    match &spec.port {
        Port::Number(0) => {}
        Port::Number(number) => fields.put("port", *number),
        Port::Name(name) => fields.put("port", &**name),
    }
    fields.some("endPort", spec.end_port);
    fields
}
