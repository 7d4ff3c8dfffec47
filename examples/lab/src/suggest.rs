//! `suggest`: the least policies that allow recorded flows.

use std::io::Write;

use porin::flow::Escaped;
use porin::identity::Families;
use porin::policy::ask::{Census, Recorded, suggest};
use porin::policy::{Direction, Options, PolicySet, Verdict};

use crate::args::{Form, Outcomes, Suggest, Way};
use crate::failure::Failure;
use crate::input;
use crate::recording::Recording;
use crate::status::Status;

/// Writes policies; good if they allow every flow that was chosen.
pub(crate) fn run(asked: &Suggest, out: &mut impl Write) -> Result<Status, Failure> {
    let recording = Recording::read(&asked.flows)?;
    let wanted = |flow: &Recorded| match asked.verdict {
        Outcomes::Allowed => flow.verdict != Verdict::Deny,
        Outcomes::Dropped => flow.verdict == Verdict::Deny,
        Outcomes::All => true,
    };
    let flows = recording.flows.iter().map(|(_, flow)| flow.clone());
    let flows: Vec<Recorded> = flows.filter(wanted).collect();
    let world = input::world(asked.world.as_deref(), &[])?.unwrap_or_default();
    let nothing = PolicySet::new(Options::new().families(Families::Dual));
    let mut census = Census::new(&world, &[&nothing])?;
    for flow in &flows {
        census.admit_recorded(flow, &[])?;
    }
    let directions: &[Direction] = match asked.direction {
        Way::Ingress => &[Direction::Ingress],
        Way::Egress => &[Direction::Egress],
        Way::Both => &Direction::ALL,
    };
    let suggestion = suggest(&census, &flows, directions);
    match asked.output {
        Form::Yaml => write!(out, "{}", suggestion.to_yaml())?,
        Form::Json => writeln!(out, "{}", suggestion.to_json())?,
    }
    for remark in &suggestion.remarks {
        eprintln!("porin-lab: {}", Escaped(&remark.to_string()));
    }
    for (reason, count) in &recording.unjudged {
        eprintln!("porin-lab: {count} flows left out: {reason}");
    }
    if !recording.unreadable.is_empty() {
        eprintln!("porin-lab: {} lines not read", recording.unreadable.len());
    }
    Ok(Status::good_if(suggestion.covers_all()))
}
