//! A digest over what a document means, whatever its layout.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use crate::Direction;
use crate::compile::{Compiled, Trial};
use crate::rule::Document;
use crate::service::CidrGroup;

/// Digests a compiled document. `document` has the content rules, which compiling leaves behind.
pub(crate) fn meaning(compiled: &Compiled, document: Option<&Document>) -> [u8; 32] {
    let mut text = Text(Sha256::new());
    text.line(format_args!("{}", compiled.name));
    for spec in &compiled.specs {
        text.line(format_args!("subject {}", spec.subject));
        for direction in Direction::ALL {
            let lane = spec.lane(direction);
            let standing = lane.standing(Trial::Tried);
            text.line(format_args!(
                "{direction} {:?} {standing:?}",
                lane.standing(Trial::Enforced)
            ));
            for rule in &lane.rules {
                let (level, peers, ports) = (rule.level, &rule.peers, &rule.ports);
                text.line(format_args!(
                    "{level:?} {:?} {:?} {} {peers:?} {ports:?}",
                    rule.action, rule.auth, rule.staged
                ));
            }
        }
    }
    let rules = document
        .into_iter()
        .flat_map(|document| &document.specs)
        .flat_map(|spec| &spec.rules);
    for element in rules.flat_map(|rule| rule.ports.iter().flatten()) {
        if !element.l7.is_none() {
            text.line(format_args!("{:?}", element.l7));
        }
    }
    text.0.finalize().into()
}

/// Digests a CIDR group: the labels that it gives to blocks, in whatever order these are listed.
pub(crate) fn group_meaning(group: &CidrGroup) -> [u8; 32] {
    let mut text = Text(Sha256::new());
    text.line(format_args!("group {} {:?}", group.name, group.labels));
    let blocks: BTreeSet<_> = group.blocks.iter().collect();
    for block in blocks {
        text.line(format_args!("{block}"));
    }
    text.0.finalize().into()
}

struct Text(Sha256);

impl Text {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a digest cannot fail.
        let _ = writeln!(self, "{text}");
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
