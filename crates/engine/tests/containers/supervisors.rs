//! Supervisors that are killed, stopped or lose their folder. A supervisor is part of what holds its container:
//! without it nobody reads the output and nobody sees the end, so its container is ended, and made anew.

use std::fs;
use std::time::{Duration, Instant};

use engine::{ContainerSpec, Engine, EngineError, Status};
use model::FailureCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, DEADLINE, rounds, say};

fn kill_supervisor(bench: &Bench, spec: &ContainerSpec) {
    kill(bench.supervisor(&spec.id).expect("there is a supervisor"), Signal::SIGKILL).unwrap();
}

/// Row P2: the end is told at once and with its cause, and the container can be made and started again at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_container_of_a_killed_supervisor_is_ended_and_it_is_said_why() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let processes = bench.processes(&spec.id);
    // All who wait are told the same.
    let waiting = futures_util::future::join_all((0..5).map(|_| bench.engine.wait(&spec.id)));
    let killing = async {
        kill_supervisor(&bench, &spec);
        Instant::now()
    };
    let (exits, killed_at) = tokio::join!(waiting, killing);
    say(&format!("the end was told after {:?}", killed_at.elapsed()));
    let exit = exits[0].as_ref().unwrap().clone();
    assert_eq!((exit.code, exit.detail.as_deref()), (137, Some("its supervisor was killed")));
    assert!(exits.into_iter().all(|other| other.unwrap() == exit));
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Exited(exit));
    bench
        .until("its processes are gone", || {
            !processes.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap())
        })
        .await;
    bench.until("its interface is gone", || bench.interfaces().is_empty()).await;

    bench.start_until(&spec, "listening").await;
    say(&format!("it ran again after {:?}", killed_at.elapsed()));
    bench.finish().await;
}

/// While nobody waits: whoever comes first finds out, and `remove` needs no other call before it.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_copes_with_a_killed_supervisor() {
    let Some(bench) = Bench::open() else { return };
    for call in ["status", "stop", "start", "exec", "create", "remove"] {
        let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
        bench.start_until(&spec, "listening").await;
        kill_supervisor(&bench, &spec);
        let (engine, id) = (&bench.engine, &spec.id);
        match call {
            "status" => {
                assert!(matches!(engine.status(id).await.unwrap(), Status::Exited(exit) if exit.code == 137))
            }
            "stop" => {
                engine.stop(id, DEADLINE).await.unwrap();
                assert_eq!(bench.processes(id), Vec::<i32>::new());
            }
            "start" => {
                assert!(matches!(engine.start(id).await, Err(EngineError::Exited(exit)) if exit.code == 137))
            }
            "exec" => {
                let ended = engine.exec(id, &["/probe".to_owned(), "ps".to_owned()], DEADLINE).await;
                assert!(matches!(ended, Err(EngineError::Exited(exit)) if exit.code == 137));
            }
            "create" => {
                engine.create(&spec).await.unwrap();
                assert_eq!(engine.status(id).await.unwrap(), Status::Created);
            }
            _ => {}
        }
        engine.remove(id).await.unwrap();
        bench.assert_gone(id).await;
    }
    bench.finish().await;
}

/// Waiting for a container, and asking for it, meet one who makes it anew: none of them may end the new one.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_notices_a_killed_supervisor_late_does_not_end_the_next_container() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    for _ in 0..5 {
        bench.start_until(&spec, "listening").await;
        kill_supervisor(&bench, &spec);
        let looking = futures_util::future::join_all((0..6).map(|_| bench.engine.status(&spec.id)));
        let again = async {
            bench.engine.create(&spec).await.unwrap();
            bench.engine.start(&spec.id).await
        };
        let (_, again) = tokio::join!(looking, again);
        let address = again.unwrap();
        assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Running { address });
        bench.engine.remove(&spec.id).await.unwrap();
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_supervisors_are_killed_at_once() {
    let Some(bench) = Bench::open() else { return };
    let specs: Vec<_> = (0..6).map(|_| bench.spec(&["serve-forever", "0.0.0.0:8080"])).collect();
    for spec in &specs {
        bench.start_until(spec, "listening").await;
    }
    let waiting = futures_util::future::join_all(specs.iter().map(|spec| bench.engine.wait(&spec.id)));
    let killing = async { specs.iter().for_each(|spec| kill_supervisor(&bench, spec)) };
    let (exits, ()) = tokio::join!(waiting, killing);
    assert!(
        exits.into_iter().all(|exit| exit.unwrap().detail.as_deref() == Some("its supervisor was killed"))
    );
    for spec in &specs {
        bench.engine.create(spec).await.unwrap();
        bench.engine.start(&spec.id).await.unwrap();
    }
    specs.iter().for_each(|spec| kill_supervisor(&bench, spec));
    for spec in &specs {
        bench.engine.remove(&spec.id).await.unwrap();
        bench.assert_gone(&spec.id).await;
    }
    bench.until("their interfaces are gone", || bench.interfaces().is_empty()).await;
    bench.finish().await;
}

