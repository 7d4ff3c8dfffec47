//! Texts that are made to take much memory stay within the bound that every text has.

use porin_fuzz::{measured, most_for};

/// How long a repeated part makes a text, in bytes.
const LENGTH: usize = 200_000;

fn policy(ingress: &str, part: &str, end: &str) -> String {
    let start = r#"{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"p"},"spec":{"endpointSelector":{},"ingress":["#;
    let parts = vec![part; LENGTH / (part.len() + 1)].join(",");
    format!("{start}{ingress}{parts}{end}]}}}}")
}

/// Ten to the power of so many nodes, by aliases.
fn aliases(power: usize) -> String {
    let lists = (0..power).map(|level| {
        let part = match level {
            0 => "x".to_owned(),
            _ => format!("*a{}", level - 1),
        };
        format!("a{level}: &a{level} [{}]\n", vec![part; 10].join(","))
    });
    lists.collect()
}

fn texts() -> Vec<(&'static str, String)> {
    let list = |part: &str| {
        let parts = vec![part; LENGTH / (part.len() + 1)].join(",");
        format!(r#"{{"apiVersion":"v1","kind":"List","items":[{parts}]}}"#)
    };
    let repeated = |part: &str| part.repeat(LENGTH / part.len());
    let five = "{matchLabels: {a: b}},".repeat(5);
    let peers = format!(
        "kind: CiliumNetworkPolicy\napiVersion: cilium.io/v2\nmetadata: {{name: p}}\nspec:\n endpointSelector: {{}}\n ingress:\n - &r {{fromEndpoints: [{five}]}}\n{}",
        " - *r\n".repeat(8000)
    );
    let long = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{kind: y, apiVersion: &a {}}}\n{}",
        "x".repeat(LENGTH),
        "- {kind: y, apiVersion: *a}\n".repeat(8000)
    );
    vec![
        ("a list without an end", format!("[{}", repeated("a,"))),
        (
            "a map without an end",
            format!(
                "{{{}",
                (0..LENGTH / 8)
                    .map(|at| format!("k{at},"))
                    .collect::<String>()
            ),
        ),
        ("elements", repeated("- \n")),
        ("documents", repeated("a\n---\n")),
        ("broken documents", repeated("[\n---\n")),
        ("lines", repeated("\n")),
        ("objects that are no objects", list("1")),
        ("objects without a kind", list("{}")),
        ("rules", policy("", "{}", "")),
        ("peers", policy(r#"{"fromEndpoints":["#, "{}", "]}")),
        ("elements of ports", policy(r#"{"toPorts":["#, "{}", "]}")),
        (
            "HTTP rules",
            policy(
                r#"{"toPorts":[{"ports":[{"port":"1","protocol":"TCP"}],"rules":{"http":["#,
                "{}",
                "]}}]}",
            ),
        ),
        (
            "an expression that grows",
            policy(
                r#"{"toPorts":[{"ports":[{"port":"1","protocol":"TCP"}],"rules":{"http":["#,
                r#"{"path":"(\\pL{20}){2}"},{"path":".{999}"}"#,
                "]}}]}",
            ),
        ),
        ("aliases of nodes", aliases(5)),
        ("too many aliases", aliases(9)),
        ("documents of aliases", vec![aliases(5); 6].join("---\n")),
        ("aliases of peers", peers),
        ("aliases of a long text", long),
    ]
}

#[test]
fn texts_that_grow_stay_within_the_bound() {
    for (what, text) in texts() {
        let ((took, _), most) = (measured(&text), most_for(&text));
        eprintln!(
            "{what}: {} bytes, {took} of {most} bytes of memory",
            text.len()
        );
        assert!(
            took <= most,
            "{what}: {took} bytes of memory, more than {most}"
        );
    }
}
