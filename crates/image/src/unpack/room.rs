//! The disk under a layer that is being written: it is not written full.

use std::os::fd::OwnedFd;

use super::report::{Refusal, RefusalKind};
use crate::disk::{Free, NO_INODE};

/// After so many bytes the disk is looked at again.
const STEP: u64 = 1 << 20;
/// What an entry takes beside its data.
const OF_AN_ENTRY: u64 = 4 << 10;

/// How much may be written until the next look.
pub(super) struct Room {
    disk: OwnedFd,
    left: u64,
}

impl Room {
    /// `disk` is anything open on it.
    pub fn new(disk: OwnedFd) -> Self {
        Self { disk, left: 0 }
    }

    pub fn take_entry(&mut self) -> Result<(), Refusal> {
        self.take(OF_AN_ENTRY)
    }

    /// Counts bytes that are about to be written; refused once the disk's reserve is reached.
    pub fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return Ok(());
        }
        self.left = STEP;
        // A disk that does not answer will refuse what is written.
        match Free::on(&self.disk).ok().and_then(|free| free.lacks(0)) {
            None => Ok(()),
            Some(reason) => Err(Refusal { kind: RefusalKind::DiskFull, reason }),
        }
    }

    /// Says of a write that was refused for lack of room when it is for lack of inodes.
    pub fn explain(&self, refusal: Refusal) -> Refusal {
        let is_for_inodes = || Free::on(&self.disk).is_ok_and(|free| free.has_no_inode());
        match refusal.kind == RefusalKind::DiskFull && is_for_inodes() {
            true => Refusal { reason: format!("{} ({NO_INODE})", refusal.reason), ..refusal },
            false => refusal,
        }
    }
}
