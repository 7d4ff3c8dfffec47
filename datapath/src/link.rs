//! Programs at the hooks of devices.
//!
//! A program is attached by a TCX link (kernel 6.6), or by a clsact filter
//! where there are none. An [`Attachment`] is either: it takes the program off
//! again when it is dropped, unless it was [pinned](Attachment::pin).
//!
//! The programs answer `TCX_NEXT` (−1) for "let through", so that programs of
//! others at the same hook still run; on clsact the same number means the same.
//! The qdisc that clsact filters need is made and left: without a filter it does
//! nothing, and others may use it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::error::{AttachError, PinError};
use crate::probe::{Capability, Missing, has_tcx};
use crate::sys::{self, CallError, FilterSlot, Link, LinkPosition, Program, RouteSocket, TcxHook};

/// The name of our clsact filters.
const FILTER: &str = "porin";
/// How many filters of ours may be at one hook of a device.
const FILTERS: u32 = 64;

/// How programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AttachMode {
    /// By TCX if the kernel takes it, otherwise by clsact. The kernel is asked, not its version.
    #[default]
    Auto,
    /// By TCX links only.
    Tcx,
    /// By clsact filters only.
    Clsact,
}

/// Which mechanism holds an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// A TCX link.
    Tcx,
    /// A filter of a clsact qdisc.
    Clsact,
}

/// A hook of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The device, in the calling thread's network namespace.
    pub ifindex: u32,
    /// The hook.
    pub hook: TcxHook,
}

/// A program at a hook.
///
/// Dropping it takes the program off the hook, as far as that succeeds;
/// [`detach`](Self::detach) does the same and says how it went. A pinned one
/// stays when it is dropped: the kernel goes on running its program, whatever
/// becomes of this process, and [`adopt`](Self::adopt) takes it over later.
///
/// ```no_run
/// # use porin_datapath::link::{AttachMode, Attachment, Target};
/// # use porin_datapath::sys::{LinkPosition, Program, TcxHook};
/// # fn example(program: &Program) -> Result<(), Box<dyn std::error::Error>> {
/// let target = Target { ifindex: 7, hook: TcxHook::Ingress };
/// let attachment = Attachment::attach(program, target, AttachMode::Auto, LinkPosition::First)?;
/// // … and when it has done its work:
/// attachment.detach()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Attachment {
    target: Target,
    held: Held,
    pin: Option<PathBuf>,
    /// Whether it was detached already.
    released: bool,
}

/// What keeps the program at its hook.
#[derive(Debug)]
enum Held {
    Link(Link),
    Filter {
        /// In the device's namespace, so that any thread can detach.
        socket: RouteSocket,
        slot: FilterSlot,
        /// A filter cannot be pinned; its program is, as the mark that the filter is ours.
        program: Program,
    },
}

impl Attachment {
    /// Attaches a program.
    ///
    /// # Errors
    ///
    /// [`AttachError::NoDevice`] if the calling thread's namespace has no such
    /// device, [`AttachError::Missing`] if the process may not or the kernel
    /// cannot, [`AttachError::Taken`] if this program is there already.
    pub fn attach(
        program: &Program,
        target: Target,
        mode: AttachMode,
        position: LinkPosition,
    ) -> Result<Self, AttachError> {
        Self::attach_marked(program, target, mode, position, None)
    }

    /// Attaches a program and pins it at `path` in a BPF file system. A process that is killed
    /// while it does so leaves nothing at the hook that [`adopt`](Self::adopt) does not find.
    ///
    /// # Errors
    ///
    /// As of [`attach`](Self::attach) and [`pin`](Self::pin); nothing is attached then.
    pub fn attach_pinned(
        program: &Program,
        target: Target,
        mode: AttachMode,
        position: LinkPosition,
        path: &Path,
    ) -> Result<Self, AttachError> {
        if open_pin(path)?.is_some() {
            return Err(PinError::Occupied(path.to_owned()).into());
        }
        let mut attachment = Self::attach_marked(program, target, mode, position, Some(path))?;
        match &attachment.held {
            // A link that nobody pinned goes with its process.
            Held::Link(_) => attachment.pin(path)?,
            Held::Filter { .. } => {
                finish(path)?;
                attachment.pin = Some(path.to_owned());
            }
        }
        Ok(attachment)
    }

    /// With a mark beside `path` for what would outlive this process unknown.
    fn attach_marked(
        program: &Program,
        target: Target,
        mode: AttachMode,
        position: LinkPosition,
        path: Option<&Path>,
    ) -> Result<Self, AttachError> {
        let filter = || attach_clsact(program, target, position, path);
        let held = match mode {
            AttachMode::Tcx => attach_tcx(program, target, position).map_err(|error| {
                if is_unknown(&error) {
                    AttachError::Missing(Missing::tcx())
                } else {
                    explain(target, error)
                }
            })?,
            AttachMode::Clsact => filter()?,
            AttachMode::Auto => match attach_tcx(program, target, position) {
                Ok(held) => held,
                Err(error) if is_unknown(&error) => filter()?,
                Err(error) => return Err(explain(target, error)),
            },
        };
        Ok(Self {
            target,
            held,
            pin: None,
            released: false,
        })
    }

