//! Maps of a real kernel, through their typed handles.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::ExitCode;

use porin_datapath::MapError;
use porin_datapath::sys::{
    Link, Map, MapFlags, MapKind, MapOfMaps, MapShape, MappedArray, PerCpuMap, Program, SkbFields,
    TestInput, TypedMap, UpdateMode, possible_cpus,
};
use porin_testbed::Namespace;
use porin_testbed::suite::{Outcome, Test, run};

fn main() -> ExitCode {
    run(vec![
        Test::new("kernel_typed_map_keeps_what_it_is_given", keeps),
        Test::new("kernel_typed_map_refuses_another_shape", refuses),
        Test::new("kernel_map_refuses_buffers_of_another_length", lengths),
        Test::new("kernel_full_map_says_so", full),
        Test::new("kernel_every_entry_is_visited", visits),
        Test::new("kernel_batch_passes_over_absent_keys", absent),
        Test::new("kernel_inner_maps_are_swapped_in_one_batch", swaps),
        Test::new("kernel_per_cpu_values_come_one_by_one", per_cpu),
        Test::new("kernel_mapped_array_is_the_map", mapped),
        Test::new("kernel_handles_know_what_they_are", kinds),
        Test::new("kernel_test_run_gives_back_what_it_got", test_run),
    ])
}

fn hash(entries: u32) -> MapShape {
    MapShape::of::<u32, u64>(MapKind::Hash, entries, MapFlags::NO_PREALLOC)
}

fn numbers(count: u32) -> (Vec<u32>, Vec<u64>) {
    (0..count).map(|key| (key, u64::from(key) * 3)).unzip()
}

fn keeps() -> Outcome {
    let map = TypedMap::<u32, u64>::create("numbers", &hash(8))?;
    assert_eq!(map.get(&1)?, None);
    map.set(&1, &10)?;
    map.set(&1, &11)?;
    assert_eq!(map.get(&1)?, Some(11));
    let new = map.update(&1, &12, UpdateMode::New);
    assert_eq!(
        new.err().and_then(|error| error.errno()),
        Some(nix::libc::EEXIST)
    );
    let existing = map.update(&2, &12, UpdateMode::Existing);
    assert_eq!(
        existing.err().and_then(|error| error.errno()),
        Some(nix::libc::ENOENT)
    );
    assert!(map.remove(&1)?);
    assert!(!map.remove(&1)?);
    assert_eq!(map.entries()?, []);
    Ok(())
}

fn refuses() -> Outcome {
    let wrong = [
        (
            MapShape::of::<u32, u64>(MapKind::LruHash, 8, MapFlags::NO_PREALLOC),
            "type",
        ),
        (
            MapShape::of::<u64, u64>(MapKind::Hash, 8, MapFlags::NO_PREALLOC),
            "key size",
        ),
        (
            MapShape::of::<u32, u32>(MapKind::Hash, 8, MapFlags::NO_PREALLOC),
            "value size",
        ),
        (hash(9), "max entries"),
        (
            MapShape::of::<u32, u64>(MapKind::Hash, 8, MapFlags::NONE),
            "flags",
        ),
    ];
    for (wanted, differs) in wrong {
        let map = Map::create("numbers", &hash(8))?;
        let error = map.verify(&wanted).err().ok_or("taken for another")?;
        assert!(
            matches!(error, MapError::Mismatch { field, .. } if field == differs),
            "{error}"
        );
        assert!(TypedMap::<u32, u64>::new(map, &wanted).is_err());
    }
    // Right for the map, wrong for the types: the kernel would write past the value.
    let map = Map::create("numbers", &hash(8))?;
    assert!(TypedMap::<u32, u32>::new(map, &hash(8)).is_err());
    Ok(())
}

fn lengths() -> Outcome {
    let map = Map::create("numbers", &hash(8))?;
    let (key, mut value) = ([0; 4], [0; 8]);
    for error in [
        map.lookup(&key[..3], &mut value).err(),
        map.lookup(&key, &mut value[..7]).err(),
        map.update(&key, &value[..7], UpdateMode::Any).err(),
        map.delete(&[0; 5]).err(),
        map.next_key(None, &mut [0; 3]).err(),
        map.update_batch(&[0; 8], &[0; 8], UpdateMode::Any).err(),
        map.delete_batch(&[0; 6]).err(),
    ] {
        assert!(matches!(error, Some(MapError::Length { .. })), "{error:?}");
    }
    Ok(())
}

