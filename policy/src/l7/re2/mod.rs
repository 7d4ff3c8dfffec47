//! The regular expressions of the policy API are those of RE2 as Go accepts them. This puts one into
//! the words of the engine here, and refuses what Go refuses.
//!
//! The two languages differ in little things that turn a meaning around: `{id}` is plain text in RE2,
//! `[a&&b]` an ordinary class, `\d` and `\w` are ASCII, `\<` is a `<`; `\Q…\E` and octal numbers exist
//! there only, `(?x)` here only.

mod escape;
mod reader;

pub(super) use reader::translate;
