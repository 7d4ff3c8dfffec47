//! Maps whose keys and values have types.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::map::{Map, UpdateMode};
use super::pod::{Pod, bytes_of, from_bytes, slice_bytes, zeroed};
use super::shape::{MapKind, MapShape};
use crate::error::MapError;

/// A map from `K` to `V`.
///
/// The one way to get it is [`TypedMap::new`], which compares the kernel's
/// definition with the wanted shape; afterwards no length can be wrong.
#[derive(Debug)]
pub struct TypedMap<K, V> {
    map: Map,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Pod, V: Pod> TypedMap<K, V> {
    /// Takes the map as one from `K` to `V`.
    ///
    /// # Errors
    ///
    /// [`MapError::Mismatch`] if the kernel's map is of another kind, size or
    /// flags than `wanted`, or `wanted` does not fit the types.
    pub fn new(map: Map, wanted: &MapShape) -> Result<Self, MapError> {
        let typed = MapShape::of::<K, V>(wanted.kind, wanted.max_entries, wanted.flags);
        map.verify(&typed)?;
        map.verify(wanted)?;
        Ok(Self {
            map,
            types: PhantomData,
        })
    }

    /// Makes a new map.
    ///
    /// # Errors
    ///
    /// As [`Map::create`].
    pub fn create(name: &str, wanted: &MapShape) -> Result<Self, MapError> {
        Self::new(Map::create(name, wanted)?, wanted)
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn get(&self, key: &K) -> Result<Option<V>, MapError> {
        let mut bytes = vec![0; self.map.value_len()];
        let found = self.map.lookup(bytes_of(key), &mut bytes)?;
        Ok(if found { from_bytes(&bytes) } else { None })
    }

    /// Writes one entry, whether or not the key is there.
    ///
    /// # Errors
    ///
    /// [`MapError::Full`] if there is no room, otherwise the kernel's refusal.
    pub fn set(&self, key: &K, value: &V) -> Result<(), MapError> {
        self.update(key, value, UpdateMode::Any)
    }

    /// Writes one entry under a condition.
    ///
    /// # Errors
    ///
    /// As [`Map::update`].
    pub fn update(&self, key: &K, value: &V, mode: UpdateMode) -> Result<(), MapError> {
        self.map.update(bytes_of(key), bytes_of(value), mode)
    }

    /// Removes one entry; `false` if the key was absent.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn remove(&self, key: &K) -> Result<bool, MapError> {
        self.map.delete(bytes_of(key))
    }

    /// Writes many entries in one call: `keys[i]` gets `values[i]`.
    ///
    /// # Errors
    ///
    /// As [`Map::update_batch`].
    pub fn set_batch(&self, keys: &[K], values: &[V]) -> Result<(), MapError> {
        self.map
            .update_batch(slice_bytes(keys), slice_bytes(values), UpdateMode::Any)
    }

    /// Removes many entries in one call; absent keys are passed over.
    ///
    /// # Errors
    ///
    /// As [`Map::delete_batch`].
    pub fn remove_batch(&self, keys: &[K]) -> Result<(), MapError> {
        self.map.delete_batch(slice_bytes(keys))
    }

    /// Every entry, in no order.
    ///
    /// # Errors
    ///
    /// As [`Map::for_each`].
    pub fn entries(&self) -> Result<Vec<(K, V)>, MapError> {
        let mut entries = Vec::new();
        self.map.for_each(|key, value| {
            if let (Some(key), Some(value)) = (from_bytes(key), from_bytes(value)) {
                entries.push((key, value));
            }
        })?;
        Ok(entries)
    }

    /// The map without its types.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }
}

impl<K, V> AsFd for TypedMap<K, V> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// A map from `K` to one `V` per possible CPU.
#[derive(Debug)]
pub struct PerCpuMap<K, V> {
    map: Map,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Pod, V: Pod> PerCpuMap<K, V> {
    /// Takes the map as one from `K` to a `V` per CPU.
    ///
    /// # Errors
    ///
    /// As [`TypedMap::new`].
    pub fn new(map: Map, wanted: &MapShape) -> Result<Self, MapError> {
        let typed = MapShape::of::<K, V>(wanted.kind, wanted.max_entries, wanted.flags);
        map.verify(&typed)?;
        map.verify(wanted)?;
        Ok(Self {
            map,
            types: PhantomData,
        })
    }

    /// The values of `key`, one per possible CPU; empty if the key is absent.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn get(&self, key: &K) -> Result<Vec<V>, MapError> {
        let mut bytes = vec![0; self.map.value_len()];
        if !self.map.lookup(bytes_of(key), &mut bytes)? {
            return Ok(Vec::new());
        }
        Ok(split(&bytes))
    }

