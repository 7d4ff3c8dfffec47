//! Taking allowances and L7 rules out of policies, without leaving behind what would allow more.
//!
//! A list of L7 rules that has lost its last one would let everything pass, so its element goes
//! too; a rule that has lost its last element likewise; and of a list of allowances `{}` stays,
//! which allows nothing and keeps the default deny. Other lists do not lose their last rule: there
//! is nothing to write in its place.

use std::collections::BTreeSet;

use super::clause::Clause;
use super::edit::{Editor, element_list, rule_list};
use super::finding::Edit;
use super::registry::Run;
use crate::l7::L7Rules;
use crate::rule::{Action, Document, Rule, Spec};
use crate::staged::Staging;
use crate::yaml::Node;

/// What is to be taken out.
#[derive(Default)]
pub(super) struct Pruning<'a>(Vec<Pruned<'a>>);

struct Pruned<'a> {
    document: usize,
    of: &'a Document,
    spec: &'a Spec,
    rule: &'a Rule,
    whole: bool,
    elements: BTreeSet<usize>,
    /// Elements and the places of their L7 rules.
    items: BTreeSet<(usize, usize)>,
}

impl<'a> Pruning<'a> {
    fn of(&mut self, allow: &Clause<'a>) -> Option<&mut Pruned<'a>> {
        self.at(allow.document, allow.of, allow.spec, allow.rule)
    }

    fn at(
        &mut self,
        document: usize,
        of: &'a Document,
        spec: &'a Spec,
        rule: &'a Rule,
    ) -> Option<&mut Pruned<'a>> {
        let known = self
            .0
            .iter()
            .position(|pruned| std::ptr::eq(pruned.rule, rule));
        let place = known.unwrap_or_else(|| {
            self.0.push(Pruned {
                document,
                of,
                spec,
                rule,
                whole: false,
                elements: BTreeSet::new(),
                items: BTreeSet::new(),
            });
            self.0.len() - 1
        });
        self.0.get_mut(place)
    }

    /// Takes out an element, or the rule that it is all of.
    pub(super) fn allow(&mut self, allow: &Clause<'a>) {
        let Some(pruned) = self.of(allow) else { return };
        match allow.element {
            Some((element, _)) => drop(pruned.elements.insert(element)),
            None => pruned.whole = true,
        }
    }

    /// Takes out a whole rule.
    pub(super) fn rule(
        &mut self,
        document: usize,
        of: &'a Document,
        spec: &'a Spec,
        rule: &'a Rule,
    ) {
        if let Some(pruned) = self.at(document, of, spec, rule) {
            pruned.whole = true;
        }
    }

    /// Takes out one L7 rule of an allowance.
    pub(super) fn item(&mut self, allow: &Clause<'a>, place: usize) {
        let (Some(pruned), Some((element, _))) = (self.of(allow), allow.element) else {
            return;
        };
        pruned.items.insert((element, place));
    }

    /// The edits that do it.
    pub(super) fn edits(mut self, run: &Run<'a>) -> Vec<Edit> {
        self.0.iter_mut().for_each(Pruned::settle);
        let mut edits = Vec::new();
        for (at, pruned) in self.0.iter().enumerate() {
            match pruned.whole {
                true => edits.extend(self.rules(run, at, pruned)),
                false => edits.extend(pruned.parts(run)),
            }
        }
        edits
    }

    /// The edits of a whole list of rules, made when its first pruned rule comes by.
    fn rules(&self, run: &Run<'a>, at: usize, first: &Pruned<'a>) -> Vec<Edit> {
        let beside = |other: &&Pruned<'_>| {
            other.whole
                && std::ptr::eq(other.spec, first.spec)
                && other.rule.direction == first.rule.direction
                && other.rule.action == first.rule.action
        };
        if self.0.iter().take(at).any(|earlier| beside(&earlier)) {
            return Vec::new();
        }
        let gone = self
            .0
            .iter()
            .filter(beside)
            .map(|pruned| pruned.rule.index)
            .collect::<BTreeSet<usize>>();
        // Staged rules are known by their places, which would shift.
        if matches!(first.of.staging, Staging::Rules(_)) {
            return Vec::new();
        }
        let empties = first.rule.action == Action::Allow && !first.of.name.kind.is_kubernetes();
        let edits = first.on_list(run, |editor, list| {
            match empties || list.len() > gone.len() {
                true => Some(editor.remove(list, &gone, "{}")),
                false => None,
            }
        });
        edits.unwrap_or_default()
    }
}

impl<'a> Pruned<'a> {
    /// What has lost all of its parts goes as a whole.
    fn settle(&mut self) {
        let Some(elements) = &self.rule.ports else {
            return;
        };
        for (place, element) in elements.iter().enumerate() {
            let gone = self.items.iter().filter(|(of, _)| *of == place).count();
            if gone > 0 && gone >= count(&element.l7) {
                self.elements.insert(place);
            }
        }
        self.whole |= self.elements.len() >= elements.len();
    }

    fn on_list<T>(
        &self,
        run: &Run<'a>,
        edit: impl FnOnce(&Editor<'a>, &Node<'a>) -> Option<T>,
    ) -> Option<T> {
        let document = run.documents.get(self.document)?;
        run.trees.with(document, |tree| {
            edit(
                &Editor::of(document),
                rule_list(tree, self.of, self.spec, self.rule)?,
            )
        })
    }

    /// The edits inside a rule that stays.
    fn parts(&self, run: &Run<'a>) -> Vec<Edit> {
        let edits = self.on_list(run, |editor, list| {
            let elements = element_list(list.item(self.rule.index)?)?;
            let mut edits = editor.remove(elements, &self.elements, "{}");
            for (place, element) in self.rule.ports.iter().flatten().enumerate() {
                let gone: BTreeSet<usize> = self
                    .items
                    .iter()
                    .filter(|(of, _)| *of == place)
                    .map(|(_, item)| *item)
                    .collect();
                if gone.is_empty() || self.elements.contains(&place) {
                    continue;
                }
                let rules = elements
                    .item(place)?
                    .get("rules")?
                    .get(element.l7.field()?)?;
                edits.extend(editor.remove(rules, &gone, "{}"));
            }
            Some(edits)
        });
        edits.unwrap_or_default()
    }
}

fn count(rules: &L7Rules) -> usize {
    match rules {
        L7Rules::None => 0,
        L7Rules::Http(rules) => rules.len(),
        L7Rules::Kafka(rules) => rules.len(),
        L7Rules::Dns(rules) => rules.len(),
        L7Rules::Other { rules, .. } => rules.len(),
    }
}
