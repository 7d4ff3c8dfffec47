use std::io::Write;

use porin::policy::ask::{Exposure, Party};

use super::program::Shown;
use super::{dot, text};
use crate::answer::json;
use crate::args::{ExposureForm, ExposureOf};
use crate::failure::Failure;
use crate::model;
use crate::status::Status;

/// Shows the port maps of the named workloads, or of all.
pub(crate) fn run(asked: &ExposureOf, out: &mut impl Write) -> Result<Status, Failure> {
    let model = model::read(&asked.inputs())?;
    let census = model.census();
    let subjects: Vec<Party> = match asked.of.is_empty() {
        true => census.workloads().cloned().collect(),
        false => asked
            .of
            .iter()
            .map(|name| census.party(name))
            .collect::<Result<_, _>>()?,
    };
    let maps: Vec<Exposure> = subjects
        .iter()
        .filter_map(|party| model.exposure(party))
        .collect();
    match asked.output {
        ExposureForm::Json => json(&maps.iter().map(Shown::from).collect::<Vec<_>>(), out)?,
        ExposureForm::Table => text::table(&maps, out)?,
        ExposureForm::Markdown => text::markdown(&maps, out)?,
        ExposureForm::Dot => dot::graph(&maps, out)?,
    }
    Ok(Status::Good)
}
