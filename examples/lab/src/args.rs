//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use porin::policy::{Protocol, Semantics};

/// Ask network policies what they do, and why. Needs no root, but for the kernel engine of `vectors` and `agree`.
#[derive(Debug, Parser)]
#[command(name = "porin-lab", version, after_help = STATUSES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STATUSES: &str = "\
Exit status:
  0  the answer is good: nothing found, allowed, nothing failed
  1  the answer is bad: an error or warning found, denied, something failed
  2  there is no answer: wrong usage, files that cannot be read or are refused, privileges missing
  3  diff, replay: something may pass that did not";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find what a set of policies does other than it seems to say.
    Lint(Inputs),
    /// Say whether one connection may be made.
    Check(Question),
    /// Say which rule decides about one connection, and which came close.
    Explain(Question),
    /// Show who may reach whom in the whole world.
    Matrix(Matrix),
    /// Say what becomes allowed, denied, wider or narrower between two sets of policies.
    Diff(Diff),
    /// Show who may use which port of a workload, and what it may use.
    Exposure(ExposureOf),
    /// Say which recorded flows would be judged differently.
    Replay(Replay),
    /// Write the least policies that allow recorded flows.
    Suggest(Suggest),
    /// Check that the policies do what is expected of them.
    Test(Test),
    /// Run files of test vectors.
    Vectors(Vectors),
    /// Ask all engines about random worlds; they have to agree.
    Agree(Agree),
}

/// What every question needs.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// Policy files, or directories: their *.yaml, *.yml and *.json by name, without subdirectories,
    /// hidden files, world.yaml and tests.yaml.
    #[arg(required = true, value_name = "POLICIES")]
    pub(crate) policies: Vec<PathBuf>,
    /// Who exists. Without it: `world.yaml` in the directory of the policies or in its parent.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// How policies are read where upstream and common sense part.
    #[arg(long, value_enum, default_value_t = Reading::Strict)]
    pub(crate) semantics: Reading,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// One connection.
#[derive(Debug, Args)]
pub(crate) struct Question {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Who opens the connection: a workload (`NAME` or `NAMESPACE/NAME`), a name from `outside`,
    /// an address, or an entity such as `world`.
    #[arg(long, value_name = "WHO")]
    pub(crate) from: String,
    /// Who is to accept it; named as for `--from`.
    #[arg(long, value_name = "WHO")]
    pub(crate) to: String,
    /// The destination port; for ICMP the type.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: u16,
    /// TCP, UDP, SCTP, ICMP or ICMPv6.
    #[arg(long, default_value = "TCP")]
    pub(crate) protocol: Protocol,
}

/// The whole world.
#[derive(Debug, Args)]
pub(crate) struct Matrix {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// The TCP port at which targets are tried that list no port of their own.
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub(crate) port: u16,
    /// Try these at every target, in place of the ports that the world lists.
    #[arg(long, value_name = "PROTOCOL/PORT", value_parser = protocol_and_port)]
    pub(crate) on: Vec<(Protocol, u16)>,
    /// Try everybody (blocks, entities and unheard-of workloads too) on every class of ports that
    /// policies tell apart, one line each.
    #[arg(long, conflicts_with = "on")]
    pub(crate) classes: bool,
}

/// `TCP/443`, `ICMP/8`
fn protocol_and_port(text: &str) -> Result<(Protocol, u16), String> {
    let wrong = || format!("`{text}` is no port; write it like TCP/443 or ICMP/8");
    let (protocol, port) = text.split_once('/').ok_or_else(wrong)?;
    let protocol = protocol.parse().map_err(|_| wrong())?;
    Ok((protocol, port.parse().map_err(|_| wrong())?))
}

/// Two sets.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The set that is in force: a file or a directory.
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,
    /// The set that would replace it.
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,
    /// Who exists. Without it: `world.yaml` in the directory of the policies or in its parent.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// How policies are read where upstream and common sense part.
    #[arg(long, value_enum, default_value_t = Reading::Strict)]
    pub(crate) semantics: Reading,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Port maps.
#[derive(Debug, Args)]
pub(crate) struct ExposureOf {
    /// Policy files, or directories of them.
    #[arg(required = true, value_name = "POLICIES")]
    pub(crate) policies: Vec<PathBuf>,
    /// The workload; may be given several times. Without it all of the world.
    #[arg(long, value_name = "WORKLOAD")]
    pub(crate) of: Vec<String>,
    /// Who exists. Without it: `world.yaml` in the directory of the policies or in its parent.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// How policies are read where upstream and common sense part.
    #[arg(long, value_enum, default_value_t = Reading::Strict)]
    pub(crate) semantics: Reading,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = ExposureForm::Table)]
    pub(crate) output: ExposureForm,
}

