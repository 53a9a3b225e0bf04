//! Words for what went wrong with a container: pure functions from what was seen to a [`Failure`].

use std::net::SocketAddr;

use engine::Exit;
use model::{Failure, FailureCode, Limits, Phase};

/// How many of the container's last lines a failure keeps.
pub const LOG_TAIL_LINES: usize = 20;

/// What was seen of a container that ended before it served.
#[derive(Debug)]
pub struct Ended<'a> {
    pub app: &'a str,
    pub port: u16,
    pub exit_code: i32,
    pub out_of_memory: bool,
    pub limits: Limits,
    pub log_tail: Vec<String>,
}

/// Why the container ended, as far as its exit code tells.
pub fn ended_early(phase: Phase, seen: Ended<'_>) -> Failure {
    let Ended { app, port, exit_code, .. } = seen;
    let (code, message, hint) = match exit_code {
        _ if seen.out_of_memory => (
            FailureCode::OutOfMemory,
            format!("The container of {app} was killed: out of memory at {} MB.", seen.limits.memory_mb),
            "Give the web process a larger size, or let the application use less memory.".to_owned(),
        ),
        126 | 127 => (
            FailureCode::CommandNotFound,
            format!(
                "The container of {app} ended with code {exit_code}: its start command could not be run."
            ),
            "Check the start command, and that the program is in the image and executable.".to_owned(),
        ),
        0 => (
            FailureCode::ExitedEarly,
            format!("The container of {app} ended with code 0 before it answered on port {port}."),
            "A web process must keep running in the foreground. Check the start command.".to_owned(),
        ),
        _ => (
            FailureCode::ExitedEarly,
            format!(
                "The container of {app} ended with {} before it answered on port {port}.",
                exit_words(exit_code)
            ),
            "Its last log lines say why; often a variable is missing or a service cannot be reached."
                .to_owned(),
        ),
    };
    Failure {
        during: phase,
        code,
        message,
        hint: Some(hint),
        exit_code: Some(exit_code),
        log_tail: seen.log_tail,
    }
}

/// An exit code in words: `code 3`, `signal 11 (code 139)`.
pub fn exit_words(exit_code: i32) -> String {
    match exit_code {
        129..=192 => format!("signal {} (code {exit_code})", exit_code - 128),
        _ => format!("code {exit_code}"),
    }
}

/// The end of a container that served, in words: `code 3`, `killed: out of memory at 512 MB`.
pub fn end_words(exit: &Exit, memory_mb: u32) -> String {
    match &exit.detail {
        _ if exit.out_of_memory => format!("killed: out of memory at {memory_mb} MB"),
        Some(detail) => format!("{}: {detail}", exit_words(exit.code)),
        None => exit_words(exit.code),
    }
}

/// What was seen of a container that runs and does not answer.
#[derive(Debug)]
pub struct Silent<'a> {
    pub app: &'a str,
    pub port: u16,
    /// Where it listens, from the kernel.
    pub listening: &'a [SocketAddr],
    /// What the last attempt gave, in words.
    pub last_attempt: &'a str,
    pub waited_seconds: u64,
    pub log_tail: Vec<String>,
}

/// Why nothing answered: the wrong address, the wrong port, nothing at all, or a wrong answer.
pub fn never_answered(seen: Silent<'_>) -> Failure {
    let Silent { app, port, listening, waited_seconds, .. } = seen;
    let on_port: Vec<_> = listening.iter().filter(|address| address.port() == port).collect();
    let reachable = |address: &SocketAddr| !address.ip().is_loopback();

    let (code, message, hint) = if on_port.iter().any(|address| reachable(address)) {
        (
            FailureCode::ProbeFailed,
            format!(
                "{app} listens on port {port} but was not healthy in {waited_seconds} s: {}.",
                seen.last_attempt
            ),
            "Check the health path and the application's log.".to_owned(),
        )
    } else if let Some(address) = on_port.first() {
        (
            FailureCode::PortNotListening,
            format!("{app} cannot be reached: it listens on {address}, not on 0.0.0.0."),
            format!("Let it listen on 0.0.0.0:{port}; 127.0.0.1 is only reachable inside its container."),
        )
    } else if let Some(address) = listening.iter().find(|address| reachable(address)) {
        let other = address.port();
        (
            FailureCode::PortNotListening,
            format!("{app} does not listen on port {port}; it listens on {other}."),
            format!("Set the port of the web process to {other}, or let the application listen on $PORT."),
        )
    } else if let Some(address) = listening.first() {
        (
            FailureCode::PortNotListening,
            format!("{app} cannot be reached: it listens on {address}, not on 0.0.0.0:{port}."),
            format!("Let it listen on 0.0.0.0:{port}, or on the port in the variable PORT."),
        )
    } else {
        (
            FailureCode::PortNotListening,
            format!(
                "{app} did not listen on port {port} within {waited_seconds} s; it listens on no port at all."
            ),
            "Check that the image is a web application, and its last log lines.".to_owned(),
        )
    };
    let hint = Some(hint);
    Failure { during: Phase::Health, code, message, hint, exit_code: None, log_tail: seen.log_tail }
}

