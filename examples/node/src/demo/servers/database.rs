//! The database: PostgreSQL on files that are made once and copied for every run.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};
use porin_testbed::{Namespace, Process};

use super::program;
use crate::demo::error::{DemoError, file};

/// The port that PostgreSQL listens on.
pub(super) const PORT: u16 = 5432;

/// Everybody may log in: who gets as far is what the demonstration is about.
const ACCESS: &str = "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n";

/// Where the files that are made once lie: in the target directory that this program was built
/// in, by the version of the database that reads them. `None` when the program lies elsewhere;
/// the files are then made each time.
pub(crate) fn template() -> Result<Option<PathBuf>, DemoError> {
    let program = std::env::current_exe().unwrap_or_default();
    let mut directories = program.ancestors();
    let Some(target) = directories.find(|directory| directory.join("CACHEDIR.TAG").is_file())
    else {
        return Ok(None);
    };
    let name = format!("database-{}", version()?);
    Ok(Some(target.join("walkthrough").join(name)))
}

/// The major version of the database, which its files belong to.
fn version() -> Result<String, DemoError> {
    let asked = Command::new(server()?)
        .arg("--version")
        .output()
        .map_err(|error| DemoError::Database(error.to_string()))?;
    let answer = String::from_utf8_lossy(&asked.stdout);
    let digits = answer.chars().skip_while(|letter| !letter.is_ascii_digit());
    Ok(digits.take_while(char::is_ascii_digit).collect())
}

fn server() -> Result<PathBuf, DemoError> {
    program("postgres", "postgresql", &directories())
}

/// Puts database files into `directory`: a copy of the template, or new ones, which become the
/// template where there is a place for one.
pub(crate) fn prepare(directory: &Path) -> Result<(), DemoError> {
    let owner = Owner::find()?;
    let files = files(directory);
    let template = template()?;
    if let Some(template) = template.as_deref().filter(|path| path.is_dir()) {
        return copy(template, &files, owner.ids());
    }
    create(&files, &owner)?;
    if let Some(template) = template {
        keep(&files, &template)?;
    }
    Ok(())
}

/// Starts the database in `namespace`.
pub(super) fn start(namespace: &Namespace, directory: &Path) -> Result<Process, DemoError> {
    let owner = Owner::find()?;
    let access = directory.join("database.access");
    file(&access, fs::write(&access, ACCESS))?;
    let log = log(directory);
    let errors = file(&log, File::create(&log))?;
    let mut command = owner.command(
        &program("postgres", "postgresql", &directories())?,
        directory,
    );
    command.arg("-D").arg(files(directory));
    for setting in [
        "listen_addresses=*".to_owned(),
        "unix_socket_directories=".to_owned(),
        "fsync=off".to_owned(),
        "autovacuum=off".to_owned(),
        "shared_buffers=16MB".to_owned(),
        format!("hba_file={}", access.display()),
    ] {
        command.arg("-c").arg(setting);
    }
    command.stderr(errors);
    Ok(namespace.spawn(command)?)
}

/// Where the database writes what goes wrong.
pub(super) fn log(directory: &Path) -> PathBuf {
    directory.join("database.log")
}

/// The program `psql` itself, without the wrapper that some systems put before it.
pub(crate) fn client_program() -> Result<PathBuf, DemoError> {
    program("psql", "postgresql", &directories())
}

fn files(directory: &Path) -> PathBuf {
    directory.join("database")
}

/// Where distributions put the programs of each version, the newest first.
fn directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
    let number = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.parse::<u32>().ok())
    };
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    versions.iter().map(|path| path.join("bin")).collect()
}

/// Makes new database files.
fn create(files: &Path, owner: &Owner) -> Result<(), DemoError> {
    let directory = files.parent().unwrap_or(files);
    let made = owner
        .command(&program("initdb", "postgresql", &directories())?, directory)
        .arg("-D")
        .arg(files)
        .args(["--username=postgres", "--auth=trust", "--locale=C"])
        .args(["--encoding=UTF8", "--wal-segsize=1", "--no-sync"])
        .output()
        .map_err(|error| DemoError::Database(error.to_string()))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(DemoError::Database(said.trim().to_owned()));
    }
    Ok(())
}

/// Keeps `files` as the template: complete or not at all, also when two runs do it at once.
fn keep(files: &Path, template: &Path) -> Result<(), DemoError> {
    let Some(parent) = template.parent() else {
        return Ok(());
    };
    file(parent, fs::create_dir_all(parent))?;
    // They belong to whom the build belongs to, who may want to remove it without root.
    let build = file(parent, fs::metadata(parent.parent().unwrap_or(parent)))?;
    let ids = (build.uid(), build.gid());
    file(parent, chown(parent, Some(ids.0), Some(ids.1)))?;
    let partial = tempfile::Builder::new()
        .prefix("database-")
        .tempdir_in(parent);
    let partial = file(parent, partial)?;
    copy(files, &partial.path().join("database"), ids)?;
    match fs::rename(partial.path().join("database"), template) {
        // Another run was first, and its files are as good.
        Err(_) if template.is_dir() => Ok(()),
        renamed => file(template, renamed),
    }
}

/// Copies a directory with all it holds, giving it to a user and a group.
fn copy(from: &Path, to: &Path, ids: (u32, u32)) -> Result<(), DemoError> {
    file(to, fs::create_dir(to))?;
    for entry in file(from, fs::read_dir(from))? {
        let entry = file(from, entry)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if file(&source, entry.file_type())?.is_dir() {
            copy(&source, &target, ids)?;
        } else {
            file(&target, fs::copy(&source, &target))?;
            give(&target, ids)?;
        }
    }
    // The database refuses files that others may read.
    file(
        to,
        fs::set_permissions(to, fs::Permissions::from_mode(0o700)),
    )?;
    give(to, ids)
}

fn give(path: &Path, (user, group): (u32, u32)) -> Result<(), DemoError> {
    file(path, chown(path, Some(user), Some(group)))
}

/// Whom the database runs as: it refuses to run as root.
struct Owner {
    user: User,
}

impl Owner {
    fn find() -> Result<Self, DemoError> {
        let user = if Uid::effective().is_root() {
            User::from_name("postgres")
        } else {
            User::from_uid(Uid::effective())
        };
        let user = user.ok().flatten().ok_or(DemoError::DatabaseUser)?;
        Ok(Self { user })
    }

    fn ids(&self) -> (u32, u32) {
        (self.user.uid.as_raw(), self.user.gid.as_raw())
    }

    /// A command that runs `program` as the owner, quietly, with nothing of our environment.
    fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if Uid::effective().is_root() {
            let (user, group) = self.ids();
            command.uid(user).gid(group);
        }
        command
    }
}
