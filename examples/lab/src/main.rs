//! `porin-lab`: ask network policies what they do, and why, without root.

mod answer;
mod args;
mod check;
mod explain;
mod failure;
mod input;
mod lint;
mod matrix;
mod model;
mod vectors;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let answered = answer(&cli.command, &mut out).and_then(|good| {
        out.flush()?;
        Ok(good)
    });
    match answered {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
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

/// Writes the answer and says whether it is good.
fn answer(command: &Command, out: &mut impl Write) -> Result<bool, Failure> {
    match command {
        Command::Check(asked) => check::run(asked, out),
        Command::Matrix(asked) => matrix::run(asked, out).map(|()| true),
        Command::Vectors(asked) => vectors::run(asked, out),
        Command::Lint(asked) => lint::run(asked, out),
        Command::Explain(asked) => explain::run(asked, out),
    }
}
