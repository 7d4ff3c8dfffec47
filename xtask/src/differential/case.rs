use serde::Deserialize;
use serde_json::Value;

/// A case with the peer's answers, and what became of it with ours.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) case: Value,
    pub(super) told: Told,
}

/// What `porin-lab vectors --output json` says about a case.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", content = "because", rename_all = "snake_case")]
pub(super) enum Outcome {
    Passed,
    Failed(Vec<Difference>),
    NotApplicable(String),
}

/// One thing that is answered otherwise.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Difference {
    /// The place of the flow, if it is about one.
    pub(super) flow: Option<usize>,
    /// The parts of the answer that are unlike.
    #[serde(default)]
    pub(super) parts: Vec<String>,
    /// The place of the document, if it is about one.
    pub(super) document: Option<usize>,
    pub(super) text: String,
}

impl Compared {
    pub(super) fn name(&self) -> &str {
        self.case
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or("world")
    }

    pub(super) fn differences(&self) -> &[Difference] {
        match &self.told.outcome {
            Outcome::Failed(differences) => differences,
            Outcome::Passed | Outcome::NotApplicable(_) => &[],
        }
    }

    pub(super) fn flows(&self) -> &[Value] {
        list(&self.case, "flows")
    }

    /// What is asked by the flow at a place, without the answer.
    pub(super) fn question(&self, at: usize) -> Option<Question<'_>> {
        self.flows().get(at).map(question)
    }

    /// The places of the flows of a question that are answered otherwise.
    pub(super) fn differs(&self, asked: &Question<'_>) -> bool {
        self.differences()
            .iter()
            .filter_map(|difference| self.question(difference.flow?))
            .any(|question| question == *asked)
    }

    /// Whether a question was put at all: the peer's answer may vary, and is left out then.
    pub(super) fn asks(&self, asked: &Question<'_>) -> bool {
        self.flows().iter().any(|flow| question(flow) == *asked)
    }
}

/// Direction, peer, protocol, port.
pub(super) type Question<'a> = [Option<&'a Value>; 4];

pub(super) fn question(flow: &Value) -> Question<'_> {
    ["direction", "peer", "protocol", "port"].map(|field| flow.get(field))
}

/// A list of an object; empty if there is none.
pub(super) fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    let list = object.get(field).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}
