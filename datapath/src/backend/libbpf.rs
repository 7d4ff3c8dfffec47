//! Loading with libbpf, through libbpf-rs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::btf::types::{DataSec, Var};
use libbpf_rs::{
    ErrorKind, MapCore, Object, ObjectBuilder, OpenObject, PrintLevel, btf::Btf, set_print,
};

use super::{Load, LoadPlan, Loaded, Loader, refused};
use crate::error::{LoadError, MapError};
use crate::sys::{Map, Program};

/// The section of the constants.
const CONSTANTS: &str = ".rodata";
/// The sections that are maps to libbpf: the programs' own business.
const SECTIONS: [&str; 3] = [CONSTANTS, ".data", ".bss"];

/// The loader of the feature `libbpf`.
pub(super) struct Libbpf;

impl Load for Libbpf {
    fn load(&self, plan: &LoadPlan<'_>) -> Result<Loaded, LoadError> {
        let (result, log) = quietly(|| {
            let mut object = ObjectBuilder::default().open_memory(plan.object)?;
            prepare(&mut object, plan)?;
            object.load().map_err(Refusal::Load)
        });
        let object = result.map_err(|refusal| refusal.into_error(log))?;
        Ok(Loaded {
            maps: maps(&object)?,
            programs: programs(&object, plan.programs)?,
        })
    }
}

