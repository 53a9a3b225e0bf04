//! The engine's process dies at the wrong moment.

use std::fs;
use std::time::Duration;

use engine::{Engine, LocalEngine, Status};
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

/// Row P3: everything of the platform is gone but applications and their supervisors, which hold them. What is
/// printed meanwhile is kept, an end is seen, and the next engine starts nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_no_engine_is_there_is_kept() {
    let Some(bench) = Bench::open() else { return };
    let (ticking, serving) = (bench.spec(&["tick"]), bench.spec(&["serve", "0.0.0.0:8080"]));
    bench.start_until(&ticking, "tick 1").await;
    bench.start_until(&serving, "listening").await;
    let first_process = |spec: &engine::ContainerSpec| -> i32 {
        fs::read_to_string(bench.run_folder(&spec.id).join("pid")).unwrap().trim().parse().unwrap()
    };
    let pids = [first_process(&ticking), first_process(&serving)];
    kill(Pid::from_raw(pids[1]), Signal::SIGTERM).unwrap();
    // The supervisor alone sees this end.
    let exit = bench.run_folder(&serving.id).join("exit.json");
    bench.until("the end is written down", || exit.exists()).await;

    let second = LocalEngine::open(bench.config.clone()).unwrap();
    assert_eq!(second.wait(&serving.id).await.unwrap().code, 7);
    let count = async || bench.lines(&ticking.id).await.len();
    let before = count().await;
    let address = second.start(&ticking.id).await.unwrap();
    assert_eq!(second.status(&ticking.id).await.unwrap(), Status::Running { address });
    assert_eq!(first_process(&ticking), pids[0]);
    let deadline = std::time::Instant::now() + DEADLINE;
    while count().await < before + 10 {
        assert!(std::time::Instant::now() < deadline, "the log does not go on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lines = bench.lines(&ticking.id).await;
    let numbers: Vec<_> = lines.iter().map(|line| line["tick ".len()..].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (0..lines.len()).collect::<Vec<_>>(), "no line is missing or came twice");
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
    let process = format!("/proc/{}", bench.supervisor(&spec.id).unwrap());

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
    // Standard ones, lock, socket, the container's first process, its two outputs, log file, the bell of its memory; not
    // yet closed: the connection of the question before.
    assert!(files.len() <= 11, "{files:?}");
    bench.finish().await;
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
