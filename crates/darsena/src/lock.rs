//! One control plane a data folder.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long a lock that is held may still be that of a process which was killed: a child that it was about to
/// start has a copy of the lock until it runs its program.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Held while a process works on a data folder. The kernel lets go of it when the process ends, however it
/// ends, so there is no stale lock.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock or says who has to stop first.
    pub fn take(data: &Path) -> Result<Self> {
        let path = data.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => bail!(
                    "another `darsena serve` works on {}; stop it first, or choose another --data",
                    data.display()
                ),
                Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_a_copy_of_the_lock_that_goes_soon_is_waited_for() {
        let data = tempfile::tempdir().unwrap();
        let lock = DataLock::take(data.path()).unwrap();
        let error = DataLock::take(data.path()).unwrap_err().to_string();
        assert!(error.contains("stop it first"), "{error}");

        let of_a_child = lock._file.try_clone().unwrap();
        drop(lock);
        let gone = std::thread::spawn(move || {
            std::thread::sleep(PAUSE * 5);
            drop(of_a_child);
        });
        DataLock::take(data.path()).unwrap();
        gone.join().unwrap();
    }
}
