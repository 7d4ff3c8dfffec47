//! Recorded flows from files: lines of JSON as Hubble and Porin write them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use porin::flow::Flow;
use porin::policy::ask::{Recorded, Unjudged};

use crate::failure::Failure;
use crate::input;

/// Everything in some files, in order.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The flows that policies can be asked about, with their places.
    pub(crate) flows: Vec<(Place, Recorded)>,
    /// How many cannot be judged, by the reason.
    pub(crate) unjudged: BTreeMap<Unjudged, usize>,
    /// Lines that are no flow, or of a kind that is not read yet.
    pub(crate) unreadable: Vec<(Place, String)>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
}

impl Recording {
    /// Reads files; `-` is standard input.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut recording = Self::default();
        for path in paths {
            let text = text(path)?;
            for (line, text) in (1..).zip(text.lines()) {
                if !text.trim().is_empty() {
                    let file = path.display().to_string();
                    recording.add(Place { file, line }, text);
                }
            }
        }
        let nothing = recording.flows.is_empty() && recording.unjudged.is_empty();
        match recording.unreadable.first() {
            Some((Place { file, line }, error)) if nothing => {
                Err(Failure::Refused(format!("{file}:{line}: {error}")))
            }
            _ => Ok(recording),
        }
    }

    fn add(&mut self, place: Place, text: &str) {
        let flow = match Flow::from_json(text) {
            Ok(flow) => flow,
            Err(error) => return self.unreadable.push((place, error.to_string())),
        };
        match flow.recorded() {
            Ok(recorded) => self.flows.push((place, recorded)),
            Err(reason) => self.leave_out(reason),
        }
    }

    pub(crate) fn leave_out(&mut self, reason: Unjudged) {
        *self.unjudged.entry(reason).or_default() += 1;
    }

    /// How many lines there were.
    pub(crate) fn len(&self) -> usize {
        self.flows.len() + self.unjudged.values().sum::<usize>() + self.unreadable.len()
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    if path != Path::new("-") {
        return input::read(path);
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|source| Failure::Read {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(text)
}
