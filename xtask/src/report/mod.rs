//! `cargo xtask report`: measured figures, each with its reference, its bar and whether it holds.

mod catalogue;
mod measure;
mod table;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use crate::{differential, failure::Failure, peers::CiliumPolicy, workspace::Workspace};

use self::catalogue::{CATALOGUE, Unit};

/// What to measure and how to print it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sections to measure; all of them when none is named.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Also build and run the real peers, alternating with ours; the reference is then theirs.
    #[arg(long)]
    peers: bool,
    /// Print a JSON array instead of a table.
    #[arg(long)]
    json: bool,
}

/// A part of the project that is measured on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Labels, selectors, identities, prefixes.
    Identity,
    /// Resolving policies and deciding by them.
    Policy,
    /// The kernel programs, per packet.
    Datapath,
    /// Flow records.
    Flow,
}

impl Section {
    const ALL: [Self; 4] = [Self::Identity, Self::Policy, Self::Datapath, Self::Flow];

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Policy => "policy",
            Self::Datapath => "datapath",
            Self::Flow => "flow",
        }
    }
}

/// One measured number.
#[derive(Debug, Clone, Copy)]
struct Figure {
    id: &'static str,
    unit: Unit,
    value: f64,
    reference: Option<f64>,
    /// The value must not be above it, or where it `rises`, below it.
    bar: Option<f64>,
    rises: bool,
}

impl Figure {
    fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| match self.rises {
            true => self.value >= bar,
            false => self.value <= bar,
        })
    }
}

/// Values by figure id, one per round.
type Values = BTreeMap<String, Vec<f64>>;

/// Runs of ours and of a peer that alternate, so that both meet the same machine.
const ROUNDS_BESIDE_A_PEER: usize = 3;

/// Worlds that are asked about for the figure of `cargo xtask differential`.
const SHORT_DIFFERENTIAL: u64 = 200;

/// Measures and prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let sections: &[Section] = if options.sections.is_empty() {
        &Section::ALL
    } else {
        &options.sections
    };
    let mut figures = Vec::new();
    for section in sections {
        figures.extend(figures_of(workspace, *section, options.peers)?);
    }
    if options.json {
        return table::print_json(&figures);
    }
    table::print(&figures);
    Ok(())
}

fn figures_of(
    workspace: &Workspace,
    section: Section,
    beside_peers: bool,
) -> Result<Vec<Figure>, Failure> {
    let peer = match section {
        Section::Policy if beside_peers => Some(CiliumPolicy::build(workspace)?),
        _ => None,
    };
    let rounds = if peer.is_some() {
        ROUNDS_BESIDE_A_PEER
    } else {
        1
    };
    let (mut ours, mut theirs) = (Values::new(), Values::new());
    for _ in 0..rounds {
        measure::ours(workspace, section, &mut ours)?;
        if let Some(peer) = &peer {
            measure::lines(&mut peer.bench(), &mut theirs)?;
        }
    }
    if peer.is_some() {
        let unexplained = differential::unexplained(workspace, SHORT_DIFFERENTIAL)?;
        ours.insert("policy.differential".to_owned(), vec![unexplained as f64]);
    }
    let wanted = CATALOGUE.iter().filter(|entry| {
        entry
            .id
            .split_once('.')
            .is_some_and(|(name, _)| name == section.name())
    });
    let mut figures = Vec::new();
    for entry in wanted {
        let Some(value) = median(ours.get(entry.id)) else {
            eprintln!("report: {}: not measured here", entry.id);
            continue;
        };
        let reference = median(theirs.get(entry.id)).or(entry.reference);
        figures.push(Figure {
            id: entry.id,
            unit: entry.unit,
            value,
            reference,
            bar: entry.bar.beside(reference),
            rises: entry.bar.rises(),
        });
    }
    Ok(figures)
}

fn median(values: Option<&Vec<f64>>) -> Option<f64> {
    let mut sorted = values?.clone();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, Figure, Section, Unit, catalogue::Bar, median};

    #[test]
    fn a_bar_is_the_most_that_is_accepted() {
        let at = |value, bar| Figure {
            id: "policy.decision_exact",
            unit: Unit::Nanoseconds,
            value,
            reference: None,
            bar,
            rises: false,
        };
        assert_eq!(at(10.0, Some(10.0)).holds(), Some(true));
        assert_eq!(at(10.1, Some(10.0)).holds(), Some(false));
        assert_eq!(at(10.0, None).holds(), None);
        let rises = |value| Figure {
            rises: true,
            ..at(value, Some(0.8))
        };
        assert_eq!(rises(0.9).holds(), Some(true));
        assert_eq!(rises(0.7).holds(), Some(false));
    }

    #[test]
    fn a_bar_beside_a_peer_moves_with_it() {
        assert_eq!(Bar::Faster(4.0).beside(Some(100.0)), Some(25.0));
        assert_eq!(Bar::AtMost(40.0).beside(Some(100.0)), Some(40.0));
        assert_eq!(Bar::Faster(4.0).beside(None), None);
    }

    #[test]
    fn the_middle_round_counts() {
        assert_eq!(median(Some(&vec![9.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(Some(&Vec::new())), None);
        assert_eq!(median(None), None);
    }

    #[test]
    fn every_figure_belongs_to_a_section() {
        let known = |id: &str| {
            let section = id.split_once('.').map(|(section, _)| section);
            Section::ALL.iter().any(|each| Some(each.name()) == section)
        };
        assert!(CATALOGUE.iter().all(|entry| known(entry.id)));
    }
}