#[derive(Clone, Copy)]
enum Victim {
    Supervisor,
    Runtime,
}

/// Kills one process so long after the beginning of a call; afterwards nothing may be left.
async fn kill_in_the_middle(bench: &Bench, victim: Victim, call: usize, after: Duration) {
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    let (engine, id) = (&bench.engine, &spec.id);
    if call > 0 {
        engine.create(&spec).await.unwrap();
    }
    if call > 1 {
        engine.start(id).await.unwrap();
    }
    let work = async {
        let outcome = match call {
            0 => engine.create(&spec).await,
            1 => engine.start(id).await.map(|_| ()),
            2 => engine.stop(id, DEADLINE).await,
            3 => engine.exec(id, &["/probe".to_owned(), "ps".to_owned()], DEADLINE).await.map(|_| ()),
            _ => engine.remove(id).await,
        };
        // Leftovers would be a failure: only what was not there to be done may fail.
        if let Err(error) = &outcome {
            assert!(
                !matches!(error, EngineError::Leftovers(_) | EngineError::Refused(_)),
                "{call} {after:?}: {error}"
            );
        }
    };
    let killing = async {
        tokio::time::sleep(after).await;
        let found = match victim {
            Victim::Supervisor => bench.supervisor(id),
            Victim::Runtime => bench.runtime_of(id),
        };
        if let Some(victim) = found {
            let _ = kill(victim, Signal::SIGKILL);
        }
    };
    tokio::join!(work, killing);
    tokio::time::timeout(DEADLINE, engine.status(id)).await.expect("an answer").unwrap();
    engine.remove(id).await.unwrap_or_else(|error| panic!("{call} {after:?}: {error}"));
    bench.assert_gone(id).await;
}