/// Why an object did not come into the kernel.
enum Refusal {
    /// Before the kernel was asked.
    Object(libbpf_rs::Error),
    /// By the kernel.
    Load(libbpf_rs::Error),
    /// Something asked for is not in the object.
    Absent(&'static str, String),
}

impl From<libbpf_rs::Error> for Refusal {
    fn from(error: libbpf_rs::Error) -> Self {
        Self::Object(error)
    }
}

impl Refusal {
    fn into_error(self, log: String) -> LoadError {
        let error = match self {
            Self::Absent(what, name) => return LoadError::Absent { what, name },
            Self::Object(error) => return object_error(error),
            Self::Load(error) => error,
        };
        let by_verifier = log.contains("BEGIN PROG LOAD LOG");
        let source = io::Error::from_raw_os_error(errno(&error));
        if !by_verifier && source.kind() != io::ErrorKind::PermissionDenied {
            // A map could not be made, for instance: what libbpf said tells which.
            return object_error(format!("{error}: {}", log.trim()));
        }
        let program = refused_program(&log).unwrap_or("*").to_owned();
        let log = if by_verifier { log } else { String::new() };
        refused(&program, log, source)
    }
}

/// The errno closest to what libbpf-rs tells.
fn errno(error: &libbpf_rs::Error) -> i32 {
    match error.kind() {
        ErrorKind::PermissionDenied => libc::EPERM,
        ErrorKind::NotFound => libc::ENOENT,
        _ => libc::EINVAL,
    }
}

/// The name in libbpf's line `libbpf: prog 'NAME': BPF program load failed: …`.
fn refused_program(log: &str) -> Option<&str> {
    let (_, rest) = log.split_once("prog '")?;
    Some(rest.split_once('\'')?.0)
}

/// Sets constants, capacities, reused maps and which programs to load.
fn prepare(object: &mut OpenObject, plan: &LoadPlan<'_>) -> Result<(), Refusal> {
    for mut program in object.progs_mut() {
        let wanted = plan.programs.iter().any(|name| program.name() == *name);
        program.set_autoload(wanted);
    }
    for (name, capacity) in &plan.capacities {
        let mut maps = object.maps_mut();
        let Some(mut map) = maps.find(|map| map.name() == *name) else {
            return Err(Refusal::Absent("map", (*name).to_owned()));
        };
        map.set_max_entries(*capacity)?;
    }
    for (name, path) in &plan.reuse {
        let mut maps = object.maps_mut();
        let Some(mut map) = maps.find(|map| map.name() == *name) else {
            return Err(Refusal::Absent("map", (*name).to_owned()));
        };
        map.reuse_pinned_map(path)?;
    }
    set_constants(object, plan)
}

/// Writes the constants where the object's type information says they are.
fn set_constants(object: &mut OpenObject, plan: &LoadPlan<'_>) -> Result<(), Refusal> {
    if plan.constants.is_empty() {
        return Ok(());
    }
    let types = Btf::from_raw("porin", plan.object)?;
    for (name, bytes) in &plan.constants {
        let absent = || Refusal::Absent("constant", (*name).to_owned());
        let offset = types
            .as_ref()
            .and_then(|types| offset(types, name, bytes.len()))
            .ok_or_else(absent)?;
        let mut maps = object.maps_mut();
        let mut section = maps
            .find(|map| map.name().to_string_lossy().ends_with(CONSTANTS))
            .ok_or_else(absent)?;
        let target = section
            .initial_value_mut()
            .and_then(|value| value.get_mut(offset..offset.checked_add(bytes.len())?))
            .ok_or_else(absent)?;
        target.copy_from_slice(bytes);
    }
    Ok(())
}

/// Where in its section the constant of this name and length lies.
fn offset(types: &Btf<'_>, name: &str, len: usize) -> Option<usize> {
    let section: DataSec<'_> = types.type_by_name(CONSTANTS)?;
    section
        .iter()
        .filter(|place| place.size == len)
        .find(|place| {
            types
                .type_by_id::<Var<'_>>(place.ty)
                .and_then(|variable| variable.name())
                .is_some_and(|found| found == name)
        })
        .map(|place| place.offset as usize)
}

fn programs(object: &Object, wanted: &[&str]) -> Result<BTreeMap<String, Program>, LoadError> {
    let mut programs = BTreeMap::new();
    for program in object.progs() {
        let name = program.name().to_string_lossy().into_owned();
        if !wanted.contains(&name.as_str()) {
            continue;
        }
        let fd = program.as_fd().try_clone_to_owned().map_err(object_error)?;
        programs.insert(name, Program::from_fd(fd).map_err(object_error)?);
    }
    Ok(programs)
}

fn maps(object: &Object) -> Result<BTreeMap<String, Map>, LoadError> {
    let mut maps = BTreeMap::new();
    for map in object.maps() {
        let name = map.name().to_string_lossy().into_owned();
        if SECTIONS.iter().any(|section| name.ends_with(section)) {
            continue;
        }
        let fd = map.as_fd().try_clone_to_owned().map_err(object_error)?;
        let map = Map::from_fd(fd).map_err(|source| MapError::call(&name, source))?;
        maps.insert(name, map);
    }
    Ok(maps)
}

fn object_error(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LoadError {
    LoadError::Object {
        loader: Loader::Libbpf,
        source: source.into(),
    }
}

thread_local! {
    /// What libbpf says on this thread; `None` while nobody listens.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// libbpf has one print function per process; whoever sets it holds this.
static PRINTING: Mutex<()> = Mutex::new(());

/// Runs `work` and gives back what libbpf said meanwhile, instead of having it
/// on standard error. The print function that was set before is set again.
fn quietly<R>(work: impl FnOnce() -> R) -> (R, String) {
    let _printing = PRINTING.lock().unwrap_or_else(PoisonError::into_inner);
    SAID.with(|said| said.replace(Some(String::new())));
    let before = set_print(Some((PrintLevel::Info, listen)));
    let result = work();
    set_print(before);
    let said = SAID.with(RefCell::take).unwrap_or_default();
    (result, said)
}

#[allow(clippy::needless_pass_by_value, reason = "the type is libbpf-rs's own")]
fn listen(_level: PrintLevel, text: String) {
    SAID.with(|said| {
        if let Some(said) = said.borrow_mut().as_mut() {
            said.push_str(&text);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_program_is_found_in_the_log() {
        let log = "libbpf: prog 'from_endpoint': BPF program load failed: -EINVAL\n";
        assert_eq!(refused_program(log), Some("from_endpoint"));
        assert_eq!(refused_program("libbpf: something else"), None);
    }
}
