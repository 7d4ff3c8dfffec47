//! The embedded object through every loader of this build: the same maps, the
//! same programs, the same errors.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::{Command, ExitCode};

use common::{Failure, role, start_role, with_bpffs};
use porin_datapath::backend::{LoadPlan, Loaded, Loader};
use porin_datapath::error::LoadError;
use porin_datapath::object::{BYTES, FROM_ENDPOINT, PROGRAMS};
use porin_datapath::sys::{MapKind, TestInput};
use porin_testbed::Namespace;
use porin_testbed::suite::{Outcome, Test, run};

/// A test for either loader.
type Body = fn(Loader) -> Outcome;

const ALL: [Loader; 2] = [Loader::Aya, Loader::Libbpf];

fn main() -> ExitCode {
    if let Some((role, arguments)) = role() {
        return match play(&role, &arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{error:?}");
                ExitCode::FAILURE
            }
        };
    }
    let bodies: [(&str, Body); 9] = [
        ("loads_every_program", loads_every_program),
        ("loads_only_what_is_asked_for", loads_only_what_is_asked_for),
        ("sets_capacities", sets_capacities),
        ("sets_constants", sets_constants),
        ("reuses_pinned_maps", reuses_pinned_maps),
        ("hands_over_the_verifier_log", hands_over_the_log),
        ("refuses_what_is_no_object", refuses_garbage),
        ("names_the_map_that_cannot_be", names_the_map),
        ("names_the_missing_capability", names_capability),
    ];
    let lacking = Loader::available()
        .is_empty()
        .then(|| "this build has no loader".to_owned());
    let mut tests = vec![Test::new("kernel_loaders_agree_on_every_map", agree).unless(lacking)];
    for loader in ALL {
        if Loader::available().contains(&loader) {
            for (text, body) in bodies {
                let name = format!("kernel_{loader}_{text}");
                tests.push(Test::new(&name, move || body(loader)));
            }
        } else {
            let name = format!("kernel_{loader}_says_that_it_is_absent");
            tests.push(Test::new(&name, move || says_absent(loader)));
        }
    }
    run(tests)
}

fn plan() -> LoadPlan<'static> {
    LoadPlan {
        object: BYTES,
        programs: PROGRAMS,
        // Made in advance, and by default many.
        capacities: vec![("flows", 1024)],
        ..LoadPlan::default()
    }
}

fn loads_every_program(loader: Loader) -> Outcome {
    let loaded = loader.load(&plan())?;
    let names: Vec<_> = loaded.programs.keys().map(String::as_str).collect();
    let mut wanted = PROGRAMS.to_vec();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for (name, program) in &loaded.programs {
        let info = program.info()?;
        // BPF_PROG_TYPE_CGROUP_SKB, _CGROUP_SOCK_ADDR, _SCHED_CLS
        let kind = match name.strip_prefix("group_") {
            Some("egress" | "ingress") => 8,
            Some(_) => 18,
            None => 3,
        };
        assert_eq!(info.kind, kind, "{name}");
        assert!(
            name.starts_with(&info.name),
            "{name} is called {}",
            info.name
        );
        // It runs: a frame of an unknown protocol gets some answer.
        if kind == 3 {
            program.test_run(&TestInput::new(&[0; 64]))?;
        }
    }
    Ok(())
}

fn loads_only_what_is_asked_for(loader: Loader) -> Outcome {
    let only = LoadPlan {
        programs: &[FROM_ENDPOINT],
        ..plan()
    };
    let loaded = loader.load(&only)?;
    assert_eq!(loaded.programs.len(), 1);
    let unknown = LoadPlan {
        programs: &["nothing"],
        ..plan()
    };
    let error = loader.load(&unknown).err().ok_or("loaded nothing")?;
    assert!(
        matches!(&error, LoadError::Absent { name, .. } if name == "nothing"),
        "{error:?}"
    );
    Ok(())
}

fn sets_capacities(loader: Loader) -> Outcome {
    let wanted = [("addresses", 77), ("events", 64 * 1024)];
    let plan = LoadPlan {
        capacities: wanted.to_vec(),
        ..plan()
    };
    let mut loaded = loader.load(&plan)?;
    for (name, capacity) in wanted {
        assert_eq!(
            loaded.map(name)?.info().shape.max_entries,
            capacity,
            "{name}"
        );
    }
    let error = loaded.map("addresses").err().ok_or("taken twice")?;
    assert!(matches!(error, LoadError::Absent { what: "map", .. }));
    Ok(())
}

fn sets_constants(loader: Loader) -> Outcome {
    let load = |name, bytes: &[u8]| {
        loader.load(&LoadPlan {
            constants: vec![(name, bytes)],
            ..plan()
        })
    };
    load("world_ipv4", &2_u32.to_ne_bytes())?;
    // Of another length, or of no such name: refused, never half written.
    assert!(load("world_ipv4", &[2]).is_err());
    assert!(load("no_such_constant", &2_u32.to_ne_bytes()).is_err());
    Ok(())
}

