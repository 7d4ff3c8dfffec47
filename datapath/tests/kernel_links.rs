//! Attaching, pinning and adopting on a real kernel, with real packets.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use common::{Failure, Wire, eventually, listing, role, start_role, with_bpffs};
use nix::mount::{MntFlags, umount2};
use porin_datapath::error::{AttachError, MapError, PinError};
use porin_datapath::link::{AttachMode, Attachment, Mechanism, Target};
use porin_datapath::pin::PinDir;
use porin_datapath::probe::probe;
use porin_datapath::sys::{
    Link, LinkPosition, Map, MapFlags, MapKind, MapShape, Program, RouteSocket, TcxHook, is_bpffs,
    pin,
};
use porin_flow::EndpointId;
use porin_testbed::Namespace;
use porin_testbed::suite::{Outcome, Test, run};

/// `TCX_NEXT`: the next program decides.
const NEXT: i32 = -1;
/// `TCX_DROP`
const DROP: i32 = 2;

/// A test for either way to attach.
type Body = fn(AttachMode) -> Outcome;

fn main() -> ExitCode {
    if let Some((role, arguments)) = role() {
        return match play(&role, &arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{role}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let mut tests = vec![
        Test::new(
            "kernel_clsact_update_cut_short_is_adopted",
            unfinished_update,
        ),
        Test::new(
            "kernel_clsact_beginning_cut_short_is_adopted",
            unfinished_beginning,
        ),
        Test::new("kernel_probe_finds_what_is_there", probe_finds),
        Test::new("kernel_probe_names_missing_capabilities", probe_names),
        Test::new("kernel_auto_asks_for_tcx_first", auto_is_tcx),
        Test::new("kernel_tcx_order_is_kept", order),
        Test::new(
            "kernel_tcx_next_leaves_the_verdict_to_others",
            others_decide,
        ),
        Test::new("kernel_same_program_twice_is_refused", twice),
        Test::new("kernel_clsact_filters_of_two_owners_coexist", two_filters),
        Test::new(
            "kernel_device_of_another_namespace_is_refused",
            wrong_namespace,
        ),
        Test::new("kernel_pin_directories_do_not_meet", two_directories),
        Test::new("kernel_pin_directory_has_one_holder", one_holder),
        Test::new("kernel_pin_directory_needs_a_bpffs", needs_bpffs),
        Test::new("kernel_pin_directory_mounts_on_request", mounts),
        Test::new("kernel_incompatible_map_is_refused", incompatible),
    ];
    for mode in [AttachMode::Tcx, AttachMode::Clsact] {
        let name = |text: &str| format!("kernel_{mode:?}_{text}").to_lowercase();
        let bodies: [(&str, Body); 6] = [
            ("program_decides", decides),
            ("detach_is_immediate", detach_is_immediate),
            ("drop_detaches", drop_detaches),
            ("pin_outlives_its_owner", pin_outlives),
            ("killed_process_leaves_its_program", killed),
            ("device_that_went_is_noticed", device_went),
        ];
        for (text, body) in bodies {
            tests.push(Test::new(&name(text), move || body(mode)));
        }
    }
    run(tests)
}

fn target(wire: &Wire, hook: TcxHook) -> Target {
    Target {
        ifindex: wire.ifindex,
        hook,
    }
}

/// Attaches a program with this constant answer at a hook of the wire.
fn attach(
    wire: &Wire,
    hook: TcxHook,
    answer: i32,
    mode: AttachMode,
) -> Result<Attachment, Failure> {
    let program = Program::constant("porin_test", answer)?;
    let attach = || Attachment::attach(&program, target(wire, hook), mode, LinkPosition::First);
    Ok(wire.node.run(attach)??)
}

/// How many programs are at the hook, by either mechanism.
fn attached(wire: &Wire, hook: TcxHook) -> Result<usize, Failure> {
    wire.node.run(|| {
        let links = Link::query(wire.ifindex, hook)?.programs.len();
        let filters = RouteSocket::open()?.filters(wire.ifindex, hook)?.len();
        Ok(links + filters)
    })?
}

fn decides(mode: AttachMode) -> Outcome {
    for hook in [TcxHook::Ingress, TcxHook::Egress] {
        let wire = Wire::new()?;
        let is_cut = || match hook {
            TcxHook::Ingress => wire.is_cut_out() && wire.comes_in(),
            TcxHook::Egress => wire.is_cut_in() && wire.comes_out(),
        };
        let mut attachment = attach(&wire, hook, DROP, mode)?;
        assert!(is_cut(), "{hook}: a program that drops");
        attachment.update(&Program::constant("porin_test", NEXT)?)?;
        assert!(
            wire.comes_out() && wire.comes_in(),
            "{hook}: after the update"
        );
        assert!(attachment.is_attached()?);
        assert_eq!(attached(&wire, hook)?, 1);
    }
    Ok(())
}

fn detach_is_immediate(mode: AttachMode) -> Outcome {
    let wire = Wire::new()?;
    for round in 0..10 {
        let attachment = attach(&wire, TcxHook::Ingress, DROP, mode)?;
        assert!(wire.is_cut_out(), "round {round}");
        attachment.detach()?;
        assert_eq!(attached(&wire, TcxHook::Ingress)?, 0, "round {round}");
        assert!(wire.comes_out(), "round {round}");
    }
    Ok(())
}

fn drop_detaches(mode: AttachMode) -> Outcome {
    let wire = Wire::new()?;
    let attachment = attach(&wire, TcxHook::Egress, DROP, mode)?;
    assert!(wire.is_cut_in());
    // From another namespace than the device's.
    drop(attachment);
    assert_eq!(attached(&wire, TcxHook::Egress)?, 0);
    assert!(wire.comes_in());
    Ok(())
}

fn pin_outlives(mode: AttachMode) -> Outcome {
    with_bpffs(|bpffs| {
        let wire = Wire::new()?;
        let path = bpffs.join("7-from");
        let mut attachment = attach(&wire, TcxHook::Ingress, DROP, mode)?;
        attachment.pin(&path)?;
        drop(attachment);
        assert!(wire.is_cut_out(), "the pin holds it");

        let place = target(&wire, TcxHook::Ingress);
        let adopt = |place| wire.node.run(|| Attachment::adopt(&path, place));
        let elsewhere = Target {
            hook: TcxHook::Egress,
            ..place
        };
        assert!(matches!(adopt(elsewhere)?, Err(AttachError::Stale { .. })));

        let mut adopted = adopt(place)??.ok_or("nothing adopted")?;
        assert!(wire.is_cut_out(), "adopting changes nothing");
        adopted.update(&Program::constant("porin_test", NEXT)?)?;
        assert!(wire.comes_out(), "the adopted one is updated");
        drop(adopted);
        // After an update, too, the pin leads to what is attached.
        let adopted = adopt(place)??.ok_or("nothing adopted")?;
        adopted.detach()?;
        assert_eq!(attached(&wire, TcxHook::Ingress)?, 0);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        assert!(adopt(place)??.is_none());
        Ok(())
    })
}

/// An update of a filter that ended between its steps is understood afterwards.
fn unfinished_update() -> Outcome {
    with_bpffs(|bpffs| {
        let wire = Wire::new()?;
        let place = target(&wire, TcxHook::Ingress);
        let (path, aside) = (bpffs.join("7-from"), bpffs.join("7-from-next"));
        let next = Program::constant("porin_test", NEXT)?;
        for replaced in [false, true] {
            let mut attachment = attach(&wire, TcxHook::Ingress, DROP, AttachMode::Clsact)?;
            attachment.pin(&path)?;
            drop(attachment);
            pin(next.as_fd(), &aside)?;
            if replaced {
                wire.node.run(|| {
                    let socket = RouteSocket::open()?;
                    let slot = socket.filters(wire.ifindex, TcxHook::Ingress)?[0].slot;
                    socket.set_filter(slot, next.as_fd(), "porin", true)
                })??;
            }
            let adopted = wire.node.run(|| Attachment::adopt(&path, place))??;
            let mut adopted = adopted.ok_or("nothing adopted")?;
            assert!(if replaced {
                wire.comes_out()
            } else {
                wire.is_cut_out()
            });
            adopted.update(&Program::constant("porin_test", NEXT)?)?;
            assert!(wire.comes_out());
            assert_eq!(listing(bpffs)?, ["7-from"]);
            adopted.detach()?;
            assert_eq!(attached(&wire, TcxHook::Ingress)?, 0);
            assert_eq!(listing(bpffs)?, Vec::<String>::new());
        }
        Ok(())
    })
}

/// A filter whose process ended before its pin was in place is found all the same.
fn unfinished_beginning() -> Outcome {
    with_bpffs(|bpffs| {
        let wire = Wire::new()?;
        let place = target(&wire, TcxHook::Ingress);
        let (path, aside) = (bpffs.join("7-from"), bpffs.join("7-from-next"));
        let program = Program::constant("porin_test", DROP)?;
        let adopt = || wire.node.run(|| Attachment::adopt(&path, place));
        // Killed before the filter was there.
        pin(program.as_fd(), &aside)?;
        assert!(adopt()??.is_none());
        let attach = || {
            let (mode, first) = (AttachMode::Clsact, LinkPosition::First);
            Attachment::attach_pinned(&program, place, mode, first, &path)
        };
        drop(wire.node.run(attach)??);
        assert!(wire.is_cut_out());
        assert_eq!(listing(bpffs)?, ["7-from"]);
        let again = wire.node.run(attach)?;
        assert!(matches!(
            again,
            Err(AttachError::Pin(PinError::Occupied(_)))
        ));
        // Killed after it was.
        std::fs::rename(&path, &aside)?;
        let adopted = adopt()??.ok_or("nothing adopted")?;
        assert!(wire.is_cut_out());
        assert_eq!(listing(bpffs)?, ["7-from"]);
        adopted.detach()?;
        assert_eq!(attached(&wire, TcxHook::Ingress)?, 0);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

/// What a process does that is killed in the test below.
fn play(role: &str, arguments: &[String]) -> Result<(), Failure> {
    match (role, arguments) {
        ("hold", [path, ifindex, mode]) => {
            let mode = if mode == "Tcx" {
                AttachMode::Tcx
            } else {
                AttachMode::Clsact
            };
            let target = Target {
                ifindex: ifindex.parse()?,
                hook: TcxHook::Ingress,
            };
            let program = Program::constant("porin_test", DROP)?;
            let mut held = Attachment::attach(&program, target, mode, LinkPosition::First)?;
            held.pin(Path::new(path))?;
            println!("ready");
            loop {
                std::thread::park();
            }
        }
        ("unprivileged", []) => {
            nix::unistd::setuid(nix::unistd::Uid::from_raw(65534))?;
            println!("{}", probe().err().ok_or("nothing is missing")?);
            Ok(())
        }
        _ => Err("no such role".into()),
    }
}

fn killed(mode: AttachMode) -> Outcome {
    with_bpffs(|bpffs| {
        let wire = Wire::new()?;
        let path = bpffs.join("1-from");
        let text = path.to_str().ok_or("a path of text")?;
        let arguments = [text, &wire.ifindex.to_string(), &format!("{mode:?}")];
        let (process, line) = start_role(&wire.node, "hold", &arguments)?;
        assert_eq!(line, "ready");
        assert!(wire.is_cut_out());
        // SIGKILL, and waits for the end.
        drop(process);
        assert!(wire.is_cut_out(), "enforcement ended with the process");
        let place = target(&wire, TcxHook::Ingress);
        let adopted = wire.node.run(|| Attachment::adopt(&path, place))??;
        adopted.ok_or("nothing adopted")?.detach()?;
        assert!(wire.comes_out());
        Ok(())
    })
}

fn device_went(mode: AttachMode) -> Outcome {
    let wire = Wire::new()?;
    let attachment = attach(&wire, TcxHook::Ingress, NEXT, mode)?;
    assert!(attachment.is_attached()?);
    wire.node.delete("pod0")?;
    assert!(eventually(|| matches!(attachment.is_attached(), Ok(false))));
    attachment.detach()?;
    Ok(())
}

fn probe_finds() -> Outcome {
    let support = probe()?;
    assert!(!support.kernel.is_empty());
    // The query is right if and only if attaching works.
    let wire = Wire::new()?;
    assert_eq!(
        attach(&wire, TcxHook::Ingress, NEXT, AttachMode::Tcx).is_ok(),
        support.tcx
    );
    Ok(())
}

fn probe_names() -> Outcome {
    let namespace = Namespace::current()?;
    let (_process, line) = start_role(&namespace, "unprivileged", &[])?;
    for capability in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"] {
        assert!(line.contains(capability), "{line}");
    }
    Ok(())
}

fn auto_is_tcx() -> Outcome {
    let wire = Wire::new()?;
    let attachment = attach(&wire, TcxHook::Ingress, DROP, AttachMode::Auto)?;
    let expected = if probe()?.tcx {
        Mechanism::Tcx
    } else {
        Mechanism::Clsact
    };
    assert_eq!(attachment.mechanism(), expected);
    assert!(wire.is_cut_out());
    Ok(())
}

fn order() -> Outcome {
    let wire = Wire::new()?;
    let place = target(&wire, TcxHook::Ingress);
    let mut ids = Vec::new();
    let mut held = Vec::new();
    for position in [LinkPosition::First, LinkPosition::First, LinkPosition::Last] {
        let program = Program::constant("porin_test", NEXT)?;
        ids.push(program.info()?.id);
        let attach = || Attachment::attach(&program, place, AttachMode::Tcx, position);
        held.push(wire.node.run(attach)??);
    }
    let state = wire
        .node
        .run(|| Link::query(wire.ifindex, TcxHook::Ingress))??;
    assert_eq!(state.programs, [ids[1], ids[0], ids[2]]);
    assert!(state.links.iter().all(|link| *link != 0));
    Ok(())
}

fn others_decide() -> Outcome {
    let wire = Wire::new()?;
    let place = target(&wire, TcxHook::Ingress);
    let _ours = attach(&wire, TcxHook::Ingress, NEXT, AttachMode::Tcx)?;
    let theirs = Program::constant("other", DROP)?;
    let last = || Attachment::attach(&theirs, place, AttachMode::Tcx, LinkPosition::Last);
    let other = wire.node.run(last)??;
    assert!(wire.is_cut_out());
    other.detach()?;
    assert!(wire.comes_out());
    Ok(())
}

fn twice() -> Outcome {
    let wire = Wire::new()?;
    let place = target(&wire, TcxHook::Ingress);
    let program = Program::constant("porin_test", NEXT)?;
    let attach = || Attachment::attach(&program, place, AttachMode::Tcx, LinkPosition::First);
    let _first = wire.node.run(attach)??;
    assert!(matches!(
        wire.node.run(attach)?,
        Err(AttachError::Taken { .. })
    ));
    Ok(())
}

fn two_filters() -> Outcome {
    let wire = Wire::new()?;
    let first = attach(&wire, TcxHook::Ingress, NEXT, AttachMode::Clsact)?;
    let second = attach(&wire, TcxHook::Ingress, DROP, AttachMode::Clsact)?;
    assert_eq!(attached(&wire, TcxHook::Ingress)?, 2);
    assert!(wire.is_cut_out(), "the first leaves it to the second");
    second.detach()?;
    assert_eq!(attached(&wire, TcxHook::Ingress)?, 1);
    assert!(wire.comes_out());
    assert!(first.is_attached()?);
    Ok(())
}

fn wrong_namespace() -> Outcome {
    let wire = Wire::new()?;
    let stranger = Namespace::new()?;
    let program = Program::constant("porin_test", NEXT)?;
    for mode in [AttachMode::Auto, AttachMode::Tcx, AttachMode::Clsact] {
        let place = Target {
            ifindex: 4711,
            hook: TcxHook::Ingress,
        };
        let attach = || Attachment::attach(&program, place, mode, LinkPosition::First);
        let error = stranger.run(attach)?.err().ok_or("attached to nothing")?;
        assert!(
            matches!(error, AttachError::NoDevice { ifindex: 4711 }),
            "{error:?}"
        );
    }
    drop(wire);
    Ok(())
}

fn hash(entries: u32) -> MapShape {
    MapShape::of::<u32, u64>(MapKind::Hash, entries, MapFlags::NONE)
}

fn two_directories() -> Outcome {
    with_bpffs(|bpffs| {
        let wire = Wire::new()?;
        let one = PinDir::open(&bpffs.join("one"))?;
        let two = PinDir::open(&bpffs.join("two"))?;
        let id = EndpointId::new(1);
        for dir in [&one, &two] {
            dir.pin_map("table", &Map::create("table", &hash(8))?)?;
            let mut held = attach(&wire, TcxHook::Ingress, NEXT, AttachMode::Tcx)?;
            held.pin(&dir.link_path(id, TcxHook::Ingress))?;
        }
        assert_eq!(attached(&wire, TcxHook::Ingress)?, 2);
        let table = |dir: &PinDir| Ok::<_, Failure>(dir.map("table")?.ok_or("no table")?.info().id);
        assert_ne!(table(&one)?, table(&two)?);
        one.remove()?;
        assert_eq!(attached(&wire, TcxHook::Ingress)?, 1);
        assert_eq!(two.links()?, [(id, TcxHook::Ingress)]);
        assert_eq!(two.map_names()?, ["table"]);
        two.remove()?;
        assert_eq!(attached(&wire, TcxHook::Ingress)?, 0);
        assert_eq!(listing(bpffs)?, Vec::<String>::new());
        Ok(())
    })
}

fn one_holder() -> Outcome {
    with_bpffs(|bpffs| {
        let path = bpffs.join("porin");
        let held = PinDir::open(&path)?;
        assert!(matches!(PinDir::open(&path), Err(PinError::InUse(_))));
        drop(held);
        PinDir::open(&path)?.remove()?;
        assert!(!path.exists());
        Ok(())
    })
}

fn needs_bpffs() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("pins");
    let error = PinDir::open(&path)
        .err()
        .ok_or("pinned outside of a bpffs")?;
    assert!(
        matches!(&error, PinError::NotBpfFs(at) if *at == path),
        "{error}"
    );
    assert!(!path.exists());
    Ok(())
}

fn mounts() -> Outcome {
    with_bpffs(|bpffs| {
        // Below the test's own mount it is a bpffs already; beside it one is mounted.
        PinDir::open_mounted(&bpffs.join("below"))?.remove()?;
        let beside = tempfile::tempdir()?;
        let dir = PinDir::open_mounted(beside.path())?;
        dir.pin_map("table", &Map::create("table", &hash(1))?)?;
        assert_eq!(listing(beside.path())?, ["links", "maps"]);
        dir.remove()?;
        assert_eq!(listing(beside.path())?, Vec::<String>::new());
        nix::mount::umount(beside.path())?;
        // Where the system mounted none at the usual place, it is mounted there. Only this test
        // sees that.
        let usual = Path::new("/sys/fs/bpf");
        if is_bpffs(usual)? {
            umount2(usual, MntFlags::MNT_DETACH)?;
        }
        let dir = PinDir::open_mounted(&usual.join("porin-test"))?;
        assert!(is_bpffs(usual)?);
        dir.remove()?;
        Ok(())
    })
}

fn incompatible() -> Outcome {
    with_bpffs(|bpffs| {
        let dir = PinDir::open(&bpffs.join("porin"))?;
        dir.pin_map("table", &Map::create("table", &hash(8))?)?;
        assert!(dir.map_of("table", &hash(8))?.is_some());
        assert!(dir.map_of("absent", &hash(8))?.is_none());
        let wider = MapShape::of::<u32, [u64; 2]>(MapKind::Hash, 8, MapFlags::NONE);
        for (shape, differs) in [(hash(9), "max entries"), (wider, "value size")] {
            let error = dir.map_of("table", &shape).err().ok_or("taken over")?;
            let PinError::Incompatible { source, .. } = &error else {
                return Err(format!("{error:?}").into());
            };
            assert!(matches!(source, MapError::Mismatch { field, .. } if *field == differs));
        }
        assert!(dir.map("table")?.is_some(), "a refused pin is left alone");
        Ok(())
    })
}