async fn kill_in_the_middle_often(victim: Victim, rounds: u32) {
    let Some(bench) = Bench::open() else { return };
    for round in 0..rounds {
        // Every call is cut at moments that spread over its length and a little beyond.
        let after = Duration::from_micros(90_000) * (round / 5) / (rounds / 5).max(1);
        kill_in_the_middle(&bench, victim, round as usize % 5, after).await;
    }
    assert_eq!(bench.engine.list().await.unwrap(), []);
    bench.until("their interfaces are gone", || bench.interfaces().is_empty()).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_can_be_killed_at_any_moment() {
    kill_in_the_middle_often(Victim::Supervisor, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_can_be_killed_at_any_moment() {
    kill_in_the_middle_often(Victim::Runtime, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; run by `make soak`"]
async fn soak_a_supervisor_can_be_killed_at_any_moment() {
    kill_in_the_middle_often(Victim::Supervisor, rounds(1000)).await;
    kill_in_the_middle_often(Victim::Runtime, rounds(500)).await;
}

/// Whatever the runtime had begun when it was killed is ended, also when nobody was told of it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_the_runtime_that_starts_it_is_killed() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&spec, "listening").await;
    let own = bench.processes(&spec.id);
    let args = ["/probe", "hang", "1"].map(str::to_owned);
    for round in 0..15 {
        let running = bench.engine.exec(&spec.id, &args, Duration::from_secs(1));
        let killing = async {
            loop {
                if let Some(runtime) = bench.runtime_of(&spec.id) {
                    tokio::time::sleep(Duration::from_millis(round * 3)).await;
                    let _ = kill(runtime, Signal::SIGKILL);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = running => outcome,
            never = killing => never,
        };
        assert!(outcome.is_err(), "{outcome:?}");
        bench.until("it is ended", || bench.processes(&spec.id) == own).await;
    }
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Running { address });
    bench.finish().await;
}

/// As early as it can be seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_dies_while_creating_fails_the_creation() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["exit", "5"]);
    let folder = bench.run_folder(&spec.id);
    let killing = async {
        bench.until("the supervisor listens", || folder.join("shim.sock").exists()).await;
        if let Some(supervisor) = bench.supervisor(&spec.id) {
            let _ = kill(supervisor, Signal::SIGKILL);
        }
    };
    let (created, ()) = tokio::join!(bench.engine.create(&spec), killing);
    match created {
        Err(error @ EngineError::Host { .. }) => {
            assert_eq!(error.code(), FailureCode::InternalError);
            assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Absent);
        }
        // It was quicker than the signal.
        Ok(()) => {}
        Err(other) => panic!("{other:?}"),
    }
    bench.finish().await;
}

/// Row P7: a supervisor that stands still reads nothing, so the application would stand still once the pipe is
/// full. Whoever waits for the container wakes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_supervisor_is_woken() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["spam", "50000"]);
    bench.engine.create(&spec).await.unwrap();
    bench.engine.start(&spec.id).await.unwrap();
    let supervisor = bench.supervisor(&spec.id).unwrap();
    kill(supervisor, Signal::SIGSTOP).unwrap();
    let exit =
        tokio::time::timeout(DEADLINE, bench.engine.wait(&spec.id)).await.expect("it is woken").unwrap();
    assert_eq!(exit.code, 0);
    assert!(bench.lines(&spec.id).await.last().unwrap().ends_with("049999"));

    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    kill(bench.supervisor(&spec.id).unwrap(), Signal::SIGSTOP).unwrap();
    bench.engine.stop(&spec.id, Duration::from_millis(50)).await.unwrap();
    assert_eq!(bench.engine.wait(&spec.id).await.unwrap().code, 137);
    bench.finish().await;
}

/// Somebody deletes the run folder while its container runs. The next one of that name is safe from the old one's
/// supervisor, which ends a moment later and would clean up.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_lost_its_folder_does_not_end_the_next_container() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let mut old = bench.processes(&spec.id);
    old.push(bench.supervisor(&spec.id).unwrap().as_raw());
    fs::rename(bench.run_folder(&spec.id), bench.config.run.join("moved-away")).unwrap();
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Absent);
    let address = bench.start_until(&spec, "listening").await;
    bench
        .until("the old one is gone", || !old.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap()))
        .await;
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Running { address });
    assert_eq!(bench.processes(&spec.id).len(), 1);
    fs::remove_dir_all(bench.config.run.join("moved-away")).unwrap();
    bench.finish().await;
}

/// `killall darsena`, or the service manager of a machine that shuts down: the application's own signal ends it, and
/// its supervisor sees how.
#[tokio::test(flavor = "multi_thread")]
async fn signals_for_the_platform_do_not_end_a_supervisor() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&spec, "listening").await;
    let supervisor = bench.supervisor(&spec.id).unwrap();
    let signals =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
    for signal in signals {
        kill(supervisor, signal).unwrap();
        assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Running { address });
    }
    assert_eq!(bench.supervisor(&spec.id), Some(supervisor));
    let args = ["/probe", "look"].map(str::to_owned);
    let beside = bench.engine.exec(&spec.id, &args, DEADLINE).await.unwrap().output_tail;
    assert!(beside.contains("SigBlk: 0000000000000000"), "{beside}");
    for pid in bench.processes(&spec.id) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    }
    assert_eq!(bench.engine.wait(&spec.id).await.unwrap().code, 7);
    bench.finish().await;
}

/// A platform that was started with `nohup` ignores SIGHUP; its applications must not.
#[tokio::test(flavor = "multi_thread")]
async fn signals_that_the_platform_ignores_reach_applications() {
    let Some(bench) = Bench::open() else { return };
    #[expect(unsafe_code, reason = "the safe interfaces cannot ignore a signal")]
    // SAFETY: no handler is installed, and no other test cares for this signal.
    unsafe {
        nix::sys::signal::signal(Signal::SIGHUP, nix::sys::signal::SigHandler::SigIgn).unwrap();
    }
    let (_, lines) = bench.run(&bench.spec(&["look"])).await;
    let ignored = lines.iter().find_map(|line| line.strip_prefix("SigIgn: ")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 0, "{ignored}");
    bench.finish().await;
}
