//! Processes that die at the wrong moment.

use std::fs;
use std::time::{Duration, Instant};

use engine::{Engine, EngineError, LocalEngine, Status};
use model::FailureCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, DEADLINE, say};

/// The engine's process is killed: another one finds the containers running.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_opened_anew_finds_its_containers() {
    let Some(bench) = Bench::open() else { return };
    let running = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&running, "listening").await;
    let created = bench.spec(&["exit", "3"]);
    bench.engine.create(&created).await.unwrap();
    let ended = bench.spec(&["exit", "4"]);
    bench.run(&ended).await;

    let second = LocalEngine::open(bench.config.clone()).unwrap();
    assert_eq!(second.list().await.unwrap().len(), 3);
    assert_eq!(second.status(&running.id).await.unwrap(), Status::Running { address });
    assert_eq!(second.status(&created.id).await.unwrap(), Status::Created);
    assert!(matches!(second.status(&ended.id).await.unwrap(), Status::Exited(exit) if exit.code == 4));
    let third = second.start(&created.id).await.unwrap();
    assert_ne!(third, address);
    assert_eq!(second.wait(&created.id).await.unwrap().code, 3);
    second.stop(&running.id, DEADLINE).await.unwrap();
    assert_eq!(second.wait(&running.id).await.unwrap().code, 7);
    bench.finish().await;
}

/// Row P2: the container of a killed supervisor is ended, and it is said why.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_is_noticed() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let waiting = bench.engine.wait(&spec.id);
    let killing = async { kill(supervisor(&bench, &spec), Signal::SIGKILL).unwrap() };
    let (exit, ()) = tokio::join!(waiting, killing);
    let exit = exit.unwrap();
    assert_eq!((exit.code, exit.detail.as_deref()), (137, Some("its supervisor was killed")));
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Exited(exit));
    // It can be made and started again at once.
    bench.engine.create(&spec).await.unwrap();
    bench.engine.start(&spec.id).await.unwrap();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_a_dead_supervisor_is_removed() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    kill(supervisor(&bench, &spec), Signal::SIGKILL).unwrap();
    bench.engine.remove(&spec.id).await.unwrap();
    bench.finish().await;
}

/// One supervisor a container: it must cost next to nothing, and hold nothing of whoever started it. (An
/// unoptimized build has more pages of program, which all supervisors share.)
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_is_small_and_on_its_own() {
    let Some(bench) = Bench::open() else { return };
    let inherited = fs::File::create(bench.config.layers.join("inherited")).unwrap();
    nix::fcntl::fcntl(&inherited, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let process = format!("/proc/{}", supervisor(&bench, &spec));

    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    };
    say(&format!("supervisor: {} kB resident, {} kB its own", kilobytes("VmRSS:"), kilobytes("RssAnon:")));
    assert!(kilobytes("RssAnon:") < 512, "{status}");
    assert!(status.contains("\nThreads:\t1\n"), "{status}");

    assert_eq!(fs::read(format!("{process}/environ")).unwrap(), b"");
    assert_eq!(fs::read_link(format!("{process}/cwd")).unwrap().to_str(), Some("/"));
    let files = fs::read_dir(format!("{process}/fd")).unwrap();
    let files: Vec<_> = files.map(|file| fs::read_link(file.unwrap().path()).unwrap()).collect();
    assert!(!files.iter().any(|file| file.ends_with("inherited")), "{files:?}");
    // Standard ones, lock, socket, the container's first process, its two outputs, log file; not yet closed: the
    // connection of the question before.
    assert!(files.len() <= 10, "{files:?}");
    bench.finish().await;
}

/// The process that supervises: the only one that has the container's state folder as its last argument.
fn supervisor(bench: &Bench, spec: &engine::ContainerSpec) -> Pid {
    let folder = bench.run_folder(&spec.id);
    let folder = format!("{}\0", folder.to_str().unwrap());
    let is_it = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(folder.as_bytes()))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pid = processes.filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok()).find(is_it);
    Pid::from_raw(pid.expect("there is a supervisor"))
}

/// Row P1, steps S8 to S11: the engine's process is gone after every few milliseconds of creating; whatever is
/// there then can be made anew or removed by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn creating_can_be_interrupted_anywhere() {
    let Some(bench) = Bench::open() else { return };
    for step in 0..25 {
        let spec = bench.spec(&["exit", "5"]);
        // All that the engine is doing stops when its runtime goes, as it does when its process is killed.
        let first =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (config, whole) = (bench.config.clone(), spec.clone());
        first.spawn(async move { LocalEngine::open(config).unwrap().create(&whole).await });
        tokio::time::sleep(Duration::from_millis(step * 3)).await;
        first.shutdown_background();

        let second = LocalEngine::open(bench.config.clone()).unwrap();
        let status = second.status(&spec.id).await.unwrap();
        assert!(matches!(status, Status::Absent | Status::Created), "{status:?}");
        if step % 2 == 0 {
            second.create(&spec).await.unwrap();
            second.start(&spec.id).await.unwrap();
            assert_eq!(second.wait(&spec.id).await.unwrap().code, 5);
        }
        second.remove(&spec.id).await.unwrap();
        assert_eq!(second.status(&spec.id).await.unwrap(), Status::Absent);
    }
    bench.finish().await;
}

/// A change that nobody waits for any more still comes to its end before the next one begins.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_given_up_do_not_meet() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["exit", "5"]);
    for step in 0..10 {
        let patience = Duration::from_millis(step * 6);
        let _ = tokio::time::timeout(patience, bench.engine.create(&spec)).await;
        let _ = tokio::time::timeout(patience, bench.engine.remove(&spec.id)).await;
    }
    assert_eq!(bench.run(&spec).await.0, 5);
    bench.finish().await;
}

/// The supervisor is killed while it makes the container.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_dies_while_creating_fails_the_creation() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["exit", "5"]);
    let folder = bench.run_folder(&spec.id);
    let killing = async {
        let deadline = Instant::now() + DEADLINE;
        while !folder.join("shim.sock").exists() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _ = kill(supervisor(&bench, &spec), Signal::SIGKILL);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_runtime_is_named() {
    let Some(bench) = Bench::open() else { return };
    let mut config = bench.config.clone();
    config.runtime = Some("/nowhere/runc".into());
    let engine = LocalEngine::open(config).unwrap();
    let error = engine.create(&bench.spec(&["look"])).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/runc"), "{error}");
    bench.finish().await;
}
