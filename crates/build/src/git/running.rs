//! Programs under way. Dropping a call ends them at once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::clean::line;
use super::closet::Shown;
use super::error::Cause;
use super::helper::Role;
use super::keeper::{self, NOT_KEPT, NOT_STARTED};

/// As much of what a program says of its failure is kept, in bytes; its end counts.
const MOST_WORDS: usize = 64 * 1024;
/// How often limits are looked at that the kernel does not hold.
const LOOK: Duration = Duration::from_millis(200);
/// How long an end is waited for that the kernel makes at once.
const END: Duration = Duration::from_secs(10);

/// A program to run.
#[derive(Debug)]
pub(super) struct Program {
    /// What people call it.
    pub name: &'static str,
    pub path: &'static str,
    pub arguments: Vec<OsString>,
    /// All of it.
    pub environment: Vec<(&'static str, OsString)>,
    pub folder: PathBuf,
}

/// What a program may take.
#[derive(Debug)]
pub(super) struct Bounds<'a> {
    /// Our own program, which keeps the others.
    pub keeper: &'a Path,
    pub file: u64,
    pub memory: u64,
    /// All that it sees of this machine, besides the system's programs.
    pub shown: Vec<Shown>,
    pub deadline: Deadline,
    pub watch: Option<Watch>,
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    after: Duration,
}

/// Something that grows beside a program, and how far it may.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// Folder whose files are counted; `None`: only the disk is looked at.
    pub folder: Option<PathBuf>,
    pub most: u64,
    pub disk: PathBuf,
    pub reserve: u64,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub code: i32,
    /// The end of what it said on its second output. Not fit to be shown.
    pub words: String,
}

impl Deadline {
    pub fn after(after: Duration) -> Self {
        Self { at: Instant::now() + after, after }
    }

    /// Ends some work when it is enough.
    pub async fn limit<T>(self, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        let done = tokio::time::timeout_at(self.at.into(), work).await;
        done.unwrap_or(Err(Cause::TimedOut(self.after)))
    }

    /// This one, or an earlier one.
    pub fn or_after(self, after: Duration) -> Self {
        let other = Self::after(after);
        if other.at < self.at { other } else { self }
    }
}

impl Program {
    /// Runs it to its end, and hands over what it prints as it comes.
    pub async fn run(
        self,
        bounds: Bounds<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<Ended, Cause> {
        let name = self.name;
        let mut running = Running::start(self, &bounds)?;
        let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
        let work = async {
            let (printed, words) = tokio::join!(hand_over(stdout, &mut take), last_words(stderr));
            printed?;
            let status = running.child.wait().await.map_err(|error| no_program(name, &error))?;
            Ok::<_, Cause>(Ended { code: status.code().unwrap_or(-1), words })
        };
        let ended = tokio::select! {
            ended = work => ended?,
            cause = exceeded(bounds.watch.as_ref()) => return Err(cause),
            () = tokio::time::sleep_until(bounds.deadline.at.into()) => {
                return Err(Cause::TimedOut(bounds.deadline.after));
            }
        };
        match u8::try_from(ended.code) {
            Ok(NOT_KEPT | NOT_STARTED) => Err(Cause::NoProgram { program: name, reason: line(&ended.words) }),
            _ => Ok(ended),
        }
    }

    /// Runs it, and gives how it ended and what it printed, at most so many bytes.
    pub async fn output(self, bounds: Bounds<'_>, most: usize) -> Result<(Ended, Vec<u8>), Cause> {
        let name = self.name;
        let mut printed = Vec::new();
        let ended = self
            .run(bounds, |part| {
                printed.extend_from_slice(part);
                match printed.len() > most {
                    true => Err(Cause::TooLarge(format!("{name} printed more than {most} bytes"))),
                    false => Ok(()),
                }
            })
            .await?;
        Ok((ended, printed))
    }
}

/// A keeper with its program. Dropped, both are ended, and waited for.
#[derive(Debug)]
struct Running {
    child: Child,
    /// Closed, it ends the program.
    lifeline: Option<ChildStdin>,
}

impl Running {
    fn start(program: Program, bounds: &Bounds<'_>) -> Result<Self, Cause> {
        let mut command = Command::new(bounds.keeper);
        command
            .arg0(Role::Keep.name())
            .args(keeper::arguments(bounds.file, bounds.memory, &bounds.shown))
            .arg(program.path)
            .args(program.arguments)
            .env_clear()
            .envs(program.environment)
            .current_dir(program.folder)
            // What a terminal sends to us is not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| no_program(program.name, &error))?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        drop(self.lifeline.take());
        // Whoever removes files next must not meet somebody who still writes some.
        blocking(|| {
            let deadline = Instant::now() + END;
            while matches!(self.child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    tracing::warn!("a Git program does not end and is killed");
                    let _ = self.child.start_kill();
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

/// Does something that takes a moment where other tasks may be waiting for this thread.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let has_others =
        Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_others { tokio::task::block_in_place(work) } else { work() }
}

fn no_program(program: &'static str, error: &std::io::Error) -> Cause {
    Cause::NoProgram { program, reason: error.to_string() }
}

async fn hand_over(
    out: Option<impl AsyncRead + Unpin>,
    take: &mut impl FnMut(&[u8]) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let Some(mut out) = out else { return Ok(()) };
    let mut part = vec![0; 32 * 1024];
    // An output that breaks has ended.
    while let Ok(count @ 1..) = out.read(&mut part).await {
        take(&part[..count])?;
    }
    Ok(())
}

async fn last_words(out: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut out) = out else { return String::new() };
    let mut words: Vec<u8> = Vec::new();
    let mut part = vec![0; 4096];
    while let Ok(count @ 1..) = out.read(&mut part).await {
        words.extend_from_slice(&part[..count]);
        if words.len() > 2 * MOST_WORDS {
            words.drain(..words.len() - MOST_WORDS);
        }
    }
    String::from_utf8_lossy(&words).into_owned()
}

/// Waits until something has grown too far.
async fn exceeded(watch: Option<&Watch>) -> Cause {
    let Some(watch) = watch else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        let watch = watch.clone();
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || watch.look()).await {
            return cause;
        }
    }
}

impl Watch {
    /// Whether everything is within its bounds.
    pub fn look(&self) -> Result<(), Cause> {
        let disk = rustix::fs::statvfs(&self.disk)
            .map_err(|error| Cause::storage("look at the disk of", &self.disk, error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve {
            let why = format!("{} MiB are free, and {} MiB stay so", free >> 20, self.reserve >> 20);
            return Err(Cause::DiskFull { folder: self.disk.clone(), why });
        }
        match self.folder.as_deref().map_or(0, size_of) > self.most {
            true => Err(Cause::TooLarge(format!("more than {} MiB came", self.most >> 20))),
            false => Ok(()),
        }
    }
}

/// Bytes of all files below a folder. What vanishes meanwhile counts nothing.
fn size_of(folder: &Path) -> u64 {
    let mut sum: u64 = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(data) = entry.metadata() else { continue };
        sum = sum.saturating_add(if data.is_dir() { size_of(&entry.path()) } else { data.len() });
    }
    sum
}
