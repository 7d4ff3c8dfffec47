//! The real servers of the walk-through, each in the namespace of its workload.

mod database;
mod web;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use database::{client_program, prepare, template};
use porin_testbed::{Namespace, Process, Signal};
pub(crate) use web::{DOWNLOAD, Site as WebSite};

use super::error::DemoError;
use super::stage::Stage;

/// How long a server may take until it listens; a busy machine is slow, not broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server may take to end when asked.
const GRACE: Duration = Duration::from_secs(2);

/// All running servers; they end when this goes.
#[derive(Debug)]
pub(crate) struct Servers {
    web: Vec<Process>,
    database: Option<Process>,
}

impl Servers {
    /// Starts a web server for each of `sites` and the database of `postgres`, and waits until
    /// all of them listen.
    pub(crate) fn start(
        stage: &Stage,
        directory: &Path,
        sites: &[WebSite],
    ) -> Result<Self, DemoError> {
        let certificate = web::certificate(directory)?;
        let home = &stage.site("postgres")?.namespace;
        let database = database::start(home, directory)?;
        let mut web = Vec::new();
        for site in sites {
            let namespace = &stage.site(site.name)?.namespace;
            web.push(web::start(namespace, directory, &certificate, site)?);
        }
        for site in sites {
            for port in site.ports() {
                let namespace = &stage.site(site.name)?.namespace;
                listens(namespace, site.name, port, &web::log(directory, site))?;
            }
        }
        listens(home, "postgres", database::PORT, &database::log(directory))?;
        Ok(Self {
            web,
            database: Some(database),
        })
    }

    /// Ends the servers, the database by its own way of ending at once.
    pub(crate) fn stop(mut self) -> Result<(), DemoError> {
        self.web.clear();
        if let Some(database) = self.database.take() {
            database.stop(Signal::SIGQUIT, GRACE)?;
        }
        Ok(())
    }
}

/// Waits until something listens on `port` in `namespace`; asked from inside, over loopback.
fn listens(namespace: &Namespace, name: &str, port: u16, log: &Path) -> Result<(), DemoError> {
    let end = Instant::now() + PATIENCE;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while namespace.run(|| TcpStream::connect(address))?.is_err() {
        if Instant::now() > end {
            return Err(DemoError::Server {
                name: name.to_owned(),
                port,
                limit: PATIENCE,
                said: std::fs::read_to_string(log)
                    .map(|text| format!(":\n{text}"))
                    .unwrap_or_default(),
            });
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Finds a program in the usual directories, which the search path of root may lack.
pub(crate) fn program(
    name: &'static str,
    package: &'static str,
    directories: &[PathBuf],
) -> Result<PathBuf, DemoError> {
    let usual = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let usual = usual.iter().map(PathBuf::from);
    directories
        .iter()
        .cloned()
        .chain(usual)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .ok_or(DemoError::Program {
            program: name,
            package,
        })
}
