//! Points in time, as flows carry them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::ParseTimestampError;

/// A point in time: nanoseconds since the Unix epoch, UTC.
///
/// The range ends in the year 2554. `Display` and `FromStr` use RFC 3339 in the form of the
/// protobuf JSON mapping: UTC, and 0, 3, 6 or 9 digits of a second, as few as are exact.
///
/// ```
/// use porin_flow::Timestamp;
///
/// let time: Timestamp = "2026-03-02T09:30:00.737Z".parse()?;
/// assert_eq!(time.as_nanos(), 1_772_443_800_737_000_000);
/// assert_eq!(time.to_string(), "2026-03-02T09:30:00.737Z");
/// assert_eq!(time.compact().to_string(), "Mar  2 09:30:00.737");
/// # Ok::<(), porin_flow::ParseTimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The time `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `span`, ending at the last representable time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// The layout of `hubble observe`: `Jan _2 15:04:05.000`, UTC, milliseconds cut off.
    #[must_use]
    pub const fn compact(self) -> CompactTime {
        CompactTime(self)
    }

    fn civil(self) -> OffsetDateTime {
        // Every u64 of nanoseconds is a year between 1970 and 2554, which the type covers.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl From<SystemTime> for Timestamp {
    /// Times before the epoch become the epoch.
    fn from(time: SystemTime) -> Self {
        Self::EPOCH.after(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.civil();
        let (date, clock) = (t.date(), t.time());
        write!(
            f,
            "{:04}-{:02}-{:02}",
            date.year(),
            u8::from(date.month()),
            date.day()
        )?;
        write!(
            f,
            "T{:02}:{:02}:{:02}",
            clock.hour(),
            clock.minute(),
            clock.second()
        )?;
        match clock.nanosecond() {
            0 => {}
            n if n % 1_000_000 == 0 => write!(f, ".{:03}", n / 1_000_000)?,
            n if n % 1_000 == 0 => write!(f, ".{:06}", n / 1_000)?,
            n => write!(f, ".{n:09}")?,
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads RFC 3339 with any offset and up to nine digits of a second.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseTimestampError {
            text: text.to_owned(),
        };
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
        u64::try_from(time.unix_timestamp_nanos())
            .map(Self)
            .map_err(|_| wrong())
    }
}

/// A [`Timestamp`] in the layout of `hubble observe`; made by [`Timestamp::compact`].
#[derive(Debug, Clone, Copy)]
pub struct CompactTime(Timestamp);

impl fmt::Display for CompactTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0.civil();
        let month = t.month().to_string();
        let (date, clock) = (t.date(), t.time());
        write!(f, "{month:.3} {:2} ", date.day())?;
        write!(
            f,
            "{:02}:{:02}:{:02}",
            clock.hour(),
            clock.minute(),
            clock.second()
        )?;
        write!(f, ".{:03}", clock.millisecond())
    }
}
