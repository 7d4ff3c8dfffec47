//! Unnamed network namespaces, the links between them and the processes inside them: the ground
//! that tests and demonstrations with real packets stand on.
//!
//! Everything here is owned by a value and goes away with it. A [`Namespace`] has no name, so two
//! runs never meet and nothing is left when the process dies: the kernel takes the namespace, its
//! links and what is attached to them once the last file descriptor is closed. A [`Process`] is
//! killed and waited for when it is dropped, because a child that lives on would hold its
//! namespace.
//!
//! ```no_run
//! use porin_testbed::Namespace;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Namespace::new()?;
//! let pod = Namespace::new()?;
//! let pair = node.veth("pod0", &pod, "eth0")?;
//! pod.add_address("eth0", "10.1.0.5/24".parse()?)?;
//! node.add_address("pod0", "10.1.0.1/24".parse()?)?;
//! for (namespace, link) in [(&node, "pod0"), (&pod, "eth0")] {
//!     namespace.up(link)?;
//! }
//! let socket = pod.run(|| std::net::TcpListener::bind("10.1.0.5:80"))??;
//! println!("device {} leads to {}", pair.index, socket.local_addr()?);
//! # Ok(())
//! # }
//! ```

mod capability;
mod error;
mod link;
mod namespace;
mod packet;
mod process;
pub mod suite;

pub use capability::{Capability, Missing, privileges, require};
pub use error::{LinkError, NamespaceError, ProcessError};
pub use ipnet::IpNet;
pub use link::{Mac, ParseMacError, Veth};
pub use namespace::Namespace;
pub use nix::sys::signal::Signal;
pub use packet::PacketSocket;
pub use process::Process;
