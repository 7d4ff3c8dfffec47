//! What a connection came to.

use std::fmt;
use std::time::Duration;

/// Packets that passed in one direction, each counted once.
///
/// Two processors that count for one direction of one connection at the same moment may lose a
/// count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// How many; begins again after 2^32.
    pub packets: u32,
    /// Their bytes, link headers included.
    pub bytes: u64,
}

/// What a connection came to, at its end or so far.
///
/// `Display` is what the summary of a flow says of it.
///
/// ```
/// use std::time::Duration;
/// use porin_flow::{Totals, Traffic};
///
/// let totals = Totals {
///     sent: Traffic { packets: 5, bytes: 400 },
///     received: Traffic { packets: 3, bytes: 9000 },
///     age: Duration::from_millis(1500),
///     handshake: Some(Duration::from_micros(83)),
/// };
/// assert_eq!(
///     totals.to_string(),
///     "sent 5 packets, 400 bytes; received 3 packets, 9000 bytes; age 1.5s; handshake 83µs"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// By the end that began.
    pub sent: Traffic,
    /// By the end that answers.
    pub received: Traffic,
    /// Since the first packet, as far as the clock of the producer tells (the kernel's programs: to
    /// 4.2 ms).
    pub age: Duration,
    /// How long the TCP handshake took, from the SYN to the initiator's ACK; `None` if it was not
    /// seen, or is not over.
    pub handshake: Option<Duration>,
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} bytes", self.packets, self.bytes)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, .. } = self;
        let age = Duration::from_secs(self.age.as_secs())
            + Duration::from_millis(self.age.subsec_millis().into());
        write!(f, "sent {sent}; received {received}; age {age:?}")?;
        match self.handshake {
            Some(took) => write!(f, "; handshake {took:?}"),
            None => Ok(()),
        }
    }
}
