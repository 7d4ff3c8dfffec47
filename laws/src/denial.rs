use porin_policy::{
    Action, CidrSource, Document, EndpointPolicy, Peer, Peers, PolicySet, Query, Reason, Redirect,
    Semantics, Verdict,
};

use crate::{Broken, World};

/// A denial only denies: with the denials of a document, nothing gets through that did not without
/// them.
///
/// Under [`Semantics::Cilium`] a world is left out in which a rule names all CIDR groups: upstream that
/// selector and the one of everybody share their peers, and a denial may be the first to say which
/// (X1 of `docs/semantics.md`).
///
/// # Errors
/// What gets through, or that the world cannot be set up.
pub fn denials_only_deny(world: &World) -> Result<(), Broken> {
    let set = world.set()?;
    let imitated = world.options.chosen_semantics() == Semantics::Cilium;
    if imitated && set.documents().any(names_all_groups) {
        return Ok(());
    }
    let everybody = world.registry()?.snapshot();
    // Rules that conflict make no policy, and denials do not mend that.
    let Ok(after) = world.resolve(&set, &everybody) else {
        return Ok(());
    };
    for document in set.documents() {
        let Some(fewer) = without_denials(&set, document)? else {
            continue;
        };
        if let Ok(before) = world.resolve(&fewer, &everybody) {
            never_wider(&before, &after, world.queries.iter().copied())?;
        }
    }
    Ok(())
}

/// Nothing gets through after a change that did not before, nor past a proxy that was asked before.
///
/// But where everything is denied before any policy says so (by the mode of enforcement, or for a
/// subject that is only starting), the first rule of a direction, be it a denial, brings the allowance
/// of the local host with it.
///
/// # Errors
/// The first flow that does.
pub fn never_wider(
    before: &EndpointPolicy,
    after: &EndpointPolicy,
    flows: impl IntoIterator<Item = Query>,
) -> Result<(), Broken> {
    let wider = |flow: &Query| {
        Passage::of(after, flow) > Passage::of(before, flow) && !is_first(before, after, flow)
    };
    match flows.into_iter().find(wider) {
        None => Ok(()),
        Some(flow) => Err(Broken::of(format!(
            "{flow}: before: {}; with one denial more: {}",
            before.check(&flow),
            after.check(&flow)
        ))),
    }
}

/// Whether a flow of the local host gets through because something selects the subject at last.
fn is_first(before: &EndpointPolicy, after: &EndpointPolicy, flow: &Query) -> bool {
    let nobody = match before.check(flow).reason() {
        Reason::DefaultDeny { policies } => policies.is_empty(),
        _ => false,
    };
    nobody && after.check(flow).reason() == Reason::Localhost
}

/// How far a flow gets, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Passage {
    Closed,
    /// A proxy may refuse.
    Asked,
    Open,
}

impl Passage {
    fn of(policy: &EndpointPolicy, flow: &Query) -> Self {
        let found = policy.map_state().lookup(flow);
        let Some((_, entry)) = found else {
            return Self::Closed;
        };
        let open = |redirect: Redirect| redirect.unrestricted;
        match entry.action.verdict() {
            Verdict::Deny => Self::Closed,
            Verdict::Allow => Self::Open,
            Verdict::Redirect if entry.action.redirect().is_some_and(open) => Self::Open,
            Verdict::Redirect => Self::Asked,
        }
    }
}

fn names_all_groups(document: &Document) -> bool {
    let mut rules = document.specs.iter().flat_map(|spec| &spec.rules);
    rules.any(|rule| match &rule.peers {
        Peers::Listed(listed) => listed.iter().any(|peer| match peer {
            Peer::Cidr(cidr) => {
                matches!(&cidr.source, CidrSource::Groups(groups) if groups.is_everything())
            }
            _ => false,
        }),
        Peers::Unspecified | Peers::Unnamed => false,
    })
}

/// The set without the denials of a document; `None` if it has none.
fn without_denials(set: &PolicySet, document: &Document) -> Result<Option<PolicySet>, Broken> {
    let mut fewer = document.clone();
    for spec in &mut fewer.specs {
        spec.rules.retain(|rule| rule.action != Action::Deny);
    }
    let rules = |document: &Document| -> usize {
        let lists = document.specs.iter().map(|spec| spec.rules.len());
        lists.sum()
    };
    if rules(&fewer) == rules(document) {
        return Ok(None);
    }
    let mut others = set.clone();
    match rules(&fewer) {
        0 => drop(others.remove(&document.name)),
        _ => drop(others.upsert(fewer).map_err(Broken::of)?),
    }
    Ok(Some(others))
}
