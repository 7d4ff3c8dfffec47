//! What every loader is asked for, what it answers, and the choice between them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::LoadError;
#[cfg(any(feature = "aya", feature = "libbpf"))]
use crate::probe::{Capability, Missing};
#[cfg(any(feature = "aya", feature = "libbpf"))]
use crate::sys::{CallError, Command, kernel_release};
use crate::sys::{Map, Program};

/// Which library loads the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loader {
    /// aya: pure Rust; the feature `aya`.
    Aya,
    /// libbpf, through libbpf-rs; the feature `libbpf`.
    Libbpf,
}

impl Loader {
    /// The loaders that this build has, the preferred one first.
    #[must_use]
    pub const fn available() -> &'static [Self] {
        &[
            #[cfg(feature = "aya")]
            Self::Aya,
            #[cfg(feature = "libbpf")]
            Self::Libbpf,
        ]
    }

    /// Makes the plan's maps and loads its programs.
    ///
    /// # Errors
    ///
    /// [`LoadError::LoaderAbsent`] if this build does not have the loader;
    /// otherwise what the loader, the verifier or the kernel objected to.
    pub fn load(self, plan: &LoadPlan<'_>) -> Result<Loaded, LoadError> {
        let loaded: Loaded = match self {
            #[cfg(feature = "aya")]
            Self::Aya => super::aya::Aya.load(plan),
            #[cfg(feature = "libbpf")]
            Self::Libbpf => super::libbpf::Libbpf.load(plan),
            #[allow(unreachable_patterns, reason = "reached where a loader is left out")]
            absent => Err(LoadError::LoaderAbsent(absent)),
        }?;
        plan.check(&loaded)?;
        Ok(loaded)
    }
}

impl Default for Loader {
    /// The first loader that this build has.
    fn default() -> Self {
        Self::available().first().copied().unwrap_or(Self::Aya)
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aya => "aya",
            Self::Libbpf => "libbpf",
        })
    }
}

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct LoadPlan<'a> {
    /// The bytes of the ELF object.
    pub object: &'a [u8],
    /// Read-only constants of the programs, by name, with their new bytes.
    pub constants: Vec<(&'a str, &'a [u8])>,
    /// How many entries maps hold, by name, where it is not what the object says.
    pub capacities: Vec<(&'a str, u32)>,
    /// Maps that exist already, by name, with the path of their pin. The
    /// caller has compared them with what the object needs.
    pub reuse: Vec<(&'a str, &'a Path)>,
    /// The programs to load, by name.
    pub programs: &'a [&'a str],
}

impl LoadPlan<'_> {
    /// Whether everything asked for has come.
    fn check(&self, loaded: &Loaded) -> Result<(), LoadError> {
        let absent = |what, name: &str| {
            Err(LoadError::Absent {
                what,
                name: name.to_owned(),
            })
        };
        for name in self.programs {
            if !loaded.programs.contains_key(*name) {
                return absent("program", name);
            }
        }
        let capacities = self.capacities.iter().map(|(name, _)| *name);
        for name in capacities.chain(self.reuse.iter().map(|(name, _)| *name)) {
            if !loaded.maps.contains_key(name) {
                return absent("map", name);
            }
        }
        Ok(())
    }
}

/// What a loader has brought into the kernel.
#[derive(Debug)]
pub struct Loaded {
    /// The object's maps, by name, without those that hold constants and variables.
    pub maps: BTreeMap<String, Map>,
    /// The programs asked for, by name.
    pub programs: BTreeMap<String, Program>,
}

impl Loaded {
    /// Takes out a map.
    ///
    /// # Errors
    ///
    /// [`LoadError::Absent`] if there is none of this name.
    pub fn map(&mut self, name: &str) -> Result<Map, LoadError> {
        self.maps.remove(name).ok_or_else(|| LoadError::Absent {
            what: "map",
            name: name.to_owned(),
        })
    }

    /// Takes out a program.
    ///
    /// # Errors
    ///
    /// [`LoadError::Absent`] if there is none of this name.
    pub fn program(&mut self, name: &str) -> Result<Program, LoadError> {
        self.programs.remove(name).ok_or_else(|| LoadError::Absent {
            what: "program",
            name: name.to_owned(),
        })
    }
}

/// Why `BPF_PROG_LOAD` said no: for want of a capability, by the verifier (which
/// then has a log), or by something else that forbids it.
#[cfg(any(feature = "aya", feature = "libbpf"))]
pub(super) fn refused(program: &str, log: String, source: std::io::Error) -> LoadError {
    let error = CallError::new(Command::ProgramLoad, source);
    let needed = [Capability::Bpf, Capability::NetAdmin, Capability::Perfmon];
    match Missing::explain(&error, "loading a BPF program", &needed) {
        // Without CAP_PERFMON the verifier is stricter, and says so only to those who know it.
        Some(missing @ Missing::Capabilities(_)) => missing.into(),
        Some(missing) if log.trim().is_empty() => missing.into(),
        _ => LoadError::Program {
            kernel: kernel_release(),
            program: program.to_owned(),
            log,
            source: error.source,
        },
    }
}

/// A library that loads objects. Private, so that only this crate implements it.
#[cfg(any(feature = "aya", feature = "libbpf"))]
pub(super) trait Load {
    fn load(&self, plan: &LoadPlan<'_>) -> Result<Loaded, LoadError>;
}
