//! Rules on Rust sources that no lint knows.

use super::{Outcome, judge, size::is_test};
use crate::{
    failure::Failure,
    workspace::{Workspace, read},
};

/// What does not belong into a `lib.rs` or `mod.rs` of a library: these hold docs and exports.
const ITEMS: &[&str] = &[
    "fn ",
    "struct ",
    "enum ",
    "trait ",
    "impl ",
    "impl<",
    "union ",
    "static ",
    "macro_rules!",
];

/// Where the kernel's layouts leave no other way; the last one is the address of a packet socket.
const UNSAFE_ALLOWED: &[&str] = &[
    "datapath/src/sys/",
    "datapath/src/abi",
    "testbed/src/packet.rs",
];

/// `lib.rs` and `mod.rs` of the libraries hold documentation and exports only.
pub(super) fn modules(workspace: &Workspace) -> Result<Outcome, Failure> {
    let mut complaints = Vec::new();
    for path in workspace.files(&["lib.rs", "mod.rs"])? {
        let shown = workspace.show(&path);
        let library = !["xtask", "examples", "benches"]
            .iter()
            .any(|apart| shown.starts_with(apart));
        if !library || is_test(&path) {
            continue;
        }
        let text = read(&path)?;
        let code = text
            .lines()
            .enumerate()
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
        for (number, line) in code {
            let item = line
                .strip_prefix("pub(crate) ")
                .or(line.strip_prefix("pub "))
                .unwrap_or(line);
            if ITEMS.iter().any(|start| item.starts_with(start)) {
                complaints.push(format!(
                    "{shown}:{}: `{line}` wants a file of its own",
                    number + 1
                ));
            }
        }
    }
    judge(&complaints)
}

/// `unsafe` stays where it was agreed on.
pub(super) fn unsafe_code(workspace: &Workspace) -> Result<Outcome, Failure> {
    let mut complaints = Vec::new();
    for path in workspace.files(&[".rs"])? {
        let shown = workspace.show(&path);
        if UNSAFE_ALLOWED
            .iter()
            .any(|allowed| shown.starts_with(allowed))
        {
            continue;
        }
        for (number, line) in read(&path)?.lines().enumerate() {
            if has_word(&code(line), "unsafe") {
                complaints.push(format!(
                    "{shown}:{}: `unsafe` outside of {}",
                    number + 1,
                    UNSAFE_ALLOWED.join(", ")
                ));
            }
        }
    }
    judge(&complaints)
}

/// A line without its strings and comments, as far as one line tells.
fn code(line: &str) -> String {
    let without_escapes = line.replace("\\\"", "");
    let without_comment = without_escapes.split("//").next().unwrap_or_default();
    without_comment
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join("\"\"")
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|each| each == word)
}

#[cfg(test)]
mod tests {
    use super::{code, has_word};

    #[test]
    fn words_in_strings_comments_and_names_do_not_count() {
        assert!(has_word(&code("    unsafe { call() }"), "unsafe"));
        assert!(has_word(&code("pub unsafe fn call();"), "unsafe"));
        assert!(!has_word(&code("#![forbid(unsafe_code)]"), "unsafe"));
        assert!(!has_word(&code("say(\"unsafe\")"), "unsafe"));
        assert!(!has_word(&code("call(); // unsafe no more"), "unsafe"));
    }
}