fn reuses_pinned_maps(loader: Loader) -> Outcome {
    with_bpffs(|bpffs| {
        let mut first = loader.load(&plan())?;
        let path = bpffs.join("addresses");
        let map = first.map("addresses")?;
        map.pin(&path)?;
        let reusing = LoadPlan {
            reuse: vec![("addresses", path.as_path())],
            ..plan()
        };
        let mut second = loader.load(&reusing)?;
        assert_eq!(second.map("addresses")?.info().id, map.info().id);
        assert_ne!(
            second.map("prefixes")?.info().id,
            first.map("prefixes")?.info().id
        );
        Ok(())
    })
}

/// The object, with an instruction that reads a register nobody wrote.
fn broken_object() -> Vec<u8> {
    // `r6 = r1`, with which a program keeps its argument, becomes `r6 = r9`.
    let keeps = [0xbf, 0x16, 0, 0, 0, 0, 0, 0];
    let at = BYTES
        .windows(8)
        .position(|window| window == keeps)
        .expect("a program that keeps its argument");
    let mut object = BYTES.to_vec();
    object[at + 1] = 0x96;
    object
}

fn hands_over_the_log(loader: Loader) -> Outcome {
    let object = broken_object();
    let plan = LoadPlan {
        object: &object,
        ..plan()
    };
    let error = loader.load(&plan).err().ok_or("the verifier took it")?;
    let LoadError::Program { program, .. } = &error else {
        return Err(format!("{error:?}").into());
    };
    assert!(PROGRAMS.contains(&program.as_str()), "{program}");
    let log = error.verifier_log().ok_or("no log")?;
    assert!(log.contains("R9 !read_ok"), "{log}");
    assert!(error.to_string().contains("R9 !read_ok"), "{error}");
    Ok(())
}

fn refuses_garbage(loader: Loader) -> Outcome {
    for object in [&[][..], b"not an object", &BYTES[..200]] {
        let plan = LoadPlan { object, ..plan() };
        let error = loader.load(&plan).err().ok_or("loaded garbage")?;
        assert!(matches!(error, LoadError::Object { .. }), "{error:?}");
        assert!(error.source().is_some());
    }
    Ok(())
}

/// A map that the kernel does not make is not blamed on a program.
fn names_the_map(loader: Loader) -> Outcome {
    let plan = LoadPlan {
        capacities: vec![("flows", 1024), ("addresses", 0)],
        ..plan()
    };
    let error = loader.load(&plan).err().ok_or("made it")?;
    assert!(!matches!(error, LoadError::Program { .. }), "{error:?}");
    let source = error.source().map(ToString::to_string);
    assert!(
        format!("{error} {source:?}").contains("addresses"),
        "{error:?}"
    );
    Ok(())
}

/// Loads without privileges, or a broken object, in a process of its own.
fn play(role: &str, arguments: &[String]) -> Result<(), Failure> {
    let named = |loader: &&Loader| arguments.iter().any(|name| *name == loader.to_string());
    let loader = ALL.iter().find(named).ok_or("no such loader")?;
    match role {
        "unprivileged" => {
            nix::unistd::setuid(nix::unistd::Uid::from_raw(65534))?;
            let error = loader.load(&plan()).err().ok_or("loaded")?;
            println!("{error}");
            Ok(())
        }
        "broken" => {
            let object = broken_object();
            let plan = LoadPlan {
                object: &object,
                ..plan()
            };
            loader.load(&plan).err().ok_or("loaded")?;
            Ok(())
        }
        _ => Err("no such role".into()),
    }
}

fn names_capability(loader: Loader) -> Outcome {
    let namespace = Namespace::current()?;
    let (_process, line) = start_role(&namespace, "unprivileged", &[&loader.to_string()])?;
    assert!(line.contains("CAP_BPF"), "{line}");
    // What a library has to say is in the error, not on the terminal.
    let output = Command::new(std::env::current_exe()?)
        .args(["--role", "broken", &loader.to_string()])
        .output()?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Ok(())
}

fn says_absent(loader: Loader) -> Outcome {
    let error = loader.load(&plan()).err().ok_or("loaded")?;
    assert!(matches!(error, LoadError::LoaderAbsent(absent) if absent == loader));
    assert!(
        error
            .to_string()
            .contains(&format!("enable the feature `{loader}`"))
    );
    Ok(())
}

fn agree() -> Outcome {
    let shapes = |loaded: &Loaded| -> BTreeMap<_, _> {
        let maps = loaded.maps.iter();
        maps.map(|(name, map)| (name.clone(), map.info().shape))
            .collect()
    };
    let mut seen = Vec::new();
    for loader in Loader::available() {
        let loaded = loader.load(&plan())?;
        assert!(!loaded.maps.is_empty(), "{loader}");
        let outer = loaded.maps.get("tables").ok_or("no policy tables")?;
        assert_eq!(outer.info().shape.kind, MapKind::ArrayOfMaps);
        seen.push(shapes(&loaded));
    }
    assert!(!seen.is_empty(), "this build has no loader");
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    Ok(())
}
