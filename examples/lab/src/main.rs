//! `porin-lab`: ask network policies what they do, and why, without root.

mod agree;
mod answer;
mod args;
mod check;
mod content;
mod diff;
mod explain;
mod exposure;
mod failure;
mod input;
mod lint;
mod matrix;
mod model;
mod recording;
mod replay;
mod status;
mod suggest;
mod test;
mod vectors;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::status::Status;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let answered = answer(&cli.command, &mut out).and_then(|status| {
        out.flush()?;
        Ok(status)
    });
    match answered {
        Ok(status) => status.code(),
        // Whoever reads the answer has heard enough.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("porin-lab: {}", failure.report());
            ExitCode::from(2)
        }
    }
}

/// Writes the answer and says how it ends.
fn answer(command: &Command, out: &mut impl Write) -> Result<Status, Failure> {
    match command {
        Command::Agree(asked) => agree::run(asked, out).map(Status::good_if),
        Command::Check(asked) => check::run(asked, out),
        Command::Diff(asked) => diff::run(asked, out),
        Command::Explain(asked) => explain::run(asked, out),
        Command::Exposure(asked) => exposure::run(asked, out),
        Command::Lint(asked) => lint::run(asked, out).map(Status::good_if),
        Command::Matrix(asked) => matrix::run(asked, out),
        Command::Replay(asked) => replay::run(asked, out),
        Command::Suggest(asked) => suggest::run(asked, out),
        Command::Test(asked) => test::run(asked, out),
        Command::Vectors(asked) => vectors::run(asked, out).map(Status::good_if),
    }
}
