//! Figures for people and for programs.

use std::fs;

use serde::Serialize;

use super::{Figure, catalogue::Unit};
use crate::failure::Failure;

#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    value: f64,
    unit: &'static str,
    reference: Option<f64>,
    bar: Option<f64>,
    holds: Option<bool>,
}

/// Prints a JSON array and nothing else.
pub(super) fn print_json(figures: &[Figure]) -> Result<(), Failure> {
    let rows: Vec<Row> = figures
        .iter()
        .map(|figure| Row {
            id: figure.id,
            value: figure.value,
            unit: figure.unit.name(),
            reference: figure.reference,
            bar: figure.bar,
            holds: figure.holds(),
        })
        .collect();
    let text =
        serde_json::to_string_pretty(&rows).map_err(|error| Failure::new(error.to_string()))?;
    println!("{text}");
    Ok(())
}

/// Prints a table; the machine's CPU stands above it, since times mean nothing without.
pub(super) fn print(figures: &[Figure]) {
    println!("{}", processor());
    println!(
        "{:<24} {:>16} {:>16} {:>12} holds",
        "figure", "value", "reference", "bar"
    );
    for figure in figures {
        let show = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| with_unit(value, figure.unit))
        };
        let holds = figure
            .holds()
            .map_or("-", |holds| if holds { "yes" } else { "NO" });
        println!(
            "{:<24} {:>16} {:>16} {:>12} {holds}",
            figure.id,
            show(Some(figure.value)),
            show(figure.reference),
            show(figure.bar)
        );
    }
}

fn with_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Lookups | Unit::Mebibytes => format!("{value:.1} {}", unit.name()),
        Unit::Times => format!("{value:.3} {}", unit.name()),
        Unit::Bytes => format!("{value:.0} {}", unit.name()),
        Unit::Flows => format!("{value} {}", unit.name()),
        Unit::Nanoseconds if value >= 1e6 => format!("{:.2} ms", value / 1e6),
        Unit::Nanoseconds if value >= 1e4 => format!("{:.2} µs", value / 1e3),
        Unit::Nanoseconds => format!("{value:.1} {}", unit.name()),
    }
}

/// The name of the first processor, as Linux tells it.
fn processor() -> String {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let count = told
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let name = told
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    match name {
        Some((_, name)) => format!("{name}, {count} processors"),
        None => "unknown processor".to_owned(),
    }
}
