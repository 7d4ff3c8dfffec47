use porin_policy::{DnsRule, HeaderMatch, HeaderRule, HttpRule, KafkaRole, KafkaRule, Mismatch};

/// The most of anything that a script holds.
const MOST: usize = 8;

/// Rules of every protocol and requests, as the lines of a text spell them (see
/// [`content_is_judged`](crate::content_is_judged)). Other lines hold nothing.
#[derive(Debug, Default)]
pub(crate) struct Script<'t> {
    pub(crate) http: Vec<HttpRule>,
    pub(crate) kafka: Vec<KafkaRule>,
    pub(crate) dns: Vec<DnsRule>,
    pub(crate) servers: Vec<&'t str>,
    pub(crate) http_requests: Vec<[&'t str; 3]>,
    pub(crate) headers: Vec<(&'t str, &'t [u8])>,
    pub(crate) kafka_requests: Vec<KafkaParts<'t>>,
    pub(crate) names: Vec<&'t str>,
}

/// What a Kafka request is made of.
#[derive(Debug)]
pub(crate) struct KafkaParts<'t> {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) client: &'t str,
    pub(crate) topics: Vec<&'t str>,
}

impl<'t> Script<'t> {
    pub(crate) fn read(text: &'t str) -> Self {
        let mut script = Self::default();
        for line in text.split('\n') {
            let mut letters = line.chars();
            if let Some(letter) = letters.next() {
                script.line(letter, letters.as_str());
            }
        }
        script
    }

    fn line(&mut self, letter: char, rest: &'t str) {
        match letter {
            'r' => add(&mut self.http, HttpRule::default()),
            'm' | 'p' | 'h' | 't' | 'f' | 'l' | 'a' | 'd' | 'c' => {
                if self.http.is_empty() {
                    self.http.push(HttpRule::default());
                }
                if let Some(rule) = self.http.last_mut() {
                    condition(rule, letter, rest);
                }
            }
            'k' => add(&mut self.kafka, kafka(rest)),
            'n' | 'w' => {
                let text = |wanted| (letter == wanted).then(|| rest.into());
                let (match_name, match_pattern) = (text('n'), text('w'));
                let rule = DnsRule {
                    match_name,
                    match_pattern,
                };
                add(&mut self.dns, rule);
            }
            's' => add(&mut self.servers, rest),
            'G' => {
                let mut parts = rest.split(' ');
                let parts = [(); 3].map(|()| part(parts.next()).unwrap_or_default());
                add(&mut self.http_requests, parts);
            }
            'H' => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                add(&mut self.headers, (name, value.as_bytes()));
            }
            'K' => add(&mut self.kafka_requests, KafkaParts::read(rest)),
            'Q' => add(&mut self.names, rest),
            _ => {}
        }
    }
}

impl<'t> KafkaParts<'t> {
    fn read(text: &'t str) -> Self {
        let mut parts = text.split(' ');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        let (key, version) = (number(), number());
        Self {
            key,
            version,
            client: part(parts.next()).unwrap_or_default(),
            topics: parts.take(MOST).collect(),
        }
    }
}

fn add<T>(list: &mut Vec<T>, one: T) {
    if list.len() < MOST {
        list.push(one);
    }
}

fn part(text: Option<&str>) -> Option<&str> {
    text.filter(|text| *text != "-")
}

fn condition(rule: &mut HttpRule, letter: char, text: &str) {
    match letter {
        'm' => rule.method = Some(text.into()),
        'p' => rule.path = Some(text.into()),
        'h' => rule.host = Some(text.into()),
        't' => add(&mut rule.headers, HeaderRule::from_text(text)),
        _ => add(&mut rule.header_matches, matched(letter, text)),
    }
}

fn matched(letter: char, text: &str) -> HeaderMatch {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    HeaderMatch {
        name: name.into(),
        value: (!value.is_empty()).then(|| value.into()),
        secret: None,
        mismatch: match letter {
            'l' => Mismatch::Log,
            'a' => Mismatch::Add,
            'd' => Mismatch::Delete,
            'c' => Mismatch::Replace,
            _ => Mismatch::Fail,
        },
    }
}

fn kafka(text: &str) -> KafkaRule {
    let mut parts = text.split(' ');
    let mut next = || part(parts.next());
    let kind = next();
    KafkaRule {
        role: match kind {
            Some("p") => Some(KafkaRole::Produce),
            Some("c") => Some(KafkaRole::Consume),
            _ => None,
        },
        api_key: kind.and_then(|kind| kind.parse().ok()),
        api_version: next().and_then(|version| version.parse().ok()),
        client_id: next().map(Into::into),
        topic: next().map(Into::into),
    }
}
