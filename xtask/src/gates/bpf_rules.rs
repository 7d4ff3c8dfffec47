//! The BPF C code stays inside what both loaders understand alike.

use std::path::Path;

use super::{Outcome, judge};
use crate::{
    failure::Failure,
    workspace::{Workspace, read},
};

/// Section names that aya and libbpf read the same way.
const SECTIONS: &[&str] = &[
    "classifier",
    "cgroup_skb/egress",
    "cgroup_skb/ingress",
    "cgroup/connect4",
    "cgroup/connect6",
    "cgroup/sendmsg4",
    "cgroup/sendmsg6",
    ".maps",
    "license",
    "version",
];

/// Each of these makes one of the loaders refuse the object, or ignore a part of it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("__ksym", "aya refuses the whole object"),
    ("__kconfig", "aya refuses the whole object"),
    (".values =", "aya ignores initial values of maps"),
];

/// The first line of every C file.
const LICENCE: &str = "SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause";

pub(super) fn check(workspace: &Workspace) -> Result<Outcome, Failure> {
    let mut complaints = Vec::new();
    for path in workspace.files(&[".c", ".h"])? {
        complain(&workspace.show(&path), &read(&path)?, &mut complaints);
    }
    judge(&complaints)
}

fn complain(shown: &str, text: &str, complaints: &mut Vec<String>) {
    if !text
        .lines()
        .next()
        .is_some_and(|first| first.contains(LICENCE))
    {
        complaints.push(format!("{shown}:1: the first line must say `{LICENCE}`"));
    }
    if Path::new(shown)
        .extension()
        .is_some_and(|ending| ending == "h")
        && text
            .lines()
            .filter(|line| line.trim() == "#pragma once")
            .count()
            != 1
    {
        complaints.push(format!("{shown}: a header has one `#pragma once`"));
    }
    for (number, line) in text.lines().enumerate() {
        let place = format!("{shown}:{}", number + 1);
        for (word, reason) in FORBIDDEN {
            if line.contains(word) {
                complaints.push(format!("{place}: `{word}`: {reason}"));
            }
        }
        let section = line
            .split_once("SEC(\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        if let Some((section, _)) = section
            && !SECTIONS.contains(&section)
        {
            complaints.push(format!(
                "{place}: section `{section}` is not read alike by both loaders; known: {}",
                SECTIONS.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LICENCE, complain};

    fn complaints(name: &str, code: &str) -> Vec<String> {
        let mut complaints = Vec::new();
        complain(name, &format!("// {LICENCE}\n{code}"), &mut complaints);
        complaints
    }

    #[test]
    fn what_only_one_loader_reads_is_refused() {
        assert!(complaints("a.c", "SEC(\"classifier\")\nint f(void);").is_empty());
        assert_eq!(complaints("a.c", "SEC(\"tc\")").len(), 1);
        assert_eq!(complaints("a.c", "extern int f(void) __ksym;").len(), 1);
        assert_eq!(complaints("a.h", "int x;").len(), 1);
        assert!(complaints("a.h", "#pragma once").is_empty());
    }
}
