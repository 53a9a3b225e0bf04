//! Why a build ended, in words.

use std::time::Duration;

use model::{Failure, FailureCode, Phase};

use super::Config;
use super::output::{Output, says_full};
use crate::dockerfile::Invalid;

/// What a build ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Memory,
    Time,
    /// Of its volume.
    Disk,
    Processes,
    /// Of the host, which is to keep a reserve.
    HostDisk,
}

pub(super) fn internal(message: String) -> Failure {
    Failure::new(Phase::Build, FailureCode::InternalError, message, None)
}

/// This machine cannot build.
pub(super) fn broken(message: String) -> Failure {
    let hint = "Run darsena doctor on this machine; it says what building needs and how to get it.";
    Failure::new(Phase::Build, FailureCode::BuilderMissing, message, Some(hint))
}

pub(super) fn invalid(name: &str, invalid: &Invalid) -> Failure {
    let message = format!("In {name}, line {}: {}.", invalid.line, invalid.reason);
    Failure::new(Phase::Build, FailureCode::DockerfileInvalid, message, None)
}

/// How the builder ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause<'a> {
    /// The exit code of the step's program, 128 + n for signal n; `None` where the builder itself could not go on.
    pub exit: Option<i32>,
    /// What the builder says.
    why: &'a str,
}

impl<'a> Cause<'a> {
    /// From the builder's last words: `building at STEP "COPY a b": why`.
    pub fn of(complaint: Option<&'a str>) -> Self {
        let complaint = complaint.unwrap_or_default();
        let why = match complaint.split_once("\": ") {
            Some((start, why)) if start.starts_with("building at STEP") => why,
            _ => complaint,
        };
        let mountpoints = why.strip_prefix("resolving mountpoints for container ");
        let why = mountpoints.and_then(|why| why.split_once(": ")).map_or(why, |(_, why)| why);
        let exit = why.rsplit_once("exit status ").and_then(|(_, code)| code.trim().parse::<i32>().ok());
        Self { exit, why }
    }

    /// Whether the builder itself found no room to write to.
    pub fn is_full(&self) -> bool {
        self.exit.is_none() && says_full(self.why)
    }

    /// Whether somebody ended the step's program, or the builder, which gave `code`.
    pub fn is_killed(&self, code: i32) -> bool {
        const KILLED: i32 = 128 + 9;
        self.exit.unwrap_or(code) == KILLED || self.why.ends_with("signal: killed")
    }
}

/// A step of the Dockerfile failed. `out_of_memory`: some process was ended because memory ran out.
pub(super) fn failed(name: &str, code: i32, output: &Output, out_of_memory: bool) -> Failure {
    let Cause { exit, why } = Cause::of(output.complaint.as_deref());
    let (how, why) = match exit {
        Some(code) => (format!(" with exit code {code}"), String::new()),
        None if why.is_empty() => (String::new(), format!(": the builder ended with exit code {code}")),
        None => (
            String::new(),
            format!(": {}", copied(why).unwrap_or(why.replace("\"/context\"", "the context"))),
        ),
    };
    let message = match output.current() {
        Some((number, of, step)) => {
            let text = output.shown(&shortened(&step.text));
            format!("Step {number} of {of} failed{how}: {text} ({name}, line {}){why}.", step.line)
        }
        None => format!("The build failed{how}{why}."),
    };
    let hint = match exit {
        _ if out_of_memory => {
            "Memory ran out during the build and a process was ended for it, which may be why: let it use less memory \
             at a time, for example fewer parallel jobs. If the last lines of the step name another reason, mend that."
        }
        Some(_) => {
            "The last lines of the step say why. Mend the Dockerfile or the repository and deploy again."
        }
        None => "Mend the Dockerfile or the repository and deploy again.",
    };
    let mut failure = Failure::new(Phase::Build, FailureCode::BuildFailed, message, Some(hint));
    (failure.exit_code, failure.log_tail) = (exit, output.tail());
    failure
}

