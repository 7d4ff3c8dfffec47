//! Ask a policy why: lint the walk-through, load it, question it, mend it. No root, no kernel.
//!
//! `cargo run --example quickstart`

use std::error::Error;

use porin::identity::{Families, Identities, IdentityId};
use porin::policy::{Document, Options, PolicySet, Query, World, lint, parse_documents};

/// Files embedded by name, so that the example runs anywhere.
macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("walkthrough/", $name)))),*] };
}

const WORLD: &str = include_str!("walkthrough/world.yaml");

const AS_WRITTEN: [(&str, &str); 11] = files![
    "as-written/01-frontend-https-only.yaml",
    "as-written/02-frontend-lb-only.yaml",
    "as-written/03-api-frontend-only.yaml",
    "as-written/04-api-http-restrictions.yaml",
    "as-written/05-api-authorization-header.yaml",
    "as-written/06-postgres-api-only.yaml",
    "as-written/07-postgres-egress-deny.yaml",
    "as-written/08-kafka-clients.yaml",
    "as-written/09-kafka-topic-policy.yaml",
    "as-written/10-kafka-client-id.yaml",
    "as-written/11-backend-from-frontend.yaml",
];

const CORRECTED: [(&str, &str); 7] = files![
    "corrected/02-frontend-lb-only.yaml",
    "corrected/04-api-http-restrictions.yaml",
    "corrected/06-postgres-api-only.yaml",
    "corrected/07-postgres-egress-deny.yaml",
    "corrected/08-kafka-clients.yaml",
    "corrected/09-kafka-topic-policy.yaml",
    "corrected/11-backend-from-frontend.yaml",
];

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::parse("world.yaml", WORLD)?;
    for (act, files) in [
        ("as written", AS_WRITTEN.as_slice()),
        ("corrected", CORRECTED.as_slice()),
    ] {
        println!("== {act}: what lint says");
        report(files, &world);
        println!("\n== {act}: what gets through");
        ask(files, &world)?;
        println!();
    }
    Ok(())
}

/// Prints what the authors most likely did not mean.
fn report(files: &[(&str, &str)], world: &World) {
    let documents: Vec<Document> = files
        .iter()
        .flat_map(|(name, text)| parse_documents(name, text).documents)
        .collect();
    let findings = lint(&documents, Some(world), &Options::new());
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} findings", findings.len());
}

/// Loads the set and asks it four questions.
fn ask(files: &[(&str, &str)], world: &World) -> Result<(), Box<dyn Error>> {
    let mut set = PolicySet::new(Options::new());
    set.load(files.iter().copied())?;

    // Labels become identities, and so does every block that a policy names.
    let mut identities = Identities::new(Families::Dual);
    let mut identity = |name: &str| -> Result<IdentityId, Box<dyn Error>> {
        match (world.workload(name), world.range(name)) {
            (Some(workload), _) => Ok(identities.intern(workload.identity("default")?)?.id),
            (None, Some(range)) if set.prefixes().contains(&range.cidr) => {
                Ok(identities.intern_local(range.cidr, [])?.id)
            }
            (None, Some(_)) => Ok(IdentityId::WORLD_IPV4),
            (None, None) => Err(format!("`{name}` is not in the world file").into()),
        }
    };
    let [frontend, api, postgres] = ["frontend", "backend-api", "postgres"].map(&mut identity);
    let [balancer, internet] = ["load-balancer", "internet"].map(&mut identity);
    let (frontend, api, postgres, balancer, internet) =
        (frontend?, api?, postgres?, balancer?, internet?);
    let snapshot = identities.snapshot();

    for (question, subject, query) in [
        (
            "load balancer to frontend",
            frontend,
            Query::ingress(balancer).tcp(443),
        ),
        (
            "internet to frontend",
            frontend,
            Query::ingress(internet).tcp(443),
        ),
        ("frontend to API", api, Query::ingress(frontend).tcp(8080)),
        ("API to database", postgres, Query::ingress(api).tcp(5432)),
    ] {
        println!(
            "{question}: {}",
            set.resolve(subject, &snapshot)?.check(&query)
        );
    }

    println!("\nwhy is that so for frontend to API?");
    println!(
        "{}",
        set.explain(api, &Query::ingress(frontend).tcp(8080), &snapshot)?
    );
    Ok(())
}
