//! `cargo xtask bpf`: the embedded object is the image of the C code beside it.
//!
//! The bytes depend on the compiler and on every path it is told, so it runs in the crate's
//! folder with relative paths only, and a sidecar records which compiler made what is committed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    failure::Failure,
    workspace::{Workspace, capture, read, succeed},
};

const CLANG: &str = "clang-22";
const STRIP: &str = "llvm-strip-22";
/// From the crate's folder.
const SOURCE: &str = "bpf/tc.bpf.c";
/// From the crate's folder.
const OBJECT: &str = "src/object/porin.bpf.o";
/// From the crate's folder.
const SIDECAR: &str = "src/object/porin.bpf.txt";

/// Compiles the object and writes it with its sidecar.
pub(crate) fn rebuild(workspace: &Workspace) -> Result<(), Failure> {
    let made = build(workspace)?;
    let folder = crate_folder(workspace);
    let object = folder.join(OBJECT);
    if let Some(parent) = object.parent() {
        fs::create_dir_all(parent).map_err(|error| Failure::io(parent.display(), &error))?;
    }
    fs::write(&object, &made.object)
        .map_err(|error| Failure::io(workspace.show(&object), &error))?;
    let sidecar = folder.join(SIDECAR);
    fs::write(&sidecar, made.sidecar())
        .map_err(|error| Failure::io(workspace.show(&sidecar), &error))?;
    println!("{}: {} bytes", workspace.show(&object), made.object.len());
    print!("{}", made.sidecar());
    Ok(())
}

/// Compares a fresh build with what is committed.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let folder = crate_folder(workspace);
    let recorded = read(&folder.join(SIDECAR))?;
    let made = build(workspace)?;
    let line = |name: &str| {
        recorded
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    };
    if line("clang") != made.clang {
        return Err(Failure::new(format!(
            "the object was made by `{}`, here is `{}`: bytes can only be compared with the same compiler; rebuild with `cargo xtask bpf`",
            line("clang"),
            made.clang
        )));
    }
    if line("sources") != made.sources {
        return Err(Failure::new(
            "the C code has changed since the object was made; run `cargo xtask bpf`",
        ));
    }
    let object = folder.join(OBJECT);
    let committed =
        fs::read(&object).map_err(|error| Failure::io(workspace.show(&object), &error))?;
    if committed != made.object {
        return Err(Failure::new(format!(
            "{} ({} bytes) is not what a fresh build gives ({} bytes); run `cargo xtask bpf`",
            workspace.show(&object),
            committed.len(),
            made.object.len()
        )));
    }
    println!(
        "{}: equal to a fresh build, {} bytes",
        workspace.show(&object),
        committed.len()
    );
    Ok(())
}

/// What one compilation gave, and from what.
struct Made {
    object: Vec<u8>,
    /// First line of `clang --version`.
    clang: String,
    /// SHA-256 over names and contents of the C files, in the order of their names.
    sources: String,
}

impl Made {
    fn sidecar(&self) -> String {
        format!(
            "clang: {}\nsources: {}\nobject: {}\n",
            self.clang,
            self.sources,
            digest(&self.object)
        )
    }
}

fn build(workspace: &Workspace) -> Result<Made, Failure> {
    let version = capture(Command::new(CLANG).arg("--version"))
        .map_err(|failure| Failure::new(format!("{failure}; `cargo xtask setup` installs it")))?;
    let folder = crate_folder(workspace);
    let output = workspace.target().join("bpf");
    fs::create_dir_all(&output).map_err(|error| Failure::io(output.display(), &error))?;
    let fresh = output.join("porin.bpf.o");
    succeed(
        Command::new(CLANG)
            .current_dir(&folder)
            .args([
                "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Ibpf",
            ])
            // Debian keeps <asm/types.h> apart for each machine; the BPF target looks in none of them.
            .arg(format!(
                "-I/usr/include/{}-linux-gnu",
                std::env::consts::ARCH
            ))
            .arg(format!("-ffile-prefix-map={}=.", folder.display()))
            .arg("-fdebug-compilation-dir=.")
            .args(["-c", SOURCE, "-o"])
            .arg(&fresh),
    )?;
    succeed(Command::new(STRIP).arg("-g").arg(&fresh))?;
    Ok(Made {
        object: fs::read(&fresh).map_err(|error| Failure::io(fresh.display(), &error))?,
        clang: version.lines().next().unwrap_or_default().to_owned(),
        sources: sources(&folder.join("bpf"))?,
    })
}

fn sources(folder: &Path) -> Result<String, Failure> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|error| Failure::io(folder.display(), &error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "c" || ending == "h")
        })
        .collect();
    files.sort();
    let mut all = Sha256::new();
    for path in files {
        let content = read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        all.update(format!("{name} {}\n{content}", content.len()));
    }
    Ok(hexadecimal(&all.finalize()))
}

fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn crate_folder(workspace: &Workspace) -> PathBuf {
    workspace.root().join("datapath")
}
