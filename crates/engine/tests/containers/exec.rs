//! Commands inside a running container, as health probes run them.

use std::fs;
use std::time::{Duration, Instant};

use engine::{ContainerSpec, Engine, EngineError, ExecOutcome, LocalEngine};
use model::{ContainerId, DeploymentId, FailureCode};

use crate::bench::{Bench, DEADLINE, say};

async fn exec(bench: &Bench, spec: &ContainerSpec, words: &[&str]) -> Result<ExecOutcome, EngineError> {
    exec_within(bench, spec, words, DEADLINE).await
}

async fn exec_within(
    bench: &Bench,
    spec: &ContainerSpec,
    words: &[&str],
    limit: Duration,
) -> Result<ExecOutcome, EngineError> {
    let args: Vec<_> = ["/probe"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    bench.engine.exec(&spec.id, &args, limit).await
}

/// What runs inside, by the command's words.
async fn processes(bench: &Bench, spec: &ContainerSpec) -> Vec<String> {
    let outcome = exec(bench, spec, &["ps"]).await.unwrap();
    let mut lines: Vec<_> = outcome.output_tail.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

async fn until_alone(bench: &Bench, spec: &ContainerSpec) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = processes(bench, spec).await;
        if found == ["process /probe serve 0.0.0.0:8080"] {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// User, rights, environment, working folder, limits, namespaces and filter of system calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_what_the_containers_own_process_is() {
    let Some(bench) = Bench::open() else { return };
    for user in ["app", ""] {
        let mut spec = bench.spec(&["serve", "0.0.0.0:8080"]);
        spec.env.push(("SECRET".into(), "canary".into()));
        spec.user = user.into();
        spec.cwd = "/srv/data".into();
        bench.start_until(&spec, "listening").await;
        let mut own = bench.spec(&["look"]);
        own.env = spec.env.clone();
        own.user = spec.user.clone();
        own.cwd = spec.cwd.clone();
        let (_, own) = bench.run(&own).await;

        let outcome = exec(&bench, &spec, &["look"]).await.unwrap();
        assert_eq!(outcome.code, 0);
        let seen: Vec<_> = outcome.output_tail.lines().collect();
        for line in own.iter().filter(|line| !line.starts_with("pid ")) {
            assert!(seen.contains(&line.trim_end()), "{line:?} is missing in {seen:#?}");
        }
        assert!(seen.contains(&"env SECRET=canary") && seen.contains(&"Seccomp: 2"), "{seen:#?}");
        assert!(!seen.contains(&"pid 1"), "{seen:#?}");
        until_alone(&bench, &spec).await;
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_and_the_last_output_are_told() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    for code in [0, 1, 42, 255] {
        let outcome = exec(&bench, &spec, &["exit", &code.to_string()]).await.unwrap();
        assert_eq!(outcome, ExecOutcome { code, output_tail: format!("going with {code}") });
    }
    assert_eq!(exec(&bench, &spec, &["crash"]).await.unwrap().code, 134);
    let both = exec(&bench, &spec, &["both"]).await.unwrap().output_tail;
    assert!(both.contains("to stdout\n") && both.contains("to stderr\n"), "{both:?}");
    let long = exec(&bench, &spec, &["spam", "20000"]).await.unwrap().output_tail;
    assert!((3900..=4096).contains(&long.len()) && long.ends_with("019999"), "{}", long.len());
    // It is no output of the container's own.
    assert_eq!(bench.lines(&spec.id).await, ["listening on 0.0.0.0:8080"]);

    let args = ["/nowhere/program".to_owned()];
    let missing = bench.engine.exec(&spec.id, &args, DEADLINE).await.unwrap_err();
    assert_eq!(missing.code(), FailureCode::CommandNotFound, "{missing}");
    assert!(missing.to_string().contains("/nowhere/program") && missing.hint().is_some(), "{missing}");
    assert!(matches!(bench.engine.exec(&spec.id, &[], DEADLINE).await, Err(EngineError::Refused(_))));
    // An option of the runtime is none of the command.
    let option = bench.engine.exec(&spec.id, &["--privileged".to_owned()], DEADLINE).await.unwrap_err();
    assert_eq!(option.code(), FailureCode::CommandNotFound, "{option}");
    bench.finish().await;
}

/// Runs a command that never ends, with a limit long enough for it to begin on this machine at this moment.
async fn until_it_takes_too_long(bench: &Bench, spec: &ContainerSpec, words: &[&str]) {
    let mut limit = Duration::from_millis(500);
    loop {
        let begun = Instant::now();
        let outcome = exec_within(bench, spec, words, limit).await;
        let Err(EngineError::TookTooLong { limit: told, output_tail }) = outcome else {
            panic!("{words:?}: {outcome:?}")
        };
        assert_eq!(told, limit);
        assert!(begun.elapsed() >= limit && begun.elapsed() < limit + DEADLINE, "{:?}", begun.elapsed());
        if !output_tail.is_empty() {
            return;
        }
        assert!(limit < DEADLINE, "{words:?} did not begin");
        limit *= 2;
    }
}

/// A probe that hangs is ended with its children, and one that leaves a process behind does not fill the container.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_within_its_limit_and_leaves_nothing() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    for words in [&["hang", "3"][..], &["flood"], &["serve-forever", "127.0.0.1:1"]] {
        until_it_takes_too_long(&bench, &spec, words).await;
        until_alone(&bench, &spec).await;
    }
    // The runtime itself is cut short too.
    let error = exec_within(&bench, &spec, &["hang", "0"], Duration::ZERO).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::Timeout);
    assert_eq!(exec(&bench, &spec, &["leave", "sleep"]).await.unwrap().output_tail, "left");
    until_alone(&bench, &spec).await;
    bench.finish().await;
}

