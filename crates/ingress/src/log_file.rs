//! The log of the process, which is the file that standard error goes to: it must not fill the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// A log that is larger is cut.
const MOST: u64 = 10 << 20;

/// What stays of it: the end, which people look for.
const KEPT: u64 = 1 << 20;

/// Cuts the log of this process if it is too large. What is no file that is only appended to is left alone: there a
/// cut would make a hole, or lose what belongs to somebody else.
pub(crate) fn shorten() {
    let is_appended_to =
        rustix::fs::fcntl_getfl(io::stderr()).is_ok_and(|flags| flags.contains(OFlags::APPEND));
    if !is_appended_to {
        return;
    }
    // By this name it is opened again for reading, wherever it was moved to. A pipe or terminal is not waited for.
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let open = OpenOptions::new().read(true).append(true).custom_flags(nonblocking).open("/proc/self/fd/2");
    let Ok(log) = open.and_then(|log| Ok(log.metadata()?.is_file().then_some(log))) else { return };
    if let Some(mut log) = log
        && let Err(error) = cut(&mut log, MOST, KEPT)
    {
        tracing::warn!(%error, "the log is too large and could not be cut");
    }
}

/// Cuts a log that is larger than `most` bytes to its last whole lines of `kept` bytes. What is written meanwhile may
/// be lost.
fn cut(log: &mut File, most: u64, kept: u64) -> io::Result<()> {
    let size = log.metadata()?.len();
    if size <= most {
        return Ok(());
    }
    let mut end = Vec::new();
    log.seek(SeekFrom::Start(size.saturating_sub(kept)))?;
    log.take(kept).read_to_end(&mut end)?;
    let whole = end.iter().position(|byte| *byte == b'\n').map_or(0, |line| line + 1);
    log.set_len(0)?;
    log.write_all(&end[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: std::ops::Range<u32>) -> String {
        numbers.map(|number| format!("line {number:05}\n")).collect()
    }

    #[test]
    fn a_log_that_is_too_large_keeps_its_last_lines_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ingress.log");
        let mut log = OpenOptions::new().create(true).read(true).append(true).open(&path).unwrap();
        // The descriptor of the process itself, which knows nothing of a cut.
        let mut written = OpenOptions::new().append(true).open(&path).unwrap();
        written.write_all(lines(0..1000).as_bytes()).unwrap();
        cut(&mut log, 11_000, 105).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines(0..1000), "it is not too large yet");
        written.write_all(lines(1000..1001).as_bytes()).unwrap();
        cut(&mut log, 11_000, 105).unwrap();
        written.write_all(lines(1001..1002).as_bytes()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines(992..1002));
    }
}
