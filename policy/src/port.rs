use std::fmt;

/// An aligned block of ports: every port whose first `bits` bits are those of `port`.
///
/// 16 bits name one port, 0 bits name all of them. ICMP puts its message type where the port is.
///
/// ```
/// use porin_policy::PortPrefix;
/// let block = PortPrefix::new(8081, 12);
/// assert_eq!(block.to_string(), "8080/12");
/// assert!(block.covers(8095) && !block.covers(8096));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortPrefix {
    port: u16,
    bits: u8,
}

impl PortPrefix {
    /// Every port.
    pub const ALL: Self = Self { port: 0, bits: 0 };

    /// The block of `bits` bits around `port`. More than 16 bits count as 16.
    #[must_use]
    pub const fn new(port: u16, bits: u8) -> Self {
        let bits = if bits > 16 { 16 } else { bits };
        Self {
            port: port & Self::mask(bits),
            bits,
        }
    }

    /// One port.
    #[must_use]
    pub const fn exact(port: u16) -> Self {
        Self { port, bits: 16 }
    }

    const fn mask(bits: u8) -> u16 {
        if bits == 0 {
            0
        } else {
            u16::MAX << (16 - bits)
        }
    }

    /// The first port of the block.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }

    /// The last port of the block.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.port | !Self::mask(self.bits)
    }

    /// The length of the prefix, 0 to 16.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// Whether this is every port.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.bits == 0
    }

    /// Whether a port lies in the block.
    #[must_use]
    pub const fn covers(self, port: u16) -> bool {
        port & Self::mask(self.bits) == self.port
    }

    /// Whether the whole of another block lies in this one.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        other.bits >= self.bits && self.covers(other.port)
    }

    /// Cuts an inclusive range into the fewest aligned blocks, in ascending order.
    /// A range that ends before it starts holds nothing.
    ///
    /// ```
    /// use porin_policy::PortPrefix;
    /// let blocks: Vec<_> = PortPrefix::cut(8080, 8090).map(|block| block.to_string()).collect();
    /// assert_eq!(blocks, ["8080/13", "8088/15", "8090/16"]);
    /// ```
    pub fn cut(first: u16, last: u16) -> impl Iterator<Item = Self> {
        let mut next = Some(u32::from(first));
        std::iter::from_fn(move || {
            let start = next.filter(|start| *start <= u32::from(last))?;
            let left = u32::from(last) - start + 1;
            let aligned = if start == 0 {
                16
            } else {
                start.trailing_zeros()
            };
            let size = aligned.min(left.ilog2());
            next = Some(start + (1 << size));
            let port = u16::try_from(start).ok()?;
            Some(Self::new(port, u8::try_from(16 - size).ok()?))
        })
    }
}

impl fmt::Display for PortPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::PortPrefix;

    #[test]
    fn a_range_is_cut_exactly() {
        for (first, last) in [
            (0, 65535),
            (0, 0),
            (1, 65535),
            (65535, 65535),
            (80, 80),
            (1000, 2001),
            (9, 3),
        ] {
            let blocks: Vec<_> = PortPrefix::cut(first, last).collect();
            for port in 0..=u16::MAX {
                let hits = blocks.iter().filter(|block| block.covers(port)).count();
                assert_eq!(
                    hits,
                    usize::from(first <= port && port <= last),
                    "{first}-{last} at {port}"
                );
            }
        }
    }
}
