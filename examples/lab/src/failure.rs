//! Why a question could not be answered.

use std::path::PathBuf;

use porin::policy::ask::AskError;

/// What keeps `porin-lab` from an answer: exit status 2.
///
/// An answer that somebody dislikes (a denial, a finding, a failed vector) is no failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file or directory cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A directory has no policy in it.
    #[error("no file in `{}` ends in .yaml, .yml or .json", path.display())]
    NoPolicies { path: PathBuf },
    /// There is no world to ask about.
    #[error(
        "no world: give one with `--world FILE`, or put `world.yaml` beside the policies or in the parent directory"
    )]
    NoWorld,
    /// There is nothing to expect.
    #[error(
        "no tests: give some with `--tests FILE`, or put `tests.yaml` beside the policies or in the parent directory"
    )]
    NoTests,
    /// A report cannot be written.
    #[error("cannot write `{}`", path.display())]
    Report {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A policy, a world or a set of policies is refused.
    #[error("{0}")]
    Refused(String),
    /// The policies and the world have no answer.
    #[error("{0}")]
    Asked(#[from] AskError),
    /// A file of vectors is of no known kind.
    #[error("`{}` is no known kind of vectors; the kind is the file's name up to `.jsonl`", path.display())]
    UnknownKind { path: PathBuf },
    /// The kernel engine cannot run.
    #[error("the kernel engine cannot run: {0}")]
    Kernel(String),
    /// Standard output does not take what is written.
    #[error("cannot write the answer")]
    Write(#[from] std::io::Error),
}

impl Failure {
    /// The failure with its causes, on one line.
    pub(crate) fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        porin::flow::Escaped(&text).to_string()
    }
}
