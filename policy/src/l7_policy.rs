//! What a proxy is told about a redirected flow.

use crate::l7::L7Rules;
use crate::verdict::Parser;

/// The content rules that hold for one flow: who reads it, and what it must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L7Policy {
    /// Who reads the content.
    pub parser: Parser,
    /// The parser's name, if it is one that the policy names (`l7proto`).
    pub parser_name: Option<Box<str>>,
    /// Whether every content passes; `rules` has no say then. (That everything fits a DNS rule is left
    /// to the DNS proxy.)
    pub unrestricted: bool,
    /// The rules of which one must fit, of the parser's kind; each stands once.
    pub rules: L7Rules,
    /// The TLS names that may be asked for, in order; empty is every name.
    pub server_names: Vec<Box<str>>,
    /// The full name of the listener that takes the connection over
    /// (`NAMESPACE/CONFIGURATION/LISTENER`).
    pub listener: Option<Box<str>>,
}
