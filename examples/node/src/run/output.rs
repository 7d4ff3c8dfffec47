//! Where flows are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use porin::flow::{Flow, Read, Reader, Ring};
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

/// How many flows may wait for a slow reader; what does not fit is counted.
const WAITING: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);
/// How often the writer looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long the end waits for a slow reader.
const GRACE: Duration = Duration::from_secs(2);

/// A place for flows. They are written on a thread of their own: nobody who reads slowly, or not at
/// all, holds up what is enforced.
pub(crate) struct Output(Option<Writing>);

struct Writing {
    flows: Ring<Arc<Flow>>,
    _end: Sender<()>,
    ended: Receiver<()>,
}

impl Output {
    /// Opens the place.
    pub(crate) fn open(to: &FlowsTo, format: Format) -> Result<Self, NodeError> {
        let sink: Box<dyn Write + Send> = match to {
            FlowsTo::Nowhere => return Ok(Self(None)),
            FlowsTo::Stdout => Box::new(io::stdout()),
            FlowsTo::File(path) => {
                let file = File::options().create(true).append(true).open(path);
                Box::new(file.map_err(|source| NodeError::Output {
                    path: path.clone(),
                    source,
                })?)
            }
        };
        let flows = Ring::new(WAITING);
        let (end, ends) = channel();
        let (done, ended) = channel();
        let reader = flows.reader();
        thread::spawn(move || {
            if let Err(error) = write(reader, BufWriter::new(sink), format, &ends) {
                eprintln!("porin-node: flows are not written any more: {error}");
            }
            // Nobody may wait for it any more.
            let _ = done.send(());
        });
        Ok(Self(Some(Writing {
            flows,
            _end: end,
            ended,
        })))
    }

    /// Hands a flow over.
    pub(crate) fn push(&self, flow: Flow) {
        if let Some(writing) = &self.0 {
            writing.flows.push(Arc::new(flow));
        }
    }

    /// Lets what was handed over be written, as far as somebody takes it.
    pub(crate) fn close(self) {
        if let Some(Writing { _end, ended, .. }) = self.0 {
            drop(_end);
            if ended.recv_timeout(GRACE).is_err() {
                eprintln!("porin-node: the last flows were not taken");
            }
        }
    }
}

fn write(
    mut reader: Reader<Arc<Flow>>,
    mut sink: BufWriter<Box<dyn Write + Send>>,
    format: Format,
    ends: &Receiver<()>,
) -> io::Result<()> {
    loop {
        let next = match reader.read() {
            None => {
                sink.flush()?;
                reader.wait(LOOK)
            }
            next => next,
        };
        match next {
            Some(Read::Record(flow)) => match format {
                Format::Json => writeln!(sink, "{}", flow.to_json())?,
                Format::Compact => writeln!(sink, "{flow}")?,
            },
            Some(Read::Lost(count)) => {
                eprintln!("porin-node: {count} flows were not written: their reader is too slow");
            }
            None if ends.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                return Ok(());
            }
            None => {}
        }
    }
}
