//! The system packages that the workspace uses, and why.

/// One Debian package.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name for apt.
    pub(crate) name: &'static str,
    /// What the workspace does with it.
    pub(crate) reason: &'static str,
    /// The system service that the package brings; ours are started by the demo itself,
    /// so the system's own stays off.
    pub(crate) service: Option<&'static str>,
}

const fn tool(name: &'static str, reason: &'static str) -> Package {
    Package {
        name,
        reason,
        service: None,
    }
}

const fn server(name: &'static str, service: &'static str, reason: &'static str) -> Package {
    Package {
        name,
        reason,
        service: Some(service),
    }
}

/// Everything that a fresh Debian 12 machine with a Rust toolchain may lack.
pub(crate) const PACKAGES: &[Package] = &[
    tool(
        "gcc",
        "links Rust programs; compiles libbpf for the feature `libbpf`",
    ),
    tool("g++", "compiles libFuzzer for the fuzz targets"),
    tool("make", "builds libbpf for the feature `libbpf`"),
    tool(
        "pkg-config",
        "finds libelf and zlib for the feature `libbpf`",
    ),
    tool("libelf-dev", "libbpf reads ELF objects with it"),
    tool("zlib1g-dev", "libelf's compressed sections"),
    tool("libbpf-dev", "helper declarations for the BPF C code"),
    tool("linux-libc-dev", "kernel structures for the BPF C code"),
    tool(
        "clang-22",
        "compiles the BPF C code, to prove that the embedded object is its image",
    ),
    tool("llvm-22", "strips the BPF object"),
    tool("clang-format-22", "checks the format of the BPF C code"),
    server(
        "nginx-light",
        "nginx",
        "the demo's web servers: TLS on 443, HTTP on 80, 8080 and 9090",
    ),
    server(
        "postgresql",
        "postgresql",
        "the demo's database, and `psql`, its client",
    ),
    tool("curl", "the demo's web client"),
    tool(
        "nftables",
        "what the datapath is measured beside (`cargo xtask report datapath`)",
    ),
];
