//! Room that is left alone: a disk filled to the brim by an image stops more than the image.

use rustix::fs::statvfs;

use super::Folders;
use crate::Cause;

/// Never asked to be free, however large the disk.
const LARGEST_RESERVE: u64 = 512 << 20;
/// Otherwise this part of the disk: one in twenty.
const RESERVED_PART: u64 = 20;

impl Folders {
    /// Refuses to begin what takes room on a disk that has hardly any.
    pub fn has_room(&self) -> Result<(), Cause> {
        let disk = statvfs(self.root())
            .map_err(|error| Cause::storage("look at the disk of", self.root(), error.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        match is_short(bytes(disk.f_bavail), bytes(disk.f_blocks)) {
            false => Ok(()),
            true => Err(Cause::DiskFull { folder: self.root().to_owned() }),
        }
    }
}

/// Whether so many free bytes of all the disk's are less than the reserve.
fn is_short(free: u64, all: u64) -> bool {
    free < LARGEST_RESERVE.min(all / RESERVED_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_part_of_small_disks_and_512_mib_of_large_ones() {
        assert!(is_short(51 << 10, 1 << 20) && !is_short(53 << 10, 1 << 20));
        assert!(is_short(511 << 20, 1 << 40) && !is_short(512 << 20, 1 << 40));
        assert!(!is_short(0, 0), "a disk that does not say how large it is");
    }
}
