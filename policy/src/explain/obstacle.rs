use std::fmt;

use ipnet::IpNet;

use crate::peers::Entity;
use crate::rule::Tier;
use crate::{Direction, Protocol};

/// The one thing that keeps a rule from a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The rule looks for the peer in another namespace.
    Namespace {
        /// Where the rule looks.
        wanted: String,
        /// Where the peer lives.
        found: String,
    },
    /// The rule looks for the peer in another cluster.
    Cluster {
        /// Where the rule looks.
        wanted: String,
        /// Where the peer runs.
        found: String,
    },
    /// One term of the rule's peer selector does not hold.
    Label {
        /// The term.
        wanted: String,
        /// The peer's label of that key, if it has one.
        found: Option<String>,
    },
    /// The rule speaks of entities that the peer does not belong to.
    Entity {
        /// The entity that the rule names.
        wanted: Entity,
        /// The entity that the peer is.
        found: Entity,
    },
    /// The rule speaks of a block that the peer does not lie in.
    Cidr {
        /// The block.
        wanted: IpNet,
        /// The narrowest known block around the peer; `None` if it is all of the world.
        found: Option<IpNet>,
    },
    /// The peer lies in the rule's block and in one of its exceptions.
    Except {
        /// The block.
        block: IpNet,
        /// The exception.
        except: IpNet,
    },
    /// The peer's address lies in the rule's block, but the peer is under management, and such peers
    /// are named by their labels.
    Managed {
        /// The block.
        block: IpNet,
    },
    /// The rule speaks of the peer, on other ports.
    Port {
        /// The ports as written.
        wanted: Vec<String>,
    },
    /// The rule speaks of the peer and the port, of another protocol.
    Protocol {
        /// The protocols of the port.
        wanted: Vec<Protocol>,
        /// The protocol of the flow.
        found: Protocol,
    },
    /// The rule speaks of the peer and the port, in the other direction.
    Direction {
        /// The direction that it stands in.
        wanted: Direction,
    },
    /// The rule covers the flow, and what decides belongs to a stronger tier.
    Tier {
        /// The tier of the rule.
        wanted: Tier,
        /// The tier of what decides.
        found: Tier,
    },
    /// The rule covers the flow, and is only tried.
    Staged,
}

impl Obstacle {
    /// What it is, in one word: for programs that count.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Namespace { .. } => "namespace",
            Self::Cluster { .. } => "cluster",
            Self::Label { .. } => "label",
            Self::Entity { .. } => "entity",
            Self::Cidr { .. } => "cidr",
            Self::Except { .. } => "except",
            Self::Managed { .. } => "managed",
            Self::Port { .. } => "port",
            Self::Protocol { .. } => "protocol",
            Self::Direction { .. } => "direction",
            Self::Tier { .. } => "tier",
            Self::Staged => "staged",
        }
    }

    /// The smallest change of the rule with which it would cover the flow.
    ///
    /// It is what would have to be changed, not advice to do so.
    #[must_use]
    pub fn change(&self) -> String {
        match self {
            Self::Namespace { found, .. } => {
                format!("write `k8s:io.kubernetes.pod.namespace: {found}` into the peer selector")
            }
            Self::Cluster { found, .. } => {
                format!("write `k8s:io.cilium.k8s.policy.cluster: {found}` into the peer selector")
            }
            Self::Label {
                wanted,
                found: Some(found),
            } => format!("write `{found}` in place of `{wanted}`"),
            Self::Label {
                wanted,
                found: None,
            } => format!("give the peer a label for `{wanted}`, or leave the term out"),
            Self::Entity { found, .. } => format!("add the entity `{found}`"),
            Self::Cidr {
                found: Some(found), ..
            } => format!("add the block {found}"),
            Self::Cidr { .. } => "add the peer's address".to_owned(),
            Self::Except { except, .. } => format!("take the exception {except} out"),
            Self::Managed { .. } => "name the peer by its labels".to_owned(),
            Self::Port { .. } => "add the port".to_owned(),
            Self::Protocol { found, .. } => format!("add the protocol {found}"),
            Self::Direction { wanted } => match wanted {
                Direction::Ingress => "write the rule under `egress`".to_owned(),
                Direction::Egress => "write the rule under `ingress`".to_owned(),
            },
            Self::Tier { found, .. } => {
                format!("write the rule into a policy of tier {found:?}, and stronger")
            }
            Self::Staged => "put the rule into force".to_owned(),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace { wanted, found } => write!(
                f,
                "would match in namespace `{found}`; it looks in `{wanted}`"
            ),
            Self::Cluster { wanted, found } => write!(
                f,
                "would match in cluster `{found}`; it looks in `{wanted}`"
            ),
            Self::Label {
                wanted,
                found: Some(found),
            } => write!(
                f,
                "would match a peer with `{wanted}`; this one has `{found}`"
            ),
            Self::Label {
                wanted,
                found: None,
            } => write!(
                f,
                "would match a peer with `{wanted}`; this one has no such label"
            ),
            Self::Entity { wanted, found } => {
                write!(f, "would match the entity `{wanted}`; this is `{found}`")
            }
            Self::Cidr {
                wanted,
                found: Some(found),
            } => write!(f, "would match in {wanted}; this is {found}"),
            Self::Cidr {
                wanted,
                found: None,
            } => write!(f, "would match in {wanted}; this is elsewhere"),
            Self::Except { block, except } => {
                write!(f, "would match in {block}, but leaves {except} out")
            }
            Self::Managed { block } => write!(
                f,
                "names {block}, which covers the peer's address; but a peer under management is \
                 only named by its labels"
            ),
            Self::Port { wanted } => write!(f, "would match on {}", wanted.join(", ")),
            Self::Protocol { wanted, found } => {
                let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "would match this port of {}; this is {found}",
                    wanted.join(", ")
                )
            }
            Self::Direction { wanted } => {
                write!(f, "would match as it is, but stands under `{wanted}`")
            }
            Self::Tier { wanted, found } => write!(
                f,
                "matches in tier {wanted:?}; tier {found:?} has decided before"
            ),
            Self::Staged => f.write_str("matches, but is only tried"),
        }
    }
}
