//! The real clients: curl and psql, alone with what they are told.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::error::DemoError;
use super::probe::What;
use super::servers::{DOWNLOAD, client_program, program};

/// The installed clients.
#[derive(Debug)]
pub(crate) struct Clients {
    curl: PathBuf,
    psql: PathBuf,
}

impl Clients {
    /// Finds them.
    pub(crate) fn find() -> Result<Self, DemoError> {
        Ok(Self {
            curl: program("curl", "curl", &[])?,
            psql: client_program()?,
        })
    }

    /// The client that asks `address` for `what`, and ends well only with an answer.
    pub(crate) fn ask(&self, what: What, address: IpAddr) -> Command {
        let target = SocketAddr::new(address, what.port());
        match what {
            What::Https(_) => self.curl(&format!("https://{target}/"), "/dev/null"),
            // A broker that does not exist yet is stood in for by a server that any request
            // suits: what is asked here is whether the port can be reached.
            What::Http(_) | What::Broker(_) => self.curl(&format!("http://{target}/"), "/dev/null"),
            What::Sql(port) => self.psql(address, port),
        }
    }

    /// A client that reads the slow file and writes what it gets to its standard output, from a
    /// port of its own choice.
    pub(crate) fn download(&self, what: What, address: IpAddr, source_port: u16) -> Command {
        let target = SocketAddr::new(address, what.port());
        let mut command = self.curl(&format!("http://{target}{DOWNLOAD}"), "-");
        from_port(&mut command, source_port);
        command.arg("--no-buffer").stdout(Stdio::piped());
        command
    }

    fn curl(&self, url: &str, output: &str) -> Command {
        let mut command = quiet(&self.curl);
        command
            .args(["--disable", "--silent", "--show-error", "--noproxy", "*"])
            // The certificate is made for this run, and who is spoken to is known by the wire.
            .args(["--insecure", "--output", output, url]);
        command
    }

    fn psql(&self, address: IpAddr, port: u16) -> Command {
        let mut command = quiet(&self.psql);
        command
            .args(["--no-psqlrc", "--no-password", "--username=postgres"])
            .args(["--dbname=postgres", "--command=select 1"])
            .arg(format!("--host={address}"))
            .arg(format!("--port={port}"))
            .env("PGSSLMODE", "disable");
        command
    }
}

/// Makes a curl command use one source port.
pub(crate) fn from_port(command: &mut Command, source_port: u16) {
    command.args(["--local-port", &source_port.to_string()]);
}

/// A command without our environment, whose complaints can be read.
fn quiet(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}
