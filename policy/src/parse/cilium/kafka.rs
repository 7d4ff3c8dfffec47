//! `kafka` rules, as the policy API of Cilium 1.19 had them.

use crate::l7::{KafkaRole, KafkaRule};
use crate::parse::at::{At, Reader};
use crate::parse::error::ParseError;

pub(super) fn kafka(reader: &mut Reader<'_>, at: &At<'_>) -> Result<KafkaRule, ParseError> {
    reader.count_rule(at)?;
    reader.fields(at, &["role", "apiKey", "apiVersion", "clientID", "topic"])?;
    let role = reader.text_of(at, "role")?;
    let key = reader.text_of(at, "apiKey")?;
    if role.is_some() && key.is_some() {
        return Err(reader.invalid(at, "`role` and `apiKey` exclude each other; keep one"));
    }
    let topic = reader.boxed_of(at, "topic")?;
    if let Some(reason) = topic.as_deref().and_then(topic_fault) {
        return Err(reader.invalid(at, reason));
    }
    Ok(KafkaRule {
        role: role.map(|text| kafka_role(reader, at, text)).transpose()?,
        api_key: key.map(|text| kafka_key(reader, at, text)).transpose()?,
        api_version: reader
            .text_of(at, "apiVersion")?
            .map(|text| kafka_version(reader, at, text))
            .transpose()?,
        client_id: reader.boxed_of(at, "clientID")?,
        topic,
    })
}

fn topic_fault(topic: &str) -> Option<&'static str> {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'\\');
    match topic {
        _ if topic.len() > 255 => Some("a topic has at most 255 characters; shorten it"),
        _ if !topic.bytes().all(fits) => {
            Some("a topic has letters, digits, `.`, `_` and `-`; remove what else is there")
        }
        _ => None,
    }
}

fn kafka_role(reader: &Reader<'_>, at: &At<'_>, text: &str) -> Result<KafkaRole, ParseError> {
    match text.to_ascii_lowercase().as_str() {
        "produce" => Ok(KafkaRole::Produce),
        "consume" => Ok(KafkaRole::Consume),
        _ => Err(reader.invalid(at, format!("unknown role `{text}`; use produce or consume"))),
    }
}

fn kafka_version(reader: &Reader<'_>, at: &At<'_>, text: &str) -> Result<i16, ParseError> {
    text.parse()
        .ok()
        .filter(|version| *version >= 0)
        .ok_or_else(|| {
            reader.invalid(
                at,
                format!("`{text}` is no version; use a number from 0 to 32767"),
            )
        })
}

/// The names of Kafka's request kinds, by number (the protocol's own list).
pub(crate) const KAFKA_KEYS: &[&str] = &[
    "produce",
    "fetch",
    "offsets",
    "metadata",
    "leaderandisr",
    "stopreplica",
    "updatemetadata",
    "controlledshutdown",
    "offsetcommit",
    "offsetfetch",
    "findcoordinator",
    "joingroup",
    "heartbeat",
    "leavegroup",
    "syncgroup",
    "describegroups",
    "listgroups",
    "saslhandshake",
    "apiversions",
    "createtopics",
    "deletetopics",
    "deleterecords",
    "initproducerid",
    "offsetforleaderepoch",
    "addpartitionstotxn",
    "addoffsetstotxn",
    "endtxn",
    "writetxnmarkers",
    "txnoffsetcommit",
    "describeacls",
    "createacls",
    "deleteacls",
    "describeconfigs",
    "alterconfigs",
];

fn kafka_key(reader: &Reader<'_>, at: &At<'_>, text: &str) -> Result<i16, ParseError> {
    let name = text.to_ascii_lowercase();
    KAFKA_KEYS
        .iter()
        .position(|known| *known == name)
        .and_then(|key| i16::try_from(key).ok())
        .ok_or_else(|| {
            reader.invalid(
                at,
                format!(
                    "unknown request kind `{text}`; use a name of the Kafka protocol, such as fetch"
                ),
            )
        })
}
