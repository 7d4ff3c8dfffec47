//! Loading with aya.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use aya::maps::{Map as AyaMap, MapData, MapError as AyaMapError};
use aya::programs::{Program as AyaProgram, ProgramError};
use aya::{Ebpf, EbpfError, EbpfLoader};

use super::{Load, LoadPlan, Loaded, Loader, refused};
use crate::error::{LoadError, MapError};
use crate::probe::{Capability, Missing};
use crate::sys::{CallError, Command, Map, Program};

/// The loader of the feature `aya`.
pub(super) struct Aya;

impl Load for Aya {
    fn load(&self, plan: &LoadPlan<'_>) -> Result<Loaded, LoadError> {
        let mut loader = EbpfLoader::new();
        // The object needs no types of the running kernel, and reading them takes a while.
        loader.btf(None);
        for (name, bytes) in &plan.constants {
            loader.override_global(name, *bytes, true);
        }
        for (name, capacity) in &plan.capacities {
            loader.map_max_entries(name, *capacity);
        }
        for (name, path) in &plan.reuse {
            loader.map_pin_path(name, *path);
        }
        let mut object = loader.load(plan.object).map_err(object_error)?;
        Ok(Loaded {
            programs: programs(&mut object, plan.programs)?,
            maps: maps(&object)?,
        })
    }
}

fn programs(object: &mut Ebpf, wanted: &[&str]) -> Result<BTreeMap<String, Program>, LoadError> {
    let mut programs = BTreeMap::new();
    for name in wanted {
        let loaded = match object.program_mut(name) {
            Some(AyaProgram::SchedClassifier(program)) => {
                program.load().and_then(|()| program.fd())
            }
            Some(AyaProgram::CgroupSkb(program)) => program.load().and_then(|()| program.fd()),
            Some(AyaProgram::CgroupSockAddr(program)) => program.load().and_then(|()| program.fd()),
            _ => {
                return Err(LoadError::Absent {
                    what: "program",
                    name: (*name).to_owned(),
                });
            }
        };
        let fd = loaded.map_err(|error| program_error(name, error))?;
        let fd = fd.as_fd().try_clone_to_owned().map_err(object_source)?;
        let program = Program::from_fd(fd).map_err(object_source)?;
        programs.insert((*name).to_owned(), program);
    }
    Ok(programs)
}

fn maps(object: &Ebpf) -> Result<BTreeMap<String, Map>, LoadError> {
    let mut maps = BTreeMap::new();
    for (name, map) in object.maps() {
        // `.rodata`, `.data` and `.bss` are the programs' own business.
        if name.starts_with('.') {
            continue;
        }
        let data = data(map).ok_or_else(|| object_source("a map of unknown kind"))?;
        let fd = data
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(object_source)?;
        let map = Map::from_fd(fd).map_err(|source| MapError::call(name, source))?;
        maps.insert(name.to_owned(), map);
    }
    Ok(maps)
}

/// The data that every kind of map has in common.
fn data(map: &AyaMap) -> Option<&MapData> {
    match map {
        AyaMap::Array(data)
        | AyaMap::ArrayOfMaps(data)
        | AyaMap::HashMap(data)
        | AyaMap::HashOfMaps(data)
        | AyaMap::LpmTrie(data)
        | AyaMap::LruHashMap(data)
        | AyaMap::PerCpuArray(data)
        | AyaMap::PerCpuHashMap(data)
        | AyaMap::PerCpuLruHashMap(data)
        | AyaMap::ProgramArray(data)
        | AyaMap::RingBuf(data)
        | AyaMap::SockHash(data)
        | AyaMap::SockMap(data)
        | AyaMap::SkStorage(data) => Some(data),
        _ => None,
    }
}

fn object_source(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LoadError {
    LoadError::Object {
        loader: Loader::Aya,
        source: source.into(),
    }
}

fn object_error(error: EbpfError) -> LoadError {
    match error {
        EbpfError::MapError(AyaMapError::CreateError { name, io_error, .. }) => {
            let error = CallError::new(Command::MapCreate, io_error);
            match Missing::explain(&error, "making a BPF map", &[Capability::Bpf]) {
                Some(missing) => missing.into(),
                None => MapError::call(&name, error).into(),
            }
        }
        other => object_source(other),
    }
}

fn program_error(name: &str, error: ProgramError) -> LoadError {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => refused(name, verifier_log.to_string(), io_error),
        other => object_source(other),
    }
}
