//! The two ways between a flow and its line.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::{read, wire};
use crate::error::{ReadFlowError, ReadFlowErrorKind};
use crate::flow::Flow;

impl Flow {
    /// One line of `hubble observe -o json`, without the line feed:
    /// `{"flow":{…},"node_name":…,"time":…}`.
    ///
    /// What Hubble's schema has no field for goes into `flow.extensions`, a
    /// `google.protobuf.Any` that holds a `google.protobuf.Struct`:
    ///
    /// ```json
    /// "extensions": {"@type": "type.googleapis.com/google.protobuf.Struct",
    ///                "value": {"drop_reason": "NOT_READY", "rule": "cnp/shop/web ingress[0] (web.yaml:7:5)"}}
    /// ```
    ///
    /// `drop_reason` is there for Porin's own reasons 240–255 only. Hubble's `drop_reason` and
    /// `event_type.sub_type` then carry the number, and `drop_reason_desc` is
    /// `DROP_REASON_UNKNOWN`, a default and so left out. The `hubble` client knows both message
    /// types, so it reads such a line without complaint and shows the number.
    ///
    /// Control characters, DEL and C1 included, are written as `\u00XX`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::with_capacity(1024);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Harmless);
        // Writing strings, numbers and lists to memory has no way to fail.
        let written = wire::Response::from(self).serialize(&mut serializer);
        debug_assert!(written.is_ok());
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// Reads a line that [`to_json`](Self::to_json), the `hubble` client or its exporter wrote.
    ///
    /// Fields that this version does not know are passed over, as a protobuf reader does. The bare
    /// flow, without the envelope, is read too.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, a value does not fit its field, or the record is of a kind that
    /// is not supported yet (layer 7, sockets, tunnels).
    pub fn from_json(line: &str) -> Result<Self, ReadFlowError> {
        let parsed: wire::Line = serde_json::from_str(line)
            .map_err(|e| ReadFlowError::new(ReadFlowErrorKind::Syntax(e.to_string())))?;
        read::flow(parsed)
    }
}

/// Compact JSON whose strings hold no control character, not even those that JSON permits.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| c.is_control()) {
            let (clean, tail) = rest.split_at(at);
            writer.write_all(clean.as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}
