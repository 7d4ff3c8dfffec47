//! Port maps as a graph in the DOT language of Graphviz.

use std::collections::BTreeMap;
use std::io::Write;

use porin::flow::Escaped;
use porin::policy::Direction;
use porin::policy::ask::{Exposure, Grant};

use crate::failure::Failure;

/// The ports of an edge, and whether it stands for anybody.
type Edge = (Vec<String>, bool);
type Edges = BTreeMap<(String, String), Edge>;

/// An edge for each pair: who opens the connection, and on which ports.
fn edges(maps: &[Exposure]) -> Edges {
    let mut edges = Edges::new();
    for map in maps {
        for (direction, reach) in map.directions() {
            for grant in &reach.grants {
                add(&mut edges, &map.subject.name, direction, grant);
            }
        }
    }
    edges
}

fn add(edges: &mut Edges, subject: &str, direction: Direction, grant: &Grant) {
    let anybody = grant.is_for_anybody();
    let through = grant
        .peers
        .iter()
        .filter(|peer| !grant.stopped.contains(peer));
    let peers: Vec<String> = match anybody {
        true => vec!["anybody".to_owned()],
        false => through.map(ToString::to_string).collect(),
    };
    for peer in peers {
        let ends = match direction {
            Direction::Ingress => (peer, subject.to_owned()),
            Direction::Egress => (subject.to_owned(), peer),
        };
        let (classes, open) = edges.entry(ends).or_default();
        *open |= anybody;
        for class in grant.classes.iter().map(ToString::to_string) {
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
    }
}

pub(super) fn graph(maps: &[Exposure], out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "digraph exposure {{\n  rankdir=LR;\n  node [shape=box];"
    )?;
    for ((from, to), (classes, open)) in edges(maps) {
        let style = if open { ", color=red, penwidth=2" } else { "" };
        let [from, to, label] = [from, to, classes.join("\n")].map(|text| quoted(&text));
        writeln!(out, "  {from} -> {to} [label={label}{style}];")?;
    }
    writeln!(out, "}}")?;
    Ok(())
}

/// A string of the DOT language.
fn quoted(text: &str) -> String {
    let line = |line: &str| {
        let safe = Escaped(line).to_string();
        safe.replace('\\', "\\\\").replace('"', "\\\"")
    };
    let lines: Vec<_> = text.split('\n').map(line).collect();
    format!("\"{}\"", lines.join("\\n"))
}