/// Nobody waits any more, or the engine's process was killed: the command is ended at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_waits_for_is_ended() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    for pause in [5, 30, 60, 120, 300] {
        let patience = Duration::from_millis(pause);
        let given_up =
            tokio::time::timeout(patience, exec_within(&bench, &spec, &["hang", "2"], DEADLINE)).await;
        assert!(given_up.is_err());
        until_alone(&bench, &spec).await;
    }
    // Another process of ours asks while the first one's command is still under way.
    let second = LocalEngine::open(bench.config.clone()).unwrap();
    let hanging = exec_within(&bench, &spec, &["hang", "0"], Duration::from_secs(3));
    let args = ["/probe".to_owned(), "exit".to_owned(), "4".to_owned()];
    let waiting = second.exec(&spec.id, &args, DEADLINE);
    let (first, second) = tokio::join!(hanging, waiting);
    assert!(matches!(first, Err(EngineError::TookTooLong { .. })));
    assert_eq!(second.unwrap().code, 4);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_runs_at_a_time_and_the_container_goes_on() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&spec, "listening").await;
    let begun = Instant::now();
    let all = (0..8).map(|code: i32| {
        let (bench, spec) = (&bench, &spec);
        async move { exec(bench, spec, &["exit", &code.to_string()]).await.unwrap().code }
    });
    let codes = futures_util::future::join_all(all).await;
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
    say(&format!("a command: {:?}", begun.elapsed() / 8));
    assert!(std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok());

    // One under way does not hold up the end.
    let hanging = exec(&bench, &spec, &["hang", "1"]);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.engine.stop(&spec.id, DEADLINE).await.unwrap();
    };
    let (ended, ()) = tokio::join!(hanging, stopping);
    // Which end is seen first, the container's or the command's, is a matter of luck.
    assert!(
        !matches!(ended, Ok(ExecOutcome { code: 0, .. }) | Err(EngineError::TookTooLong { .. })),
        "{ended:?}"
    );
    assert_eq!(bench.engine.wait(&spec.id).await.unwrap().code, 7);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_running_container_runs_commands() {
    let Some(bench) = Bench::open() else { return };
    let unknown = ContainerId::of(DeploymentId::new(), 0);
    let args = ["/probe".to_owned(), "look".to_owned()];
    assert!(matches!(bench.engine.exec(&unknown, &args, DEADLINE).await, Err(EngineError::Unknown(_))));
    let spec = bench.spec(&["exit", "3"]);
    bench.engine.create(&spec).await.unwrap();
    let error = bench.engine.exec(&spec.id, &args, DEADLINE).await.unwrap_err();
    assert!(error.to_string().contains("has not been started"), "{error}");
    bench.engine.start(&spec.id).await.unwrap();
    bench.engine.wait(&spec.id).await.unwrap();
    assert!(matches!(bench.engine.exec(&spec.id, &args, DEADLINE).await, Err(EngineError::Exited(_))));
    bench.finish().await;
}

/// A probe every few seconds for months: the supervisor holds no more after a hundred commands than before, those
/// included that were given up or cut short at any moment.
#[tokio::test(flavor = "multi_thread")]
async fn commands_leave_nothing_with_the_supervisor() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let supervisor = bench.supervisor(&spec.id).unwrap();
    let files = || fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    let children = || fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
    exec(&bench, &spec, &["exit", "0"]).await.unwrap();
    bench.until("the first command is forgotten", || files() <= 10).await;
    let before = (files(), children());
    for round in 0..30 {
        let limit = Duration::from_millis(round * 4);
        let _ = exec_within(&bench, &spec, &["exit", "0"], limit).await;
        let _ = tokio::time::timeout(limit, exec(&bench, &spec, &["exit", "0"])).await;
    }
    // The one after collects what the last one that was cut short has left.
    for _ in 0..2 {
        exec(&bench, &spec, &["exit", "0"]).await.unwrap();
    }
    bench.until("nothing is left", || (files(), children()) == before).await;
    until_alone(&bench, &spec).await;
    bench.finish().await;
}

/// No time is too long for the clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_may_be_for_ever() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    assert_eq!(exec_within(&bench, &spec, &["exit", "5"], Duration::MAX).await.unwrap().code, 5);
    bench.engine.stop(&spec.id, Duration::MAX).await.unwrap();
    assert_eq!(bench.engine.wait(&spec.id).await.unwrap().code, 7);
    bench.finish().await;
}
