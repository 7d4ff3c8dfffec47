//! Packets given to a program by hand.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::{CallError, Command, Program, SkbFields, TcxHook, TestInput};

/// Which of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// What an endpoint sends.
    FromEndpoint,
    /// What it is to receive.
    ToEndpoint,
    /// What comes by a device that leads out of the node, for the host.
    FromNetwork,
    /// What the host sends by such a device.
    ToNetwork,
    /// What comes out of the tunnel of another node.
    FromOverlay,
    /// What goes into the tunnel to another node.
    ToOverlay,
}

impl Hook {
    pub(crate) const fn tcx(self) -> TcxHook {
        match self {
            Self::FromEndpoint | Self::FromNetwork | Self::FromOverlay => TcxHook::Ingress,
            Self::ToEndpoint | Self::ToNetwork | Self::ToOverlay => TcxHook::Egress,
        }
    }
}

/// A frame at a hook.
#[derive(Clone, Copy, Debug)]
pub struct TestPacket<'a> {
    /// The frame from its Ethernet header on.
    pub bytes: &'a [u8],
    /// The device; it must exist in the calling thread's network namespace.
    pub ifindex: u32,
    /// `skb->mark`.
    pub mark: u32,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgRun {
    /// Whether it may go on.
    pub passed: bool,
    /// `skb->mark` afterwards.
    pub mark: u32,
    /// Time per packet, averaged over the repetitions.
    pub duration: Duration,
}

/// `TC_ACT_SHOT`; everything else that our programs answer lets a packet pass.
const SHOT: i32 = 2;

/// One of the programs of a datapath, to give packets to, also from other threads.
#[derive(Debug)]
pub struct HookProgram {
    program: Program,
}

impl HookProgram {
    pub(crate) fn new(program: &Program) -> Result<Self, CallError> {
        let fd = program
            .as_fd()
            .try_clone_to_owned()
            .map_err(|source| CallError::new(Command::ProgramTestRun, source))?;
        Program::from_fd(fd).map(|program| Self { program })
    }

    /// As [`Datapath::run`](crate::Datapath::run).
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn run(&self, packet: &TestPacket<'_>, repeat: u32) -> Result<ProgRun, CallError> {
        run(&self.program, packet, repeat)
    }

    /// Processor time of `repeat` runs, as [`Floor`](crate::Floor) measures.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn time(&self, packet: &TestPacket<'_>, repeat: u32) -> Result<Duration, CallError> {
        crate::floor::timed(&self.program, packet, repeat)
    }
}

pub(crate) fn run(
    program: &Program,
    packet: &TestPacket<'_>,
    repeat: u32,
) -> Result<ProgRun, CallError> {
    let skb = SkbFields {
        mark: packet.mark,
        ifindex: packet.ifindex,
        ..SkbFields::default()
    };
    let run = program.test_run(&TestInput {
        skb,
        repeat,
        ..TestInput::new(packet.bytes)
    })?;
    Ok(ProgRun {
        passed: run.result != SHOT,
        mark: run.skb.mark,
        duration: run.duration,
    })
}
