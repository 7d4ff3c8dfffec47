//! PL033 replaced-document: of two documents of one name the later replaces the earlier.

use super::code::Code;
use super::finding::{Related, Suggestion};
use super::registry::{Found, Run};

pub(super) fn run(run: &Run<'_>, found: &mut Vec<Found>) {
    for (index, document) in run.documents.iter().enumerate() {
        let Some(later) = run
            .replaced
            .by(index)
            .and_then(|later| run.documents.get(later))
        else {
            continue;
        };
        let reason = "a later document has the same kind, namespace and name and replaces this one, which is not in force".to_owned();
        let advice = "give one of the two another name, or drop this one";
        let related = Some(Related {
            location: later.location.clone(),
            policy: later.name.clone(),
        });
        let place = (index, document.location.clone());
        found.extend(Found::new(
            run,
            Code::ReplacedDocument,
            place,
            related,
            reason,
            Suggestion::words(advice),
        ));
    }
}
