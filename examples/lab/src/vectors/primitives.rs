//! Selectors, blocks minus exceptions, port ranges.

use std::collections::BTreeMap;

use ipnet::IpNet;
use porin::identity::{Label, Labels, ParseSelectorError, Requirement, Selector, cidr_minus};
use porin::policy::PortPrefix;
use serde::Deserialize;

use super::Fault;
use super::tally::Outcome;

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Case {
    Selector {
        selector: SelectorText,
        labels: Vec<String>,
        matches: bool,
    },
    CidrSet {
        cidr: IpNet,
        #[serde(default)]
        except: Vec<IpNet>,
        result: Vec<IpNet>,
    },
    PortRange {
        start: u16,
        end: u16,
        blocks: Vec<(u16, u8)>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelectorText {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

pub(super) fn run(line: &str) -> Result<Outcome, Fault> {
    let case: Case = serde_json::from_str(line)?;
    let difference = match case {
        Case::Selector {
            selector,
            labels,
            matches,
        } => {
            let labels = parse_labels(&labels).map_err(Fault::of)?;
            match parse_selector(&selector) {
                Ok(selector) if selector.matches(&labels) == matches => None,
                Ok(selector) => Some(format!("`{selector}` on `{labels}`: {} expected", matches)),
                Err(error) => Some(error.to_string()),
            }
        }
        Case::CidrSet {
            cidr,
            except,
            mut result,
        } => {
            let mut found = cidr_minus(cidr, &except);
            found.sort();
            result.sort();
            (found != result).then(|| format!("{found:?}, {result:?} expected"))
        }
        Case::PortRange { start, end, blocks } => {
            // An end below the start is no end: the start stands alone.
            let cut =
                PortPrefix::cut(start, end.max(start)).map(|prefix| (prefix.port(), prefix.bits()));
            let found: Vec<_> = cut.collect();
            (found != blocks).then(|| format!("{found:?}, {blocks:?} expected"))
        }
    };
    Ok(Outcome::of(difference.into_iter().collect()))
}

fn parse_labels(texts: &[String]) -> Result<Labels, String> {
    texts
        .iter()
        .map(|text| text.parse::<Label>().map_err(|e| e.to_string()))
        .collect()
}

fn parse_selector(text: &SelectorText) -> Result<Selector, ParseSelectorError> {
    let equal = text
        .match_labels
        .iter()
        .map(|(key, value)| Requirement::parse_label(key, value));
    let expressions = text.match_expressions.iter().map(|expression| {
        Requirement::parse_expression(&expression.key, &expression.operator, &expression.values)
    });
    equal.chain(expressions).collect()
}
