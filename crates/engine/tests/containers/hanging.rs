//! An OCI runtime that hangs: every call of it has an end, and it never outlives the supervisor that called it.

use std::time::{Duration, Instant};

use engine::{Engine, EngineError, LocalEngine, Status};
use nix::sys::signal::{Signal, kill};

use crate::bench::{Bench, DEADLINE, copy_program, probe, say};

/// An engine whose runtime hangs at this word of its command line.
fn hangs_at(bench: &Bench, verb: &str) -> LocalEngine {
    let runtime = bench.config.layers.join(format!("hangs-at-{verb}"));
    copy_program(probe(), &runtime);
    let mut config = bench.config.clone();
    config.runtime = Some(runtime);
    LocalEngine::open(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_in_time_though_the_runtime_hangs() {
    let Some(bench) = Bench::open() else { return };
    let engine = hangs_at(&bench, "exec");
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    engine.create(&spec).await.unwrap();
    engine.start(&spec.id).await.unwrap();
    let args = ["/probe".to_owned(), "ps".to_owned()];
    for _ in 0..2 {
        let late = engine.exec(&spec.id, &args, Duration::from_millis(300)).await;
        assert!(matches!(late, Err(EngineError::TookTooLong { .. })), "{late:?}");
    }
    // The supervisor alone is left of what was started with a path of this container.
    bench.until("the runtime is gone", || bench.processes_naming(&bench.run_folder(&spec.id)) == 1).await;
    // A supervisor that is killed takes the runtime along.
    let hanging = engine.exec(&spec.id, &args, DEADLINE);
    let killing = async {
        bench.until("the runtime runs", || bench.processes_naming(&bench.run_folder(&spec.id)) == 2).await;
        kill(bench.supervisor(&spec.id).unwrap(), Signal::SIGKILL).unwrap();
    };
    let (ended, ()) = tokio::join!(hanging, killing);
    assert!(matches!(ended, Err(EngineError::Exited(_))), "{ended:?}");
    engine.remove(&spec.id).await.unwrap();
    bench.assert_gone(&spec.id).await;
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_takes_a_hanging_runtime_along() {
    let Some(bench) = Bench::open() else { return };
    for verb in ["create", "start"] {
        let engine = hangs_at(&bench, verb);
        let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
        let starting = async {
            engine.create(&spec).await?;
            engine.start(&spec.id).await.map(|_| ())
        };
        let killing = async {
            let runtime = bench.config.layers.join(format!("hangs-at-{verb}"));
            bench.until("the runtime hangs", || bench.processes_running(&runtime, verb) == 1).await;
            kill(bench.supervisor(&spec.id).unwrap(), Signal::SIGKILL).unwrap();
        };
        let (started, ()) = tokio::join!(starting, killing);
        assert!(started.is_err());
        engine.remove(&spec.id).await.unwrap();
        bench.assert_gone(&spec.id).await;
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; run by `make soak`"]
async fn soak_a_hanging_runtime_is_given_up() {
    let Some(bench) = Bench::open() else { return };
    for verb in ["start", "delete", "create"] {
        let engine = hangs_at(&bench, verb);
        let spec = bench.spec(&["exit", "3"]);
        let begun = Instant::now();
        let created = engine.create(&spec).await;
        let started = engine.start(&spec.id).await;
        match verb {
            "create" => assert!(created.unwrap_err().to_string().contains("did not end within 50 s")),
            "start" => assert!(started.unwrap_err().to_string().contains("did not end within 15 s")),
            // It has ended all the same, and that is told before anything is cleaned up.
            _ => assert_eq!(engine.wait(&spec.id).await.unwrap().code, 3),
        }
        say(&format!("hanging at {verb}: {:?}", begun.elapsed()));
        engine.remove(&spec.id).await.unwrap();
        assert_eq!(engine.status(&spec.id).await.unwrap(), Status::Absent);
        bench.assert_gone(&spec.id).await;
    }
    bench.finish().await;
}
