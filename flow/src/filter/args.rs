//! Filters from the flags of `hubble observe`.

use porin_identity::IdentityId;
use porin_policy::Direction;

use super::pod::PodPattern;
use super::selector::parse_selector;
use super::{Filter, Filters, Side};
use crate::drop_reason::DropReason;
use crate::error::FilterError;
use crate::event::FlowVerdict;

type Result<T> = std::result::Result<T, FilterError>;

impl Filters {
    /// Builds filters from the flags of `hubble observe` (1.19):
    ///
    /// * `--verdict`, `--drop-reason-desc`, `--traffic-direction`
    /// * `--port`, `--label` (`-l`), `--pod`, `--identity`, each also as `--from-…` and `--to-…`
    /// * `--namespace` (`-n`), `--from-namespace`, `--to-namespace`; `--all-namespaces` (`-A`) and
    ///   its two forms
    /// * `--not`: the next flag holds back what matches. Several make one filter, all of whose
    ///   fields must match.
    ///
    /// A flag may stand several times: any of its values may match. Values follow as the next
    /// argument or after `=`. Flags for either end make two filters, one per end.
    ///
    /// # Errors
    ///
    /// When a flag is not one of these, lacks its value, has a value that does not fit, or
    /// contradicts another flag.
    pub fn from_args<A: AsRef<str>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut args = args.into_iter();
        let (mut allow, mut deny) = (List::default(), List::default());
        let mut negated = false;
        while let Some(argument) = args.next() {
            let argument = argument.as_ref();
            if argument == "--not" {
                if std::mem::replace(&mut negated, true) {
                    return Err(FilterError::Not);
                }
                continue;
            }
            let (flag, given) = Flag::parse(argument)?;
            let value = match given {
                _ if flag.is_switch() => String::new(),
                Some(value) => value.to_owned(),
                None => args
                    .next()
                    .ok_or(FilterError::Missing { flag: flag.0 })?
                    .as_ref()
                    .to_owned(),
            };
            let list = if std::mem::take(&mut negated) {
                &mut deny
            } else {
                &mut allow
            };
            list.add(flag, &value)?;
        }
        if negated {
            return Err(FilterError::Not);
        }
        Ok(Self {
            allow: allow.finish()?,
            deny: deny.finish()?,
        })
    }
}

/// A known flag, by its long name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flag(&'static str);

const FLAGS: [&str; 21] = [
    "verdict",
    "drop-reason-desc",
    "traffic-direction",
    "port",
    "from-port",
    "to-port",
    "label",
    "from-label",
    "to-label",
    "pod",
    "from-pod",
    "to-pod",
    "identity",
    "from-identity",
    "to-identity",
    "namespace",
    "from-namespace",
    "to-namespace",
    "all-namespaces",
    "from-all-namespaces",
    "to-all-namespaces",
];

/// Flags of which at most one may be used in a list, beside the plain form against its ends.
const EXCLUSIVE: [&[&str]; 4] = [
    &[
        "from-namespace",
        "namespace",
        "from-all-namespaces",
        "all-namespaces",
    ],
    &[
        "to-namespace",
        "namespace",
        "to-all-namespaces",
        "all-namespaces",
    ],
    &["pod", "from-pod"],
    &["pod", "to-pod"],
];

const PLAIN_OR_ENDS: [[&str; 3]; 4] = [
    ["label", "from-label", "to-label"],
    ["port", "from-port", "to-port"],
    ["identity", "from-identity", "to-identity"],
    ["namespace", "from-pod", "to-pod"],
];

impl Flag {
    fn parse(argument: &str) -> Result<(Self, Option<&str>)> {
        let unknown = || FilterError::Unknown {
            argument: argument.to_owned(),
        };
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let long = match name {
            "-n" => "namespace",
            "-l" => "label",
            "-A" => "all-namespaces",
            _ => name.strip_prefix("--").ok_or_else(unknown)?,
        };
        let flag = FLAGS
            .into_iter()
            .find(|flag| *flag == long)
            .ok_or_else(unknown)?;
        Ok((Self(flag), value))
    }

    fn is_switch(self) -> bool {
        self.0.ends_with("all-namespaces")
    }

    /// The flag without the end it speaks of, and whether it speaks of source and destination.
    fn ends(self) -> (&'static str, bool, bool) {
        match (self.0.strip_prefix("from-"), self.0.strip_prefix("to-")) {
            (Some(plain), _) => (plain, true, false),
            (_, Some(plain)) => (plain, false, true),
            _ => (self.0, true, true),
        }
    }

    fn refuse(self, value: &str, reason: &'static str) -> FilterError {
        FilterError::Value {
            flag: self.0,
            value: value.to_owned(),
            reason,
        }
    }
}

/// What the flags of one list ask for, before it is split by ends.
#[derive(Debug, Default)]
struct List {
    used: Vec<Flag>,
    whole: Filter,
    /// Of the sender, by flags that name the sender.
    source: Wants,
    /// Of the receiver, likewise.
    destination: Wants,
    /// Of either end.
    either: Wants,
}

