//! Whether policies do what is expected of them.

use super::error::AskError;
use super::expectation::{Expectation, ExpectedPort, ExpectedRequest};
use super::model::{Connection, Model, Sides};
use super::outcome::Outcome;
use super::party::Party;
use crate::{Decision, L7Error, L7Matcher, L7Policy, NoSecrets, Reason, ServerNames, Verdict};

/// One connection of an [`Expectation`], tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// The connection.
    pub connection: Connection,
    /// What both sides say.
    pub sides: Sides,
    /// What becomes of it, the request judged.
    pub verdict: Verdict,
    /// What is not as expected; empty if all is.
    pub complaints: Vec<String>,
}

impl Model {
    /// Tries every connection that an expectation is about.
    ///
    /// # Errors
    /// [`AskError::Nobody`] if it names somebody who does not exist, or a port that the target does
    /// not name; [`AskError::NoSubject`] if no policy can speak.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use porin_policy::{Options, PolicySet, World};
    /// use porin_policy::ask::{Census, Expectation, Model};
    /// let world = World::parse("world.yaml", "workloads: [{name: web}, {name: db}]")?;
    /// let set = PolicySet::new(Options::new());
    /// let model = Model::new(&set, &Arc::new(Census::new(&world, &[&set])?))?;
    /// let tests = "tests: [{from: web, to: db, port: 5432, expect: denied}]";
    /// let tested = model.test(&Expectation::parse("tests.yaml", tests)?[0])?;
    /// assert_eq!(tested[0].complaints, ["it is allowed, not denied"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn test(&self, expectation: &Expectation) -> Result<Vec<Tested>, AskError> {
        let mut tested = Vec::new();
        for from in &expectation.from {
            for to in &expectation.to {
                let to = self.census().party(to)?;
                let connection = Connection {
                    from: self.census().party(from)?,
                    protocol: expectation.protocol,
                    port: number(expectation, &to)?,
                    to,
                };
                let sides = self.judge(&connection)?;
                tested.push(self.tried(expectation, connection, sides));
            }
        }
        Ok(tested)
    }

    fn tried(&self, expected: &Expectation, connection: Connection, sides: Sides) -> Tested {
        let mut complaints = Vec::new();
        let verdict = match self.passed(&sides, expected) {
            Ok(verdict) => verdict,
            Err(error) => {
                complaints.push(error.to_string());
                sides.verdict()
            }
        };
        if verdict != expected.expect {
            complaints.push(format!("it is {verdict}, not {}", expected.expect));
        }
        if let Some(rule) = &expected.rule
            && !sides.iter().any(|side| decides(side, rule))
        {
            let reasons: Vec<_> = sides.iter().map(|side| side.reason().to_string()).collect();
            complaints.push(format!("`{rule}` does not decide: {}", reasons.join("; ")));
        }
        if let Some(auth) = expected.auth
            && !sides.iter().any(|side| side.auth() == auth)
        {
            complaints.push(format!("authentication is not {auth}"));
        }
        if let Some(staged) = expected.staged {
            let tried = sides.staged().unwrap_or(verdict);
            if tried != staged {
                complaints.push(format!("with staged rules it is {tried}, not {staged}"));
            }
        }
        Tested {
            connection,
            sides,
            verdict,
            complaints,
        }
    }

    /// The verdict on the request, if there is one; else on the connection, where a proxy that lets
    /// everything through counts as an allowance unless a redirect is expected.
    fn passed(&self, sides: &Sides, expected: &Expectation) -> Result<Verdict, L7Error> {
        let mut whole = Verdict::Allow;
        for side in sides.iter() {
            let outcome = Outcome::from(side);
            if outcome.is_closed() {
                return Ok(Verdict::Deny);
            }
            let Some(redirect) = outcome.redirect else {
                continue;
            };
            match (&expected.request, &outcome.l7) {
                (Some(request), Some(l7)) if expected.expect != Verdict::Redirect => {
                    if !self.lets_through(l7, request)? {
                        return Ok(Verdict::Deny);
                    }
                }
                _ if redirect.unrestricted && expected.expect != Verdict::Redirect => {}
                _ => whole = Verdict::Redirect,
            }
        }
        Ok(whole)
    }

    fn lets_through(&self, l7: &L7Policy, request: &ExpectedRequest) -> Result<bool, L7Error> {
        let semantics = self.census().options().chosen_semantics();
        let matcher = L7Matcher::new(&l7.rules, semantics, &NoSecrets)?
            .server_names(ServerNames::new(&l7.server_names));
        let matcher = match l7.unrestricted {
            true => matcher.allow_all(),
            false => matcher,
        };
        Ok(request.show(|request| matcher.judge(request).is_allowed()))
    }
}

fn number(expectation: &Expectation, to: &Party) -> Result<u16, AskError> {
    let name = match &expectation.port {
        ExpectedPort::Number(number) => return Ok(*number),
        ExpectedPort::Name(name) => name,
    };
    let of_name = |port: &&crate::WorkloadPort| {
        let named = port.name.as_deref();
        port.protocol == expectation.protocol
            && named.is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    let known = to.ports.iter().filter_map(|port| port.name.as_deref());
    match to.ports.iter().find(of_name) {
        Some(port) => Ok(port.port),
        None => Err(AskError::Nobody {
            name: format!("port {name} of {to}"),
            known: known.collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Whether a policy, or a rule of it (`cnp/shop/db ingress[0]`), decided.
fn decides(side: &Decision, wanted: &str) -> bool {
    let Reason::Rule(rule) = side.reason() else {
        return false;
    };
    let text = rule.to_string();
    let place = text.rsplit_once(" (").map_or(&*text, |(place, _)| place);
    place == wanted || rule.policy.to_string() == wanted
}
