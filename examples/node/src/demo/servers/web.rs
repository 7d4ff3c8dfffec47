//! Web servers: nginx, with TLS where the walk-through has it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use porin_testbed::{Namespace, Process};

use super::program;
use crate::demo::error::{DemoError, file};

/// The path of a file that takes long to read: it is sent at a steady, slow rate.
pub(crate) const DOWNLOAD: &str = "/api/v1/download";

/// The size of that file in bytes; at the rate of the configuration it lasts a minute.
const DOWNLOAD_SIZE: u64 = 16 << 20;

/// Who serves what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    /// The actor that runs the server.
    pub(crate) name: &'static str,
    /// Ports with plain HTTP (or anything else that is TCP).
    pub(crate) plain: &'static [u16],
    /// Ports with TLS.
    pub(crate) tls: &'static [u16],
}

impl Site {
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.plain.iter().chain(self.tls).copied()
    }
}

/// Makes the certificate that all of them show, and the file that is downloaded.
pub(super) fn certificate(directory: &Path) -> Result<PathBuf, DemoError> {
    let home = directory.join("web");
    file(&home, fs::create_dir_all(&home))?;
    let names = vec!["frontend.walkthrough".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(DemoError::Certificate)?;
    for (name, text) in [
        ("certificate.pem", made.cert.pem()),
        ("key.pem", made.signing_key.serialize_pem()),
    ] {
        let path = home.join(name);
        file(&path, fs::write(&path, text))?;
    }
    let download = home.join(DOWNLOAD.trim_start_matches('/'));
    if let Some(parent) = download.parent() {
        file(parent, fs::create_dir_all(parent))?;
    }
    let made = File::create(&download).and_then(|made| made.set_len(DOWNLOAD_SIZE));
    file(&download, made)?;
    Ok(home)
}

/// Where the server of a site writes what goes wrong.
pub(super) fn log(directory: &Path, site: &Site) -> PathBuf {
    directory.join("web").join(format!("{}.log", site.name))
}

/// Starts the server of a site.
pub(super) fn start(
    namespace: &Namespace,
    directory: &Path,
    home: &Path,
    site: &Site,
) -> Result<Process, DemoError> {
    let path = home.join(format!("{}.conf", site.name));
    file(&path, fs::write(&path, configuration(home, site)))?;
    let log = log(directory, site);
    let errors = file(&log, File::create(&log))?;
    let mut command = Command::new(program("nginx", "nginx", &[])?);
    command
        .arg("-p")
        .arg(home)
        .arg("-c")
        .arg(&path)
        .args(["-e", "stderr"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors);
    Ok(namespace.spawn(command)?)
}

/// One process in the foreground: there is no worker that could outlive it.
fn configuration(home: &Path, site: &Site) -> String {
    let home = home.display();
    let mut listen = String::new();
    for (ports, suffix) in [(site.plain, ""), (site.tls, " ssl")] {
        for port in ports {
            listen += &format!("    listen {port}{suffix};\n    listen [::]:{port}{suffix};\n");
        }
    }
    let name = site.name;
    format!(
        "daemon off;
master_process off;
pid {home}/{name}.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {home}/{name}.body;
  proxy_temp_path {home}/{name}.proxy;
  fastcgi_temp_path {home}/{name}.fastcgi;
  uwsgi_temp_path {home}/{name}.uwsgi;
  scgi_temp_path {home}/{name}.scgi;
  ssl_certificate {home}/certificate.pem;
  ssl_certificate_key {home}/key.pem;
  server {{
{listen}    location / {{ return 200 \"{name}\\n\"; }}
    location {DOWNLOAD} {{
      root {home};
      sendfile on;
      sendfile_max_chunk 4k;
      limit_rate 256k;
    }}
  }}
}}
"
    )
}
