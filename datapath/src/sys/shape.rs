//! What a map is made of.

use super::pod::Pod;

/// The kinds of map that this crate uses (`enum bpf_map_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`
    Array,
    /// `BPF_MAP_TYPE_PROG_ARRAY`
    ProgramArray,
    /// `BPF_MAP_TYPE_PERCPU_HASH`
    PerCpuHash,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`
    PerCpuArray,
    /// `BPF_MAP_TYPE_LRU_HASH`
    LruHash,
    /// `BPF_MAP_TYPE_LPM_TRIE`
    LpmTrie,
    /// `BPF_MAP_TYPE_ARRAY_OF_MAPS`
    ArrayOfMaps,
    /// `BPF_MAP_TYPE_HASH_OF_MAPS`
    HashOfMaps,
    /// `BPF_MAP_TYPE_SOCKMAP`
    SockMap,
    /// `BPF_MAP_TYPE_RINGBUF`
    RingBuffer,
    /// Any other kind, by its number.
    Other(u32),
}

impl MapKind {
    /// The kernel's number of the kind.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Hash => 1,
            Self::Array => 2,
            Self::ProgramArray => 3,
            Self::PerCpuHash => 5,
            Self::PerCpuArray => 6,
            Self::LruHash => 9,
            Self::LpmTrie => 11,
            Self::ArrayOfMaps => 12,
            Self::HashOfMaps => 13,
            Self::SockMap => 15,
            Self::RingBuffer => 27,
            Self::Other(number) => number,
        }
    }

    /// The kind of a kernel's number.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Hash,
            2 => Self::Array,
            3 => Self::ProgramArray,
            5 => Self::PerCpuHash,
            6 => Self::PerCpuArray,
            9 => Self::LruHash,
            11 => Self::LpmTrie,
            12 => Self::ArrayOfMaps,
            13 => Self::HashOfMaps,
            15 => Self::SockMap,
            27 => Self::RingBuffer,
            other => Self::Other(other),
        }
    }

    /// Whether a value is one copy per possible CPU.
    pub(super) const fn is_per_cpu(self) -> bool {
        matches!(self, Self::PerCpuHash | Self::PerCpuArray | Self::Other(10))
    }
}

/// The flags a map was made with (`BPF_F_*` of `BPF_MAP_CREATE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MapFlags(u32);

impl MapFlags {
    /// No flags.
    pub const NONE: Self = Self(0);
    /// `BPF_F_NO_PREALLOC`: elements are allocated as they come.
    pub const NO_PREALLOC: Self = Self(1);
    /// `BPF_F_MMAPABLE`: an array whose memory user space may map.
    pub const MMAPABLE: Self = Self(1 << 10);

    /// These bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a map is made of: everything that must agree before two maps may stand for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapShape {
    /// Its kind.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value (of one CPU, for the per-CPU kinds).
    pub value_size: u32,
    /// How many entries it holds at most.
    pub max_entries: u32,
    /// The flags it was made with.
    pub flags: MapFlags,
}

impl MapShape {
    /// The shape of a map from `K` to `V`.
    #[must_use]
    pub const fn of<K: Pod, V: Pod>(kind: MapKind, max_entries: u32, flags: MapFlags) -> Self {
        Self {
            kind,
            key_size: size_of::<K>() as u32,
            value_size: size_of::<V>() as u32,
            max_entries,
            flags,
        }
    }

    /// The first field in which `found` differs: its name, what is wanted, what is there.
    pub(super) fn difference(&self, found: &Self) -> Option<(&'static str, u32, u32)> {
        [
            ("type", self.kind.number(), found.kind.number()),
            ("key size", self.key_size, found.key_size),
            ("value size", self.value_size, found.value_size),
            ("max entries", self.max_entries, found.max_entries),
            ("flags", self.flags.bits(), found.flags.bits()),
        ]
        .into_iter()
        .find(|(_, wanted, there)| wanted != there)
    }
}

/// What the kernel says about a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Its number, unique while the map lives.
    pub id: u32,
    /// Its name: at most 15 bytes.
    pub name: String,
    /// Its shape.
    pub shape: MapShape,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_names_the_first_field_that_differs() {
        let wanted = MapShape::of::<u32, u64>(MapKind::Hash, 8, MapFlags::NO_PREALLOC);
        let mut found = wanted;
        assert_eq!(wanted.difference(&found), None);
        found.max_entries = 9;
        assert_eq!(wanted.difference(&found), Some(("max entries", 8, 9)));
        found.value_size = 4;
        assert_eq!(wanted.difference(&found), Some(("value size", 8, 4)));
    }

    #[test]
    fn kinds_survive_their_numbers() {
        for number in 0..40 {
            assert_eq!(MapKind::from_number(number).number(), number);
        }
    }
}