/// What is asked of one end; namespaces are folded into the pods at the end.
#[derive(Debug, Default, Clone)]
struct Wants {
    side: Side,
    pods: Vec<String>,
    namespaces: Vec<String>,
}

impl List {
    fn add(&mut self, flag: Flag, value: &str) -> Result<()> {
        if !self.used.contains(&flag) {
            self.used.push(flag);
        }
        let (plain, from, to) = flag.ends();
        let wants = match (from, to) {
            (true, true) => &mut self.either,
            (true, false) => &mut self.source,
            _ => &mut self.destination,
        };
        match plain {
            "verdict" => {
                let verdict = FlowVerdict::from_name(value);
                let refused = || flag.refuse(value, "verdicts are upper case, such as DROPPED");
                self.whole.verdicts.push(verdict.ok_or_else(refused)?);
            }
            "drop-reason-desc" => {
                let reason = value.parse::<DropReason>();
                let refused =
                    |_| flag.refuse(value, "reasons are upper case, such as POLICY_DENIED");
                self.whole.drop_reasons.push(reason.map_err(refused)?);
            }
            "traffic-direction" => self.whole.directions.push(direction(flag, value)?),
            "port" => wants.side.ports.push(port(flag, value)?),
            "label" => {
                let selector = parse_selector(value);
                let refused =
                    || flag.refuse(value, "write a selector such as `app=web,tier in (a,b)`");
                wants.side.labels.push(selector.ok_or_else(refused)?);
            }
            "identity" => wants.side.identities.push(identity(flag, value)?),
            "pod" => wants.pods.push(value.to_owned()),
            "namespace" => wants.namespaces.push(value.to_owned()),
            // The empty namespace is every namespace.
            _ => wants.namespaces.push(String::new()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Filter>> {
        if self.used.is_empty() {
            return Ok(Vec::new());
        }
        self.check_conflicts()?;
        let source = self.source.finish()?;
        let destination = self.destination.finish()?;
        let either = self.either.finish()?;
        let with = |source: Side, destination: Side| Filter {
            source,
            destination,
            ..self.whole.clone()
        };
        if either == Side::default() {
            return Ok(vec![with(source, destination)]);
        }
        let left = with(source.clone().and(&either), destination.clone());
        Ok(vec![left, with(source, destination.and(&either))])
    }

    fn check_conflicts(&self) -> Result<()> {
        let used = |name: &&&'static str| self.used.contains(&Flag(name));
        for group in EXCLUSIVE {
            let mut found = group.iter().filter(used);
            if let (Some(first), Some(second)) = (found.next(), found.next()) {
                return Err(FilterError::Conflict { first, second });
            }
        }
        for [plain, from, to] in &PLAIN_OR_ENDS {
            let end = [from, to].into_iter().find(|end| used(end));
            if let (true, Some(second)) = (used(&plain), end) {
                return Err(FilterError::Conflict {
                    first: plain,
                    second,
                });
            }
        }
        Ok(())
    }
}

impl Wants {
    /// Puts the namespaces before the pods that name none; without pods, asks for the namespaces.
    fn finish(self) -> Result<Side> {
        let mut side = self.side;
        let mut texts = Vec::new();
        for pod in &self.pods {
            if pod.contains('/') || self.namespaces.is_empty() {
                texts.push(pod.clone());
            } else {
                texts.extend(
                    self.namespaces
                        .iter()
                        .map(|namespace| format!("{namespace}/{pod}")),
                );
            }
        }
        if self.pods.is_empty() {
            texts.extend(
                self.namespaces
                    .iter()
                    .map(|namespace| format!("{namespace}/")),
            );
        }
        for text in texts {
            let pattern = PodPattern::parse(&text);
            let refused = || Flag("pod").refuse(&text, "write `namespace/prefix`");
            side.pods.push(pattern.ok_or_else(refused)?);
        }
        Ok(side)
    }
}

impl Side {
    fn and(mut self, other: &Self) -> Self {
        self.ports.extend(&other.ports);
        self.labels.extend(other.labels.iter().cloned());
        self.pods.extend(other.pods.iter().cloned());
        self.identities.extend(&other.identities);
        self
    }
}

fn port(flag: Flag, value: &str) -> Result<u16> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let refused = || flag.refuse(value, "ports are numbers from 0 to 65535");
    value.parse().ok().filter(|_| digits).ok_or_else(refused)
}

fn direction(flag: Flag, value: &str) -> Result<Direction> {
    let found = Direction::ALL
        .into_iter()
        .find(|d| d.name().eq_ignore_ascii_case(value));
    found.ok_or_else(|| flag.refuse(value, "write `ingress` or `egress`"))
}

fn identity(flag: Flag, value: &str) -> Result<IdentityId> {
    let number = value.parse::<u32>().ok().map(IdentityId::new);
    let found = number.or_else(|| IdentityId::from_reserved_name(value));
    found.ok_or_else(|| flag.refuse(value, "write a number or a reserved name such as `world`"))
}