    /// Takes over what was pinned at `path` by an earlier process; `None` if nothing is there.
    ///
    /// # Errors
    ///
    /// [`AttachError::Stale`] if it is not at `target`: the device is gone, or
    /// another one has its number now.
    pub fn adopt(path: &Path, target: Target) -> Result<Option<Self>, AttachError> {
        let Some(fd) = open_pin(path)? else {
            // Attached, but the process ended before its mark was in place.
            let held = adopt_unfinished(path, target)?;
            return Ok(held.map(|held| Self {
                target,
                held,
                pin: Some(path.to_owned()),
                released: false,
            }));
        };
        let stale = || AttachError::Stale {
            path: path.to_owned(),
            ifindex: target.ifindex,
        };
        let call = |error| explain(target, error);
        let as_program = fd.try_clone().ok().and_then(|fd| Program::from_fd(fd).ok());
        let held = match (Link::from_fd(fd), as_program) {
            (Ok(link), _) => {
                let info = link.info().map_err(call)?;
                if info.ifindex != target.ifindex || info.hook != Some(target.hook) {
                    return Err(stale());
                }
                Held::Link(link)
            }
            (Err(_), Some(program)) => match find_filter(program, target).map_err(call)? {
                Some(held) => held,
                None => adopt_unfinished(path, target)?.ok_or_else(stale)?,
            },
            (Err(_), None) => return Err(stale()),
        };
        Ok(Some(Self {
            target,
            held,
            pin: Some(path.to_owned()),
            released: false,
        }))
    }

    /// Replaces the program; no packet passes between the two.
    ///
    /// # Errors
    ///
    /// [`AttachError::Call`] with `ENOLINK` if the device is gone.
    pub fn update(&mut self, program: &Program) -> Result<(), AttachError> {
        let target = self.target;
        match &mut self.held {
            Held::Link(link) => link
                .update(program.as_fd())
                .map_err(|error| explain(target, error)),
            Held::Filter {
                socket,
                slot,
                program: held,
            } => {
                // The new mark first and aside, the old one until the filter has changed: a process
                // that ends in between is understood by the one that adopts.
                let call = |error| explain(target, error);
                let next = clone_program(program).map_err(call)?;
                if let Some(path) = &self.pin {
                    mark_aside(program, path)?;
                }
                socket
                    .set_filter(*slot, program.as_fd(), FILTER, true)
                    .map_err(call)?;
                *held = next;
                self.pin.as_deref().map_or(Ok(()), finish)
            }
        }
    }

    /// Pins the attachment at `path` in a BPF file system: from now on it
    /// outlives this value and this process.
    ///
    /// # Errors
    ///
    /// [`AttachError::Pin`], e.g. if the path is taken.
    pub fn pin(&mut self, path: &Path) -> Result<(), AttachError> {
        let object = match &self.held {
            Held::Link(link) => link.as_fd(),
            Held::Filter { program, .. } => program.as_fd(),
        };
        sys::pin(object, path).map_err(|source| pin_error(path, source))?;
        self.pin = Some(path.to_owned());
        Ok(())
    }

    /// Takes the program off its hook and the pin out of its directory. When
    /// this returns, no packet meets the program any more.
    ///
    /// # Errors
    ///
    /// [`AttachError::Call`] if the kernel refuses. A device that is gone is no error.
    pub fn detach(mut self) -> Result<(), AttachError> {
        self.released = true;
        self.release()
    }

    fn release(&mut self) -> Result<(), AttachError> {
        let target = self.target;
        match &self.held {
            Held::Link(link) => link.detach(),
            Held::Filter { socket, slot, .. } => socket.remove_filter(*slot),
        }
        .map_err(|error| explain(target, error))?;
        let Some(path) = self.pin.take() else {
            return Ok(());
        };
        // Left by an update that did not come to its end.
        let _ = std::fs::remove_file(aside(&path));
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(PinError::Io { path, source }.into())
            }
            _ => Ok(()),
        }
    }

    /// The hook it is at.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// What holds it there.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        match self.held {
            Held::Link(_) => Mechanism::Tcx,
            Held::Filter { .. } => Mechanism::Clsact,
        }
    }

    /// Where it is pinned.
    #[must_use]
    pub fn pinned(&self) -> Option<&Path> {
        self.pin.as_deref()
    }

    /// Whether the program is still at its hook: `false` once the device is gone.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell.
    pub fn is_attached(&self) -> Result<bool, AttachError> {
        match &self.held {
            Held::Link(link) => link.info().map(|info| info.ifindex != 0),
            Held::Filter { socket, slot, .. } => socket
                .filters(slot.ifindex, slot.hook)
                .map(|filters| filters.iter().any(|filter| filter.slot == *slot)),
        }
        .map_err(|error| explain(self.target, error))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.pin.is_none() && !self.released {
            // Nobody is left to hear of a failure; `detach` is for those who want to.
            let _ = self.release();
        }
    }
}

