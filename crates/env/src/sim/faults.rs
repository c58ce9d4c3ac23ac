//! Which calls go wrong, and how.

use std::path::PathBuf;

use crate::Rng;

/// The kinds of calls a fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as the call of the disk seam it stands for")]
pub enum CallKind {
    Open,
    Read,
    Write,
    SetLen,
    /// Both `sync_data` and `sync_all`.
    Sync,
    SyncDir,
    Rename,
    Remove,
    CreateDir,
    ReadDir,
    FreeBytes,
}

impl CallKind {
    /// Whether such a call changes what is on the disk or makes it durable.
    pub(crate) fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::ReadDir | Self::FreeBytes)
    }
}

const KINDS: usize = CallKind::FreeBytes as usize + 1;

/// A call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it does.
    pub kind: CallKind,
    /// To which file or directory.
    pub path: PathBuf,
    /// From where, for reads and writes.
    pub position: u64,
    /// How much, for reads and writes.
    pub bytes: u64,
    /// The number of this call among those of its kind, from 1.
    pub index: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it succeeds.
    None,
    /// It fails with this error number. A sync that fails so also loses data and lies from then
    /// on; everything else that fails so has done nothing.
    Fail(i32),
    /// A write puts down so many bytes and then fails; other calls just fail.
    Short {
        /// Bytes that are written.
        bytes: u64,
        /// The error number.
        errno: i32,
    },
}

type Hook = Box<dyn FnMut(&Call) -> Fault + Send>;

pub struct Faults {
    rng: Rng,
    calls: [u64; KINDS],
    nth: Vec<(CallKind, u64, Fault)>,
    chances: Vec<(CallKind, f64, Fault)>,
    hook: Option<Hook>,
}

impl Faults {
    pub fn new(rng: Rng) -> Self {
        Self { rng, calls: [0; KINDS], nth: Vec::new(), chances: Vec::new(), hook: None }
    }

    pub fn set_hook(&mut self, hook: Hook) {
        self.hook = Some(hook);
    }

    pub fn nth(&mut self, kind: CallKind, nth: u64, fault: Fault) {
        self.nth.push((kind, self.calls(kind).saturating_add(nth), fault));
    }

    pub fn chance(&mut self, kind: CallKind, probability: f64, fault: Fault) {
        self.chances.push((kind, probability, fault));
    }

    pub fn clear(&mut self) {
        self.nth.clear();
        self.chances.clear();
        self.hook = None;
    }

    pub fn calls(&self, kind: CallKind) -> u64 {
        self.calls.get(kind as usize).copied().unwrap_or(0)
    }

    pub fn decide(&mut self, mut call: Call) -> Fault {
        if let Some(count) = self.calls.get_mut(call.kind as usize) {
            *count += 1;
            call.index = *count;
        }
        if let Some(hook) = &mut self.hook {
            let fault = hook(&call);
            if fault != Fault::None {
                return fault;
            }
        }
        let hit = |(kind, at, _): &(CallKind, u64, Fault)| *kind == call.kind && *at == call.index;
        if let Some(index) = self.nth.iter().position(hit) {
            return self.nth.swap_remove(index).2;
        }
        for (kind, probability, fault) in &self.chances {
            if *kind == call.kind && self.rng.chance(*probability) {
                return *fault;
            }
        }
        Fault::None
    }
}
