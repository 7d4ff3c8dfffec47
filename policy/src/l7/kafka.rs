//! Kafka rules, compiled.

use super::request::KafkaRequest;
use super::rules::KafkaRule;

/// A list of Kafka rules.
///
/// 1. A rule fits a request if request kind, version and client id are as it says.
/// 2. A fitting rule without a topic lets the request pass. So does one with a topic, if the request
///    is of a kind that has none (joining a group, for one).
/// 3. Otherwise each topic of the request has to be named by a fitting rule; several rules may share
///    the work. A request of such a kind that shows no topic at all means every topic, or cannot be
///    read, and does not pass.
///
/// (Cilium 1.19, `proxylib/kafka`.)
///
/// ```
/// use porin_policy::{KafkaMatcher, KafkaRequest, KafkaRule};
/// let topic = |name: &str| KafkaRule { topic: Some(name.into()), ..KafkaRule::default() };
/// let matcher = KafkaMatcher::new(&[topic("orders"), topic("stock")]);
/// let produce = KafkaRequest::new(0, 7);
/// assert!(matcher.judge(&produce.topics(&["stock", "orders"])).is_some());
/// assert!(matcher.judge(&produce.topics(&["stock", "wages"])).is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaMatcher {
    rules: Box<[KafkaRule]>,
}

impl KafkaMatcher {
    /// Takes over a list.
    pub fn new(rules: &[KafkaRule]) -> Self {
        Self {
            rules: rules.into(),
        }
    }

    /// The rule that lets a request pass, by its place in the list: of several that share its topics,
    /// the last one needed. `None` if the request is refused.
    pub fn judge(&self, request: &KafkaRequest<'_>) -> Option<usize> {
        let fitting = || {
            let rules = self.rules.iter().enumerate();
            rules.filter(|(_, rule)| fits(rule, request))
        };
        let topics = has_topics(request.api_key);
        if let Some((index, _)) = fitting().find(|(_, rule)| !topics || rule.topic.is_none()) {
            return Some(index);
        }
        let named = |topic: &&str| {
            let mut rules = fitting().filter(|(_, rule)| rule.topic.as_deref() == Some(topic));
            rules.next().map(|(index, _)| index)
        };
        let mut last = None;
        for topic in request.topics {
            last = last.max(Some(named(topic)?));
        }
        last
    }
}

fn fits(rule: &KafkaRule, request: &KafkaRequest<'_>) -> bool {
    let equal =
        |asked: &Option<Box<str>>, given| asked.as_deref().is_none_or(|asked| asked == given);
    rule.api_keys()
        .is_none_or(|keys| keys.contains(&request.api_key))
        && rule
            .api_version
            .is_none_or(|version| version == request.api_version)
        && equal(&rule.client_id, request.client_id)
}

/// Whether requests of a kind are about topics.
fn has_topics(api_key: i16) -> bool {
    matches!(api_key, 0..=6 | 8 | 9 | 19..=21 | 23 | 24 | 27 | 28 | 34 | 35 | 37)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l7::KafkaRole;

    fn rule(role: Option<KafkaRole>, topic: Option<&str>) -> KafkaRule {
        KafkaRule {
            role,
            topic: topic.map(Into::into),
            ..KafkaRule::default()
        }
    }

    #[test]
    fn rules_without_a_topic_let_everything_of_their_kind_pass() {
        let produce = KafkaMatcher::new(&[rule(Some(KafkaRole::Produce), None)]);
        let judge = |key| produce.judge(&KafkaRequest::new(key, 1));
        assert_eq!([0, 3, 18].map(judge), [Some(0); 3]);
        // Fetch; starting a producer with a fixed id; a kind that nobody knows.
        assert_eq!([1, 22, 999].map(judge), [None; 3]);
        let all = KafkaMatcher::new(&[KafkaRule::default()]);
        assert_eq!(all.judge(&KafkaRequest::new(999, 0)), Some(0));
        assert_eq!(
            KafkaMatcher::default().judge(&KafkaRequest::new(18, 0)),
            None
        );
    }

    #[test]
    fn every_topic_needs_a_rule() {
        let topics = KafkaMatcher::new(&[
            rule(None, Some("a")),
            rule(Some(KafkaRole::Produce), Some("b")),
            rule(None, Some("c")),
        ]);
        let produce = KafkaRequest::new(0, 3);
        assert_eq!(topics.judge(&produce.topics(&["c", "b", "c"])), Some(2));
        assert_eq!(topics.judge(&produce.topics(&["a", "d"])), None);
        assert_eq!(
            topics.judge(&KafkaRequest::new(1, 3).topics(&["a", "b"])),
            None
        );
        assert_eq!(topics.judge(&produce.topics(&[])), None);
        // Joining a group has no topic.
        assert_eq!(topics.judge(&KafkaRequest::new(11, 0)), Some(0));
    }

    #[test]
    fn version_and_client_are_exact() {
        let matcher = KafkaMatcher::new(&[KafkaRule {
            api_key: Some(1),
            api_version: Some(0),
            client_id: Some("cli".into()),
            ..KafkaRule::default()
        }]);
        let fetch = KafkaRequest::new(1, 0);
        assert_eq!(matcher.judge(&fetch.client_id("cli")), Some(0));
        assert_eq!(matcher.judge(&fetch), None);
        assert_eq!(
            matcher.judge(&KafkaRequest::new(1, 1).client_id("cli")),
            None
        );
    }
}