/// What cannot be copied, in words: the builder's own are a page of its inner state.
fn copied(why: &str) -> Option<String> {
    let (name, rest) = why.strip_prefix("reading \"/context/")?.split_once("\": ")?;
    let words = format!("{name:?} leads to something that is not in the context");
    rest.contains("copier").then_some(words)
}

/// The build wanted more than it may have.
pub(super) fn too_large(name: &str, limit: Limit, config: &Config, output: Option<&Output>) -> Failure {
    let during = match output.and_then(Output::current) {
        Some((number, of, step)) => format!(" during step {number} of {of} ({name}, line {})", step.line),
        None => String::new(),
    };
    let limits = &config.limits;
    let room = format!(
        "Free some space on this machine and deploy again. {} is on that disk; what was kept in there for other builds \
         was thrown away already.",
        config.folder.display()
    );
    let (code, message, hint) = match limit {
        Limit::Memory => (
            FailureCode::BuildTooLarge,
            format!("The build ran out of memory{during}."),
            "Let the step use less memory at a time, for example fewer parallel jobs.",
        ),
        Limit::Time => (
            FailureCode::BuildTooLarge,
            format!("The build took longer than {}{during} and was ended.", minutes(limits.time)),
            "Look for a step that waits for something, and order the steps so that the cache helps.",
        ),
        Limit::Disk => (
            FailureCode::BuildTooLarge,
            format!("The build needs more disk than the {} that it may have{during}.", bytes(limits.disk)),
            "Leave out what the build does not need, with .dockerignore and by removing files in the same RUN.",
        ),
        Limit::Processes => (
            FailureCode::BuildTooLarge,
            format!("The build wanted more processes at a time than it may have{during}."),
            "Let the step run fewer jobs at a time.",
        ),
        Limit::HostDisk => (
            FailureCode::DiskFull,
            format!(
                "The disk of this machine is nearly full{during}; {} are kept free.",
                bytes(limits.reserve)
            ),
            room.as_str(),
        ),
    };
    let mut failure = Failure::new(Phase::Build, code, message, Some(hint));
    failure.log_tail = output.map(Output::tail).unwrap_or_default();
    failure
}

fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 60 == 0 && seconds > 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes >= 1 << 10 && mebibytes % (1 << 10) == 0 => format!("{} GiB", mebibytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_the_context_is_told_without_the_builders_inner_state() {
        let words = Some("\"a/secret\" leads to something that is not in the context".to_owned());
        for rest in [
            "error during bulk transfer for copier.request{Request:\"GET\"}: copier: get: lstat \"/secret\"(\"/etc/x\"): no",
            "error encoding request for copier subprocess: write |1: broken pipe",
        ] {
            assert_eq!(copied(&format!("reading \"/context/a/secret\": {rest}")), words);
        }
        assert_eq!(copied("no items matching glob \"/context/x\" copied"), None);
    }

    #[test]
    fn the_builders_last_words_are_understood() {
        let run = "building at STEP \"RUN a\": while running runtime: exit status 3";
        let cause = Cause::of(Some(run));
        assert_eq!((cause.exit, cause.is_full(), cause.is_killed(125)), (Some(3), false, false));
        let copy = "building at STEP \"COPY a b\": storing: write /b: no space left on device";
        let cause = Cause::of(Some(copy));
        assert_eq!((cause.exit, cause.is_full()), (None, true));
        let printed = "building at STEP \"RUN a\": no space left on device: exit status 1";
        assert!(!Cause::of(Some(printed)).is_full());
    }

    #[test]
    fn what_was_killed_is_told_from_what_failed() {
        for (words, code) in [
            (Some("building at STEP \"RUN a\": while running runtime: exit status 137"), 125),
            (Some("building at STEP \"RUN a\": while running runtime: signal: killed"), 125),
            (None, 137),
        ] {
            assert!(Cause::of(words).is_killed(code), "{words:?}");
        }
        assert!(
            !Cause::of(Some("building at STEP \"RUN a\": while running runtime: exit status 2")).is_killed(2)
        );
    }
}