    /// Writes `value` as the value of every CPU.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn set_all(&self, key: &K, value: &V) -> Result<(), MapError> {
        let step = size_of::<V>().next_multiple_of(8);
        let mut bytes = vec![0; self.map.value_len()];
        for copy in bytes.chunks_exact_mut(step) {
            for (slot, byte) in copy.iter_mut().zip(bytes_of(value)) {
                *slot = *byte;
            }
        }
        self.map.update(bytes_of(key), &bytes, UpdateMode::Any)
    }

    /// Every entry.
    ///
    /// # Errors
    ///
    /// As [`Map::for_each`].
    pub fn entries(&self) -> Result<Vec<(K, Vec<V>)>, MapError> {
        let mut entries = Vec::new();
        self.map.for_each(|key, values| {
            if let Some(key) = from_bytes(key) {
                entries.push((key, split(values)));
            }
        })?;
        Ok(entries)
    }

    /// The map without its types.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }
}

fn split<V: Pod>(bytes: &[u8]) -> Vec<V> {
    bytes
        .chunks_exact(size_of::<V>().next_multiple_of(8))
        .filter_map(from_bytes)
        .collect()
}

/// A map from `K` to maps.
///
/// Replacing one inner map waits for an RCU grace period (about 8 ms);
/// [`set_batch`](Self::set_batch) replaces any number of them in one or two.
#[derive(Debug)]
pub struct MapOfMaps<K> {
    map: Map,
    key: PhantomData<fn() -> K>,
}

impl<K: Pod> MapOfMaps<K> {
    /// Takes the map as one from `K` to maps.
    ///
    /// # Errors
    ///
    /// As [`TypedMap::new`].
    pub fn new(map: Map, wanted: &MapShape) -> Result<Self, MapError> {
        map.verify(&MapShape::of::<K, u32>(
            wanted.kind,
            wanted.max_entries,
            wanted.flags,
        ))?;
        match wanted.kind {
            MapKind::ArrayOfMaps | MapKind::HashOfMaps => Ok(Self {
                map,
                key: PhantomData,
            }),
            other => Err(MapError::Mismatch {
                map: map.info().name.clone(),
                field: "type",
                expected: MapKind::HashOfMaps.number(),
                found: other.number(),
            }),
        }
    }

    /// The number of the map under `key`; [`Map::from_id`] opens it.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn get(&self, key: &K) -> Result<Option<u32>, MapError> {
        let mut bytes = [0; 4];
        let found = self.map.lookup(bytes_of(key), &mut bytes)?;
        Ok(found.then(|| u32::from_ne_bytes(bytes)))
    }

    /// Puts `inner` under `key`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the inner map is not like the outer map's prototype.
    pub fn set(&self, key: &K, inner: &Map) -> Result<(), MapError> {
        self.set_batch(&[(*key, inner)])
    }

    /// Puts many inner maps in place in one call.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn set_batch(&self, entries: &[(K, &Map)]) -> Result<(), MapError> {
        let mut keys = Vec::with_capacity(entries.len());
        let mut values = Vec::with_capacity(entries.len());
        for (key, inner) in entries {
            keys.push(*key);
            values.push(inner.as_fd().as_raw_fd().cast_unsigned());
        }
        self.map
            .update_batch(slice_bytes(&keys), slice_bytes(&values), UpdateMode::Any)
    }

    /// Takes away what is under these keys; absent ones are passed over.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn remove_batch(&self, keys: &[K]) -> Result<(), MapError> {
        self.map.delete_batch(slice_bytes(keys))
    }

    /// The numbers of all inner maps, by the bytes of their keys.
    ///
    /// # Errors
    ///
    /// As [`Map::next_key`].
    pub fn ids(&self) -> Result<Vec<(K, u32)>, MapError>
    where
        K: Ord,
    {
        let mut ids = BTreeMap::new();
        let (mut key, mut next) = (zeroed::<K>(), vec![0; size_of::<K>()]);
        let mut more = self.map.next_key(None, &mut next)?;
        while more {
            if let Some(found) = from_bytes(&next) {
                key = found;
            }
            if let Some(id) = self.get(&key)? {
                ids.insert(key, id);
            }
            more = self.map.next_key(Some(bytes_of(&key)), &mut next)?;
        }
        Ok(ids.into_iter().collect())
    }

    /// The map without its types.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }
}