fn attach_tcx(
    program: &Program,
    target: Target,
    position: LinkPosition,
) -> Result<Held, CallError> {
    Link::attach(program.as_fd(), target.ifindex, target.hook, position).map(Held::Link)
}

fn attach_clsact(
    program: &Program,
    target: Target,
    position: LinkPosition,
    path: Option<&Path>,
) -> Result<Held, AttachError> {
    let Some(path) = path else {
        return add_filter(program, target, position);
    };
    // A filter that no mark tells of would be nobody's, should this process be killed.
    mark_aside(program, path)?;
    let held = add_filter(program, target, position);
    if held.is_err() {
        let _ = std::fs::remove_file(aside(path));
    }
    held
}

fn add_filter(
    program: &Program,
    target: Target,
    position: LinkPosition,
) -> Result<Held, AttachError> {
    let call = |error| explain(target, error);
    let socket = RouteSocket::open().map_err(call)?;
    socket.add_clsact(target.ifindex).map_err(call)?;
    let program = clone_program(program).map_err(call)?;
    let mut slot = FilterSlot {
        ifindex: target.ifindex,
        hook: target.hook,
        priority: match position {
            LinkPosition::First => 1,
            LinkPosition::Last => 0xfffe,
        },
        handle: 1,
    };
    loop {
        match socket.set_filter(slot, program.as_fd(), FILTER, false) {
            Ok(()) => break,
            // Somebody's filter, perhaps another instance's: the next number.
            Err(error) if error.is(libc::EEXIST) && slot.handle < FILTERS => slot.handle += 1,
            Err(error) => return Err(call(error)),
        }
    }
    Ok(Held::Filter {
        socket,
        slot,
        program,
    })
}

/// The filter that runs this program, if it is still at its hook.
fn find_filter(program: Program, target: Target) -> Result<Option<Held>, CallError> {
    let socket = RouteSocket::open()?;
    let id = program.info()?.id;
    let slot = socket
        .filters(target.ifindex, target.hook)?
        .into_iter()
        .find(|filter| filter.name == FILTER && filter.program == id)
        .map(|filter| filter.slot);
    Ok(slot.map(|slot| Held::Filter {
        socket,
        slot,
        program,
    }))
}

/// What is pinned at `path`, if anything.
fn open_pin(path: &Path) -> Result<Option<OwnedFd>, AttachError> {
    match sys::get_pinned(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.is(libc::ENOENT) => Ok(None),
        Err(source) => Err(pin_error(path, source).into()),
    }
}

/// Where the mark of the next program of a filter is pinned until it is in force.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-next");
    PathBuf::from(name)
}

/// Pins the mark of a program that a filter is about to run.
fn mark_aside(program: &Program, path: &Path) -> Result<(), AttachError> {
    let aside = aside(path);
    let _ = std::fs::remove_file(&aside);
    sys::pin(program.as_fd(), &aside).map_err(|source| pin_error(&aside, source))?;
    Ok(())
}

/// The filter runs the next program: its mark takes the old one's place, in one step.
fn finish(path: &Path) -> Result<(), AttachError> {
    std::fs::rename(aside(path), path).map_err(|source| {
        AttachError::Pin(PinError::Io {
            path: path.to_owned(),
            source,
        })
    })
}

/// Takes over a filter whose beginning or update ended before its mark was in place.
fn adopt_unfinished(path: &Path, target: Target) -> Result<Option<Held>, AttachError> {
    let Some(fd) = open_pin(&aside(path))? else {
        return Ok(None);
    };
    let call = |error| explain(target, error);
    let program = Program::from_fd(fd).map_err(call)?;
    let held = find_filter(program, target).map_err(call)?;
    if held.is_some() {
        finish(path)?;
    }
    Ok(held)
}

fn clone_program(program: &Program) -> Result<Program, CallError> {
    let fd = program
        .as_fd()
        .try_clone_to_owned()
        .map_err(|source| CallError::new(sys::Command::ObjectGet, source))?;
    Program::from_fd(fd)
}

/// Whether the kernel does not know TCX, rather than this device or program.
fn is_unknown(error: &CallError) -> bool {
    (error.is(libc::EINVAL) || error.is(libc::EOPNOTSUPP)) && !has_tcx()
}

fn explain(target: Target, error: CallError) -> AttachError {
    let Target { ifindex, hook } = target;
    let needed = [Capability::Bpf, Capability::NetAdmin];
    if let Some(missing) = Missing::explain(&error, "attaching a BPF program", &needed) {
        return missing.into();
    }
    match error.errno() {
        Some(libc::ENODEV) => AttachError::NoDevice { ifindex },
        Some(libc::EEXIST) => AttachError::Taken { ifindex, hook },
        _ => AttachError::Call {
            ifindex,
            hook,
            source: error,
        },
    }
}

fn pin_error(path: &Path, source: CallError) -> PinError {
    PinError::Call {
        path: path.to_owned(),
        source,
    }
}
