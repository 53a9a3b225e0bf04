//! Needing little memory, and being the last to be killed for want of it.
//!
//! The program is large, because it holds every other role too. A supervisor that waits for days keeps the
//! pages of it that were once run or read, most of them for making the container. They are clean copies of the
//! program's file, so the kernel can take them and bring one back when it is needed again.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};

const OOM_SCORE_FILE: &str = "/proc/self/oom_score_adj";
/// Far below every application, and above those whom the administrator protects (proc_pid_oom_score_adj(5)).
const OOM_SCORE: i32 = -500;

/// Lets the kernel kill applications before us. Without the right to do so (`CAP_SYS_RESOURCE`) we stay as we were
/// started, and applications are put above that.
pub(super) fn be_killed_last() {
    if oom_score().is_ok_and(|score| score > OOM_SCORE) {
        let _ = fs::write(OOM_SCORE_FILE, OOM_SCORE.to_string());
    }
}

/// This process's `oom_score_adj`.
pub(super) fn oom_score() -> io::Result<i32> {
    fs::read_to_string(OOM_SCORE_FILE)?.trim().parse().map_err(io::Error::other)
}

/// Best effort: nothing depends on it.
pub(super) fn give_back_program_pages() {
    let Ok(file) = File::open("/proc/self/smaps") else { return };
    let mut mapping = None;
    for line in BufReader::with_capacity(1024, file).lines().map_while(Result::ok) {
        if let Some(found) = parse_mapping(&line) {
            mapping = found.is_unwritable_file.then_some(found);
        } else if is_unchanged(&line)
            && let Some(found) = mapping.take()
        {
            give_back(&found);
        }
    }
}

/// An address range of this process.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    length: usize,
    is_unwritable_file: bool,
}

/// The first line of an entry (proc_pid_smaps(5)): range, permissions, offset, device, inode, path.
fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let permissions = fields.next()?;
    let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    let is_unwritable_file = is_file && permissions.starts_with('r') && !permissions.contains('w');
    Some(Mapping { start, length: end.checked_sub(start)?, is_unwritable_file })
}

/// No page of the mapping differs from its file: the tables that the loader filled in do, and must stay.
fn is_unchanged(line: &str) -> bool {
    line.strip_prefix("Anonymous:").is_some_and(|amount| amount.trim() == "0 kB")
}

#[expect(
    unsafe_code,
    reason = "the pages are unwritable and the same as in their file, so they come back as they were"
)]
fn give_back(mapping: &Mapping) {
    // SAFETY: nothing is lost, see above; a failure changes nothing.
    unsafe { libc::madvise(mapping.start as *mut libc::c_void, mapping.length, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unwritable_and_unchanged_files_are_given_back() {
        let is_candidate = |line| parse_mapping(line).map(|mapping| mapping.is_unwritable_file);
        assert_eq!(is_candidate("55d0-66d0 r-xp 009b7000 fe:00 1234      /usr/bin/darsena"), Some(true));
        assert_eq!(is_candidate("55d0-66d0 r--p 00000000 fe:00 1234      /usr/bin/darsena"), Some(true));
        assert_eq!(is_candidate("55d0-66d0 rw-p 021a8000 fe:00 1234      /usr/bin/darsena"), Some(false));
        assert_eq!(is_candidate("55d0-66d0 r-xp 00000000 00:00 0         [vdso]"), Some(false));
        assert_eq!(is_candidate("55d0-66d0 r--p 00000000 00:00 0"), Some(false));
        assert_eq!(is_candidate("Rss:                 636 kB"), None);
        assert_eq!(is_candidate("VmFlags: rd ex mr mw me sd"), None);
        assert!(is_unchanged("Anonymous:             0 kB"));
        assert!(!is_unchanged("Anonymous:            16 kB"));
        assert!(!is_unchanged("AnonHugePages:         0 kB"));
    }
}
