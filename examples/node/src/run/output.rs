//! Where flows are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use porin::flow::Flow;
use serde::Deserialize;

use super::config::FlowsTo;
use super::error::NodeError;

/// How a flow is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Hubble's JSON, one flow a line.
    #[default]
    Json,
    /// The line of `hubble observe`.
    Compact,
}

/// A place for flows.
pub(crate) struct Output {
    writer: Option<BufWriter<Box<dyn Write>>>,
    format: Format,
}

impl Output {
    /// Opens the place.
    pub(crate) fn open(to: &FlowsTo, format: Format) -> Result<Self, NodeError> {
        let writer: Option<Box<dyn Write>> = match to {
            FlowsTo::Stdout => Some(Box::new(io::stdout())),
            FlowsTo::Nowhere => None,
            FlowsTo::File(path) => {
                let file = File::options().create(true).append(true).open(path);
                Some(Box::new(file.map_err(|source| NodeError::Output {
                    path: path.clone(),
                    source,
                })?))
            }
        };
        Ok(Self {
            writer: writer.map(BufWriter::new),
            format,
        })
    }

    /// Writes a flow.
    pub(crate) fn write(&mut self, flow: &Flow) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        match self.format {
            Format::Json => writeln!(writer, "{}", flow.to_json()),
            Format::Compact => writeln!(writer, "{flow}"),
        }
    }

    /// Hands what was written to the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}
