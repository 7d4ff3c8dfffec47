//! Peers that somebody else resolves: names in the DNS, services, groups of a cloud provider.

use super::dns;
use crate::group::{AwsGroup, GroupPeer};
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;
use crate::parse::selector;
use crate::peers::{FqdnPeer, Peer, ServicePeer, ServiceSource};

/// An element of `toFQDNs`. Without name and pattern it is a pattern that no name fits.
pub(super) fn fqdn(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Peer, ParseError> {
    reader.fields(at, &["matchName", "matchPattern"])?;
    let name = dns::name(reader, at)?;
    let pattern = dns::pattern(reader, at)?;
    Ok(Peer::Fqdn(match (name, pattern) {
        (Some(_), Some(_)) => {
            return Err(reader.invalid(
                at,
                "`matchName` and `matchPattern` exclude each other; write two elements",
            ));
        }
        (Some(name), None) => FqdnPeer::Name(name),
        (None, pattern) => FqdnPeer::Pattern(pattern.unwrap_or_default()),
    }))
}

/// An element of `toServices`. The selector goes before the name; without either the element is a
/// service without name, which does not exist.
pub(super) fn service(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Peer, ParseError> {
    reader.fields(at, &["k8sService", "k8sServiceSelector"])?;
    let mut peer = ServicePeer {
        source: ServiceSource::Name(Box::default()),
        namespace: None,
    };
    if let Some(named) = at.get("k8sService") {
        reader.fields(&named, &["serviceName", "namespace"])?;
        peer = ServicePeer {
            source: ServiceSource::Name(
                reader.boxed_of(&named, "serviceName")?.unwrap_or_default(),
            ),
            namespace: reader.boxed_of(&named, "namespace")?,
        };
    }
    if let Some(selected) = at.get("k8sServiceSelector") {
        reader.fields(&selected, &["selector", "namespace"])?;
        let Some(by) = selected.raw("selector") else {
            let reason = "`selector` is missing; write `selector: {}` for every service";
            return Err(reader.invalid(&selected, reason));
        };
        peer = ServicePeer {
            source: ServiceSource::Selector(selector::selector(reader, &by)?),
            namespace: reader.boxed_of(&selected, "namespace")?,
        };
    }
    Ok(Peer::Service(Box::new(peer)))
}

/// An element of `fromGroups` or `toGroups`.
pub(super) fn group(reader: &mut Reader<'_>, at: &At<'_>) -> Result<Peer, ParseError> {
    reader.fields(at, &["aws"])?;
    let aws = match at.get("aws") {
        Some(at) => Some(aws(reader, &at)?),
        None => None,
    };
    Ok(Peer::Group(Box::new(GroupPeer::new(aws))))
}

fn aws(reader: &mut Reader<'_>, at: &At<'_>) -> Result<AwsGroup, ParseError> {
    reader.fields(
        at,
        &[
            "labels",
            "securityGroupsIds",
            "securityGroupsNames",
            "region",
        ],
    )?;
    let text = |reader: &mut Reader<'_>, at: &At<'_>| reader.text(at).map(Into::into);
    Ok(AwsGroup {
        labels: reader.texts_of(at, "labels")?,
        ids: reader.each(at, "securityGroupsIds", text)?,
        names: reader.each(at, "securityGroupsNames", text)?,
        region: reader.boxed_of(at, "region")?,
    })
}