/// A step that took longer than it may.
pub fn timed_out(phase: Phase, what: &str, limit_seconds: u64) -> Failure {
    let message = format!("{what} took longer than {limit_seconds} s and was given up.");
    Failure::new(
        phase,
        FailureCode::Timeout,
        message,
        Some("Try again; if it stays so, look at `darsena doctor`."),
    )
}

/// A fault of the platform itself. The cause is for the log; the person gets what was being done.
pub fn internal(phase: Phase, what: &str, cause: &dyn std::error::Error) -> Failure {
    let message = format!("{what} failed: {cause}.");
    Failure::new(
        phase,
        FailureCode::InternalError,
        message,
        Some("Run `darsena doctor` on the server, then try again."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(listening: &[&str]) -> Failure {
        let listening: Vec<_> = listening.iter().map(|address| address.parse().unwrap()).collect();
        never_answered(Silent {
            app: "web",
            port: 8080,
            listening: &listening,
            last_attempt: "GET /up answered 500",
            waited_seconds: 60,
            log_tail: Vec::new(),
        })
    }

    #[test]
    fn a_silent_container_is_told_where_it_listens() {
        for (listening, message) in [
            (&["127.0.0.1:8080"][..], "web cannot be reached: it listens on 127.0.0.1:8080, not on 0.0.0.0."),
            (
                &["127.0.0.1:3000"],
                "web cannot be reached: it listens on 127.0.0.1:3000, not on 0.0.0.0:8080.",
            ),
            (&["0.0.0.0:3000"], "web does not listen on port 8080; it listens on 3000."),
            (&["[::]:8080"], "web listens on port 8080 but was not healthy in 60 s: GET /up answered 500."),
            (&[], "web did not listen on port 8080 within 60 s; it listens on no port at all."),
        ] {
            assert_eq!(silent(listening).message, message);
        }
    }

    #[test]
    fn an_early_end_is_told_with_its_code() {
        let limits = Limits { memory_mb: 512, cpu_millis: 500, pids: 512 };
        let ended = |exit_code, out_of_memory| {
            let log_tail = vec!["boom".to_owned()];
            ended_early(
                Phase::Health,
                Ended { app: "web", port: 80, exit_code, out_of_memory, limits, log_tail },
            )
        };
        assert_eq!(
            ended(3, false).message,
            "The container of web ended with code 3 before it answered on port 80."
        );
        assert_eq!(ended(139, false).code, FailureCode::ExitedEarly);
        assert!(ended(139, false).message.contains("signal 11 (code 139)"));
        assert_eq!(ended(127, false).code, FailureCode::CommandNotFound);
        assert_eq!(ended(137, true).message, "The container of web was killed: out of memory at 512 MB.");
        assert_eq!(ended(3, false).log_tail, ["boom"]);
        let end = |code, out_of_memory, detail: Option<&str>| {
            let (at, detail) = (model::Timestamp::now(), detail.map(str::to_owned));
            end_words(&Exit { code, out_of_memory, at, detail }, 512)
        };
        assert_eq!(end(137, true, Some("x")), "killed: out of memory at 512 MB");
        assert_eq!(end(3, false, None), "code 3");
        let words = end(137, false, Some("its supervisor was killed"));
        assert_eq!(words, "signal 9 (code 137): its supervisor was killed");
    }
}
