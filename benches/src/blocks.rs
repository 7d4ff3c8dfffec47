use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;

use ipnet::IpNet;
use porin::identity::{Families, Identities, IdentityId};

/// One subject and 1,000 rules, each of which allows it one block on one port, and with denials
/// each of which denies it another one too; every block named has an identity.
///
/// `peers/cilium-policy/blocks.go` builds the same; change both or neither.
#[derive(Debug, Clone)]
pub struct Blocks {
    /// One document with all rules.
    pub policy: String,
    /// The subject and the blocks.
    pub identities: Identities,
}

const LENGTHS: [u8; 5] = [8, 16, 24, 28, 32];
const FIRST: [u8; 3] = [10, 192, 244];

impl Blocks {
    /// Whose policy it is.
    pub const SUBJECT: IdentityId = IdentityId::new(1_000);

    /// Builds a set of so many rules.
    ///
    /// # Errors
    ///
    /// When the registry refuses a number, which would be a defect of this set.
    pub fn new(rules: usize, with_denials: bool) -> Result<Self, Box<dyn Error>> {
        let mut named = BTreeSet::new();
        let mut specs = String::new();
        for i in 1..=rules {
            let comma = if i == 1 { "" } else { "," };
            write!(
                specs,
                r#"{comma}{{"endpointSelector":{{"matchLabels":{{"k8s:foo":""}}}},"#
            )?;
            let (block, port) = allowed(i)?;
            write!(specs, r#""egress":[{}]"#, entry(block, port))?;
            named.insert(block);
            if with_denials {
                let (block, port) = denied(i)?;
                write!(specs, r#","egressDeny":[{}]"#, entry(block, port))?;
                named.insert(block);
            }
            specs.push('}');
        }
        let policy = format!(
            r#"{{"apiVersion":"cilium.io/v2","kind":"CiliumClusterwideNetworkPolicy","metadata":{{"name":"blocks"}},"specs":[{specs}]}}"#
        );
        let mut identities = Identities::new(Families::V4);
        identities.insert_fixed(Self::SUBJECT, "k8s:foo".parse()?)?;
        for (number, block) in (1 << 24..).zip(named) {
            let labels = identities.local_labels(block, []);
            identities.insert_fixed(IdentityId::new(number + 1), labels)?;
        }
        Ok(Self { policy, identities })
    }
}

fn entry(block: IpNet, port: usize) -> String {
    format!(
        r#"{{"toCIDR":["{block}"],"toPorts":[{{"ports":[{{"port":"{port}","protocol":"TCP"}}]}}]}}"#
    )
}

fn allowed(i: usize) -> Result<(IpNet, usize), Box<dyn Error>> {
    let block = block(i % 5, i % 3, [i % 17, i % 121], [i % 16 * 16, i % 255])?;
    Ok((block, 80 + i % 97))
}

fn denied(i: usize) -> Result<(IpNet, usize), Box<dyn Error>> {
    let k = i + 773;
    let block = block(
        (k + 21) % 5,
        k % 3,
        [k % 23, k % 119],
        [k % 15 * 16, k % 253],
    )?;
    Ok((block, 80 + k % 131))
}

/// The block of a length, its last octet as blocks of 28 and of 32 bits have it.
fn block(
    length: usize,
    first: usize,
    middle: [usize; 2],
    last: [usize; 2],
) -> Result<IpNet, Box<dyn Error>> {
    let (length, first) = LENGTHS
        .get(length)
        .zip(FIRST.get(first))
        .ok_or("no such block")?;
    let ([second, third], [of_28, of_32]) = (middle, last);
    let last = if *length == 28 { of_28 } else { of_32 };
    let address: IpNet = format!("{first}.{second}.{third}.{last}/{length}").parse()?;
    Ok(address.trunc())
}