fn full() -> Outcome {
    let trie = MapShape::of::<[u32; 2], u64>(MapKind::LpmTrie, 2, MapFlags::NO_PREALLOC);
    let trie = TypedMap::<[u32; 2], u64>::create("blocks", &trie)?;
    let map = TypedMap::<u32, u64>::create("numbers", &hash(2))?;
    for key in 0..2 {
        trie.set(&[32, key], &0)?;
        map.set(&key, &0)?;
    }
    for error in [map.set(&2, &0).err(), trie.set(&[32, 2], &0).err()] {
        assert!(
            matches!(error, Some(MapError::Full { capacity: 2, .. })),
            "{error:?}"
        );
    }
    assert_eq!(map.map().count_entries()?, 2);
    Ok(())
}

/// More than a batch holds: the kernel's batches are often short.
fn visits() -> Outcome {
    let (keys, values) = numbers(20_000);
    let expected: BTreeMap<_, _> = keys.iter().copied().zip(values.iter().copied()).collect();
    let map = TypedMap::<u32, u64>::create("numbers", &hash(20_000))?;
    map.set_batch(&keys, &values)?;
    let entries = map.entries()?;
    assert_eq!(entries.len(), keys.len());
    assert_eq!(entries.into_iter().collect::<BTreeMap<_, _>>(), expected);

    let blocks: Vec<_> = keys.iter().map(|key| [32, *key]).collect();
    let shape = MapShape::of::<[u32; 2], u64>(MapKind::LpmTrie, 20_000, MapFlags::NO_PREALLOC);
    let trie = TypedMap::<[u32; 2], u64>::create("blocks", &shape)?;
    trie.set_batch(&blocks, &values)?;
    let entries = trie.entries()?;
    assert_eq!(entries.len(), keys.len());
    let found: BTreeMap<_, _> = entries
        .into_iter()
        .map(|([_, key], value)| (key, value))
        .collect();
    assert_eq!(found, expected);
    Ok(())
}

fn absent() -> Outcome {
    let (keys, values) = numbers(100);
    let map = TypedMap::<u32, u64>::create("numbers", &hash(100))?;
    map.set_batch(&keys, &values)?;
    // Absent ones at the start, in the middle and at the end.
    map.remove_batch(&[1000, 0, 1, 1001, 1002, 2, 1003])?;
    assert_eq!(map.map().count_entries()?, 97);
    map.remove_batch(&[])?;
    map.set_batch(&[], &[])?;
    assert_eq!(map.map().count_entries()?, 97);
    Ok(())
}

fn swaps() -> Outcome {
    let inner = MapShape::of::<u32, u64>(MapKind::Hash, 4, MapFlags::NONE);
    let outer = MapShape::of::<u32, u32>(MapKind::ArrayOfMaps, 64, MapFlags::NONE);
    let inners: Result<Vec<_>, _> = (0..64).map(|_| Map::create("inner", &inner)).collect();
    let inners = inners?;
    let map = MapOfMaps::<u32>::new(Map::create_outer("outer", &outer, &inners[0])?, &outer)?;
    let entries: Vec<_> = (0..64).zip(inners.iter()).collect();
    map.set_batch(&entries)?;
    let ids: Vec<_> = (0..64)
        .zip(inners.iter().map(|map| map.info().id))
        .collect();
    assert_eq!(map.ids()?, ids);
    map.set(&3, &inners[0])?;
    let opened = Map::from_id(map.get(&3)?.ok_or("nothing under 3")?)?;
    assert_eq!(opened.info().id, inners[0].info().id);
    // What is not like the prototype is refused.
    let other = MapShape::of::<u32, u32>(MapKind::Hash, 4, MapFlags::NONE);
    assert!(map.set(&4, &Map::create("other", &other)?).is_err());
    assert_eq!(map.get(&4)?, Some(inners[4].info().id));
    Ok(())
}