impl ExposureOf {
    /// The policies and their world.
    pub(crate) fn inputs(&self) -> Inputs {
        Inputs {
            policies: self.policies.clone(),
            world: self.world.clone(),
            semantics: self.semantics,
            output: Output::Table,
        }
    }
}

/// A recording.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Policy files, or directories of them: the candidate.
    #[arg(required = true, value_name = "POLICIES")]
    pub(crate) policies: Vec<PathBuf>,
    /// Recorded flows, a line of JSON each, as `hubble observe -o json` and Porin write them; `-` is
    /// standard input.
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) flows: Vec<PathBuf>,
    /// Who exists besides the ends of the flows. Without it: `world.yaml` in the directory of the
    /// policies or in its parent, if there is one.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// How policies are read where upstream and common sense part.
    #[arg(long, value_enum, default_value_t = Reading::Strict)]
    pub(crate) semantics: Reading,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Policies for a recording.
#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// Recorded flows, a line of JSON each, as `hubble observe -o json` and Porin write them; `-` is
    /// standard input.
    #[arg(required = true, value_name = "FLOWS")]
    pub(crate) flows: Vec<PathBuf>,
    /// Who exists besides the ends of the flows, so that labels are chosen that leave them out.
    #[arg(long, value_name = "FILE")]
    pub(crate) world: Option<PathBuf>,
    /// Which flows are to be allowed: those that were, or those that were not.
    #[arg(long, value_enum, default_value_t = Outcomes::Allowed)]
    pub(crate) verdict: Outcomes,
    /// Whose allowances are made.
    #[arg(long, value_enum, default_value_t = Way::Both)]
    pub(crate) direction: Way,
    /// Form of the answer: YAML documents, or a `List` in JSON.
    #[arg(short, long, value_enum, default_value_t = Form::Yaml)]
    pub(crate) output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcomes {
    /// Forwarded and redirected flows.
    Allowed,
    /// Flows that policy dropped, or would have (audit).
    Dropped,
    /// All of them.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// The receivers'.
    Ingress,
    /// The senders'.
    Egress,
    /// Both, as a flow needs.
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// To be read and applied.
    Yaml,
    /// For programs.
    Json,
}

/// Expectations.
#[derive(Debug, Args)]
pub(crate) struct Test {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Files of expectations. Without any: `tests.yaml` in the directory of the policies or in its
    /// parent.
    #[arg(long, value_name = "FILE")]
    pub(crate) tests: Vec<PathBuf>,
    /// Write a report for build servers (JUnit XML).
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExposureForm {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For a page.
    Markdown,
    /// For Graphviz.
    Dot,
}

/// Files of vectors.
#[derive(Debug, Args)]
pub(crate) struct Vectors {
    /// Files of vectors; the kind is the file's name up to `.jsonl`.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What decides the cases of policies. `all` needs privileges for its last quarter, and says so
    /// and goes on without it if they are missing.
    #[arg(long, value_enum, default_value_t = EngineChoice::All)]
    pub(crate) engine: EngineChoice,
    /// How many failures to describe per file.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) show: usize,
    /// Form of the answer; in JSON one object a line for every case, passed or not.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Random worlds.
#[derive(Debug, Args)]
pub(crate) struct Agree {
    /// Which worlds: equal seeds make equal worlds.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many worlds.
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub(crate) worlds: u64,
    /// The number of the first world.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first: u64,
    /// The most flows to ask about in a world.
    #[arg(long, value_name = "F", default_value_t = 60)]
    pub(crate) flows: usize,
    /// Who has to agree.
    #[arg(long, value_enum, default_value_t = Against::All)]
    pub(crate) engine: Against,
    /// Write the worlds about which they do not, and the smallest that show it, to this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// The reference with the compiled policy and its table, and those with what a history leaves.
    Fast,
    /// The compiled policy with the kernel program.
    Kernel,
    /// All of them; without privileges the kernel program is left out, and standard error says so.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reading {
    /// Where upstream reads a policy wider than it is written, the narrow reading holds.
    Strict,
    /// As Cilium does.
    Cilium,
}

impl From<Reading> for Semantics {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Strict => Self::Strict,
            Reading::Cilium => Self::Cilium,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// The evaluator that follows the specification rule by rule.
    Reference,
    /// The compiled policy of an endpoint.
    Fast,
    /// Lookup in the table that the kernel gets.
    Map,
    /// The kernel program itself, fed with packets under `BPF_PROG_TEST_RUN`.
    Kernel,
    /// All of them; a case passes if it passes with each.
    All,
}
