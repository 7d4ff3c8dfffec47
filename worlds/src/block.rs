use crate::scene::Scene;

/// Blocks that policies name, apart from single addresses.
pub(crate) const BLOCKS: [&str; 11] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.128.0/17",
    "10.1.2.0/24",
    "192.168.0.0/16",
    "192.168.1.0/24",
    "203.0.113.0/24",
    "0.0.0.0/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "::/0",
];

/// Single addresses, as blocks…
pub(crate) const HOSTS: [&str; 4] = [
    "10.1.2.3/32",
    "192.168.1.7/32",
    "203.0.113.7/32",
    "2001:db8:1::7/128",
];

/// …and as addresses.
pub(crate) const ADDRESSES: [&str; 3] = ["10.1.2.3", "192.168.1.7", "203.0.113.7"];

/// Blocks and what of them may be excepted.
const INSIDE: [(&str, &[&str]); 7] = [
    (
        "10.0.0.0/8",
        &["10.1.0.0/16", "10.1.2.3/32", "10.1.128.0/17"],
    ),
    (
        "10.1.0.0/16",
        &["10.1.128.0/17", "10.1.2.0/24", "10.1.2.3/32", "10.1.0.0/16"],
    ),
    ("192.168.0.0/16", &["192.168.1.0/24", "192.168.1.7/32"]),
    ("203.0.113.0/24", &["203.0.113.7/32"]),
    (
        "0.0.0.0/0",
        &["10.0.0.0/8", "10.1.0.0/16", "203.0.113.0/24", "0.0.0.0/0"],
    ),
    ("2001:db8::/32", &["2001:db8:1::/48", "2001:db8:1::7/128"]),
    ("::/0", &["2001:db8::/32"]),
];

/// Whether blocks of the family are worth naming in this world.
fn fits(scene: &mut Scene, block: &str) -> bool {
    !block.contains(':') || scene.settings.dual_stack || scene.random.chance(10)
}

/// A block for a policy; the world will know it.
pub(crate) fn any(scene: &mut Scene) -> &'static str {
    loop {
        let from: &[&'static str] = if scene.random.chance(25) {
            &HOSTS
        } else {
            &BLOCKS
        };
        let block = scene.random.word(from);
        if fits(scene, block) {
            scene.blocks.insert(block);
            return block;
        }
    }
}

/// The same as people write it: an address without its length, or with bits behind the block.
pub(crate) fn as_text(scene: &mut Scene) -> String {
    let block = any(scene);
    match (block.strip_suffix("/32"), block.strip_prefix("10.0.0.0")) {
        (Some(address), _) if scene.random.chance(40) => address.to_owned(),
        (_, Some(length)) if scene.random.chance(10) => format!("10.1.2.3{length}"),
        _ => block.to_owned(),
    }
}

/// A block and exceptions inside it.
pub(crate) fn with_exceptions(scene: &mut Scene) -> (&'static str, Vec<&'static str>) {
    loop {
        let Some((block, inside)) = scene.random.pick(&INSIDE).copied() else {
            return ("10.0.0.0/8", Vec::new());
        };
        if !fits(scene, block) {
            continue;
        }
        let mut except: Vec<_> = (0..scene.random.between(1, 2))
            .map(|_| scene.random.word(inside))
            .collect();
        except.sort_unstable();
        except.dedup();
        scene.blocks.insert(block);
        scene.blocks.extend(&except);
        return (block, except);
    }
}

/// The label that the identity of a block carries; none for a block of length zero.
pub(crate) fn label(block: &str) -> Option<String> {
    let (address, length) = block.split_once('/')?;
    if length == "0" {
        return None;
    }
    let mut address = address.replace(':', "-");
    if address.ends_with('-') {
        address.push('0');
    }
    Some(format!("cidr:{address}/{length}"))
}

/// The world label of a block's family.
pub(crate) fn world(block: &str, dual_stack: bool) -> &'static str {
    match (dual_stack, block.contains(':')) {
        (false, _) => "reserved:world",
        (true, false) => "reserved:world-ipv4",
        (true, true) => "reserved:world-ipv6",
    }
}