fn per_cpu() -> Outcome {
    // Four bytes: in user space each copy takes eight.
    let shape = MapShape::of::<u32, u32>(MapKind::PerCpuArray, 3, MapFlags::NONE);
    let map = PerCpuMap::<u32, u32>::new(Map::create("counts", &shape)?, &shape)?;
    assert_eq!(map.get(&1)?, vec![0; possible_cpus()]);
    map.set_all(&1, &7)?;
    assert_eq!(map.get(&1)?, vec![7; possible_cpus()]);
    assert_eq!(map.get(&2)?, vec![0; possible_cpus()]);
    assert_eq!(map.entries()?.len(), 3);
    assert_eq!(map.get(&3)?, Vec::<u32>::new());
    Ok(())
}

fn mapped() -> Outcome {
    type Record = [u64; 3];
    let shape = MapShape::of::<u32, Record>(MapKind::Array, 5, MapFlags::MMAPABLE);
    let map = Map::create("records", &shape)?;
    let typed = TypedMap::<u32, Record>::new(map.try_clone()?, &shape)?;
    let array = MappedArray::new::<Record>(map, 5)?;
    assert!(array.store(4, 16, 9));
    assert_eq!(typed.get(&4)?, Some([0, 0, 9]));
    typed.set(&0, &[1, 2, 3])?;
    assert_eq!(array.load(0, 8), Some(2));
    assert_eq!(array.fetch_add(0, 8, 5), Some(2));
    assert_eq!(typed.get(&0)?, Some([1, 7, 3]));
    // Outside of the array, of the element, off the grid.
    for (index, offset) in [(5, 0), (0, 24), (0, 4), (u32::MAX, usize::MAX)] {
        assert!(!array.store(index, offset, 1));
        assert_eq!(array.load(index, offset), None);
    }
    let plain = MapShape::of::<u32, Record>(MapKind::Array, 5, MapFlags::NONE);
    let refused = MappedArray::new::<Record>(Map::create("records", &plain)?, 5);
    assert!(matches!(
        refused,
        Err(MapError::Mismatch { field: "flags", .. })
    ));
    Ok(())
}

/// A descriptor of one kind of object is not taken for another.
fn kinds() -> Outcome {
    let program = Program::constant("porin_test", 0)?;
    let map = Map::create("numbers", &hash(1))?;
    assert!(Map::from_fd(program.as_fd().try_clone_to_owned()?).is_err());
    assert!(Program::from_fd(map.as_fd().try_clone_to_owned()?).is_err());
    assert!(Link::from_fd(map.as_fd().try_clone_to_owned()?).is_err());
    assert!(Map::from_fd(std::fs::File::open("/dev/null")?.into()).is_err());
    let info = program.info()?;
    assert_eq!((info.kind, info.name.as_str()), (3, "porin_test"));
    assert_eq!(Program::from_id(info.id)?.info()?, info);
    Ok(())
}

fn test_run() -> Outcome {
    let namespace = Namespace::new()?;
    let other = Namespace::new()?;
    let ifindex = namespace.veth("near", &other, "far")?.index;
    let program = Program::constant("porin_test", -1)?;
    let frame = [7; 60];
    let input = TestInput {
        skb: SkbFields {
            mark: 0x1234,
            ifindex,
            ..SkbFields::default()
        },
        repeat: 10,
        ..TestInput::new(&frame)
    };
    let run = namespace.run(|| program.test_run(&input))??;
    assert_eq!(run.result, -1);
    assert_eq!(run.frame, frame);
    assert_eq!((run.skb.mark, run.skb.ifindex), (0x1234, ifindex));
    // The device is looked for in the namespace of the calling thread.
    let stranger = Namespace::new()?;
    let error = stranger
        .run(|| program.test_run(&input))?
        .err()
        .ok_or("ran")?;
    assert!(error.is(nix::libc::ENODEV), "{error:?}");
    assert!(program.test_run(&TestInput::new(&[0; 13])).is_err());
    Ok(())
}
