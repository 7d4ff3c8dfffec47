//! Reading policies and worlds.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use porin::policy::World;

use crate::failure::Failure;

/// The conventional names of world and test files; such files are no policies.
const WORLD: &str = "world.yaml";
const TESTS: &str = "tests.yaml";

/// Reads every policy file: name and text. Of a directory the files `*.yaml`, `*.yml` and `*.json`, in
/// the order of their names; no hidden ones, no subdirectories.
pub(crate) fn policies(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(directory(path)?);
        } else {
            files.push(path.clone());
        }
    }
    files
        .into_iter()
        .map(|path| Ok((path.display().to_string(), read(&path)?)))
        .collect()
}

/// The world that the questions are about, if there is one.
pub(crate) fn world(given: Option<&Path>, policies: &[PathBuf]) -> Result<Option<World>, Failure> {
    let found = given
        .map(Path::to_path_buf)
        .or_else(|| policies.iter().find_map(|path| nearby(path, WORLD)));
    let Some(path) = found else { return Ok(None) };
    let name = path.display().to_string();
    let world = World::parse(&name, &read(&path)?).map_err(|e| Failure::Refused(e.to_string()))?;
    Ok(Some(world))
}

/// The files of tests that were given, or the one beside the policies.
pub(crate) fn tests(given: &[PathBuf], policies: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let found = policies.iter().find_map(|path| nearby(path, TESTS));
    Ok(vec![found.ok_or(Failure::NoTests)?])
}

pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn directory(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |source| Failure::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_policy(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::NoPolicies {
            path: path.to_path_buf(),
        });
    }
    Ok(files)
}

fn is_policy(file: &Path) -> bool {
    let extension = file.extension().and_then(OsStr::to_str);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    matches!(extension, Some("yaml" | "yml" | "json"))
        && !name.starts_with('.')
        && ![WORLD, TESTS].contains(&&*name)
}

/// A file in the directory of the policies or in its parent.
fn nearby(policies: &Path, name: &str) -> Option<PathBuf> {
    let absolute = policies.canonicalize().ok()?;
    let directory = if absolute.is_dir() {
        absolute.as_path()
    } else {
        absolute.parent()?
    };
    let found = [Some(directory), directory.parent()].into_iter().flatten();
    found
        .map(|place| place.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn a_directory_is_read_by_name_and_not_below() {
        let place = tempfile::tempdir().unwrap();
        for name in [
            "b.yml",
            "a.json",
            "c.yaml",
            ".d.yaml",
            "world.yaml",
            "e.txt",
        ] {
            fs::write(place.path().join(name), name).unwrap();
        }
        fs::create_dir(place.path().join("f.yaml")).unwrap();
        let files = policies(&[place.path().to_owned()]).unwrap();
        let texts: Vec<&str> = files.iter().map(|(_, text)| &**text).collect();
        assert_eq!(texts, ["a.json", "b.yml", "c.yaml"]);
    }
}
