//! Test binaries that need the kernel: skipped openly, never passed by doing nothing.
//!
//! A binary with `harness = false` calls [`run`] from its `main`. Without the privileges every
//! test is marked as ignored and the reason is printed; with `PORIN_REQUIRE_KERNEL=1` in the
//! environment the binary fails instead, so that an automatic run cannot go green by skipping.
//!
//! ```no_run
//! use porin_testbed::suite::{Outcome, Test, run};
//!
//! fn kernel_namespace_has_loopback() -> Outcome {
//!     let namespace = porin_testbed::Namespace::new()?;
//!     assert_eq!(namespace.index("lo")?, 1);
//!     Ok(())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     run(vec![Test::new("kernel_namespace_has_loopback", kernel_namespace_has_loopback)])
//! }
//! ```

use std::fmt;
use std::process::ExitCode;

pub use libtest_mimic::Failed;
use libtest_mimic::{Arguments, Trial};

use crate::capability::privileges;

/// What a test gives: nothing, or the reason why it failed (any error, by `?`).
pub type Outcome = Result<(), Failed>;

/// One test and what it needs.
pub struct Test {
    name: String,
    body: Box<dyn FnOnce() -> Outcome + Send>,
    lacking: Option<String>,
}

impl Test {
    /// A test that needs the privileges and nothing else. Its name starts with `kernel_`.
    #[must_use]
    pub fn new(name: &str, body: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        Self {
            name: name.to_owned(),
            body: Box::new(body),
            lacking: None,
        }
    }

    /// The same test, skipped for the reason given where there is one (a feature or a program
    /// that this machine has not).
    #[must_use]
    pub fn unless(mut self, lacking: Option<String>) -> Self {
        self.lacking = lacking;
        self
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test")
            .field("name", &self.name)
            .field("lacking", &self.lacking)
            .finish_non_exhaustive()
    }
}

/// Runs the tests of a binary and gives its exit status.
///
/// At most two run at a time unless `--test-threads` says otherwise: each has namespaces and
/// often servers of its own.
#[must_use]
pub fn run(tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let required = std::env::var_os("PORIN_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    let missing = privileges().err().map(|missing| missing.to_string());
    if let Some(reason) = &missing {
        eprintln!("kernel tests are skipped: {reason}");
        if required {
            eprintln!("PORIN_REQUIRE_KERNEL=1 asks for them: this is a failure");
            return ExitCode::FAILURE;
        }
    }
    let trials = tests
        .into_iter()
        .map(|test| trial(test, missing.is_some(), required))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The trial of one test: ignored, or run.
fn trial(test: Test, unprivileged: bool, required: bool) -> Trial {
    let Test {
        name,
        body,
        lacking,
    } = test;
    if let Some(reason) = &lacking {
        eprintln!("{name} is skipped: {reason}");
    }
    let ignored = unprivileged || (lacking.is_some() && !required);
    let body = move || match lacking {
        Some(reason) => Err(Failed::from(reason)),
        None => body(),
    };
    Trial::test(name, body).with_ignored_flag(ignored)
}
