//! `cargo xtask setup`: what a fresh Debian machine lacks.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    failure::Failure,
    packages::{PACKAGES, Package},
    workspace::{Workspace, capture, succeed},
};

/// Installs what is missing and prepares the demo's database files; says so in one line when
/// nothing is left to do.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let missing = missing()?;
    if missing.is_empty() {
        eprintln!("setup: all {} system packages are there", PACKAGES.len());
    } else {
        bring(&missing)?;
    }
    if is_root()? {
        // The demo's own binary knows what its database must look like.
        succeed(workspace.cargo().args([
            "run",
            "--quiet",
            "--package",
            "porin-node",
            "--",
            "setup",
        ]))?;
    }
    Ok(())
}

fn bring(missing: &[&'static Package]) -> Result<(), Failure> {
    for package in missing {
        eprintln!("setup: {} is missing: {}", package.name, package.reason);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !is_root()? {
        return Err(Failure::unprivileged(format!(
            "installing packages needs root; run this as root, then come back:\n  apt-get update && apt-get install --no-install-recommends {}",
            names.join(" ")
        )));
    }
    install(&names)?;
    missing
        .iter()
        .filter_map(|package| package.service)
        .for_each(keep_off);
    Ok(())
}

/// The packages that dpkg does not know as installed.
fn missing() -> Result<Vec<&'static Package>, Failure> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ${Package}\n"])
        .args(PACKAGES.iter().map(|package| package.name))
        .stderr(Stdio::null())
        .output()
        .map_err(|error| {
            Failure::io(
                "dpkg-query (setup knows Debian and its children only)",
                &error,
            )
        })?;
    // Status 1 says that some package is unknown, which is what is being asked.
    let listing = String::from_utf8_lossy(&output.stdout);
    let installed: BTreeSet<&str> = listing
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    Ok(PACKAGES
        .iter()
        .filter(|package| !installed.contains(package.name))
        .collect())
}

fn install(names: &[&str]) -> Result<(), Failure> {
    let _services_stay_off = ServicesOff::enter()?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null());
        command.args(["--quiet", "--quiet", "--option", "Dpkg::Use-Pty=0"]);
        command
    };
    if let Err(failure) = succeed(apt().arg("update")) {
        // A source that none of these packages comes from may be out of reach.
        eprintln!("setup: {failure}; going on with the lists that are there");
    }
    succeed(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(names),
    )
}

/// While this lives, Debian's packages start no service.
struct ServicesOff {
    written: bool,
}

/// Debian's maintainer scripts ask this program before they start anything; 101 is "no"
/// (Debian policy for `invoke-rc.d`).
const POLICY_PROGRAM: &str = "/usr/sbin/policy-rc.d";

impl ServicesOff {
    fn enter() -> Result<Self, Failure> {
        let program = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY_PROGRAM);
        match program {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n")
                    .map_err(|error| Failure::io(POLICY_PROGRAM, &error))?;
                Ok(Self { written: true })
            }
            // The machine's owner has a rule already; it holds.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(Self { written: false })
            }
            Err(error) => Err(Failure::io(POLICY_PROGRAM, &error)),
        }
    }
}

impl Drop for ServicesOff {
    fn drop(&mut self) {
        if self.written
            && let Err(error) = fs::remove_file(POLICY_PROGRAM)
        {
            eprintln!("setup: {POLICY_PROGRAM}: {error}; remove it by hand");
        }
    }
}

/// A service that setup brought is not started at the next boot either.
fn keep_off(service: &str) {
    if !Path::new("/etc/init.d").join(service).exists() {
        return;
    }
    let disabled = Command::new("update-rc.d")
        .args([service, "disable"])
        .output();
    if !disabled.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "setup: could not switch off the system's `{service}`; it may start at the next boot"
        );
    }
}

fn is_root() -> Result<bool, Failure> {
    // A process's own folder in /proc belongs to its effective user.
    match fs::metadata("/proc/self") {
        Ok(folder) => Ok(folder.uid() == 0),
        Err(_) => Ok(capture(Command::new("id").arg("-u"))?.trim() == "0"),
    }
}
