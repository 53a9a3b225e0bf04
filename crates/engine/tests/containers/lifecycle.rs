//! From spec to process and away again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use engine::{Engine, EngineError, Status};
use model::image::DirFix;
use model::{ContainerId, DeploymentId, FailureCode};

use crate::bench::{Bench, DEADLINE, say};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_what_its_spec_says() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["look"]);
    spec.env.push(("GREETING".into(), "two words".into()));
    spec.user = "app".into();
    spec.cwd = "/srv/data".into();
    let begun = Instant::now();
    bench.engine.create(&spec).await.unwrap();
    let created = begun.elapsed();
    bench.engine.create(&spec).await.unwrap();
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Created);
    let begun = Instant::now();
    bench.engine.start(&spec.id).await.unwrap();
    say(&format!("create {created:?}, start {:?}", begun.elapsed()));
    let exit = bench.engine.wait(&spec.id).await.unwrap();
    assert_eq!((exit.code, exit.out_of_memory, exit.detail), (0, false, None));

    let lines = bench.lines(&spec.id).await;
    let expected = [
        "Uid: 1000 1000 1000 1000",
        "Gid: 1001 1001 1001 1001",
        "Groups: 2000",
        "env PORT=8080",
        "env GREETING=two words",
        "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "env HOSTNAME=web",
        "env HOME=/home/app",
        "cwd /srv/data",
        "hostname web",
        "pid 1",
        "Max core file size 0 0 bytes",
        "Max locked memory 65536 65536 bytes",
        "oom_score_adj 500",
        "SigBlk: 0000000000000000",
        "fds [0, 1, 2, 3]",
    ];
    for line in expected {
        assert!(lines.iter().any(|found| found == line), "{line:?} is missing in {lines:#?}");
    }
    // Nothing of this process's own environment.
    assert_eq!(lines.iter().filter(|line| line.starts_with("env ")).count(), 5, "{lines:#?}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_can_be_repeated_and_an_unknown_container_is_told() {
    let Some(bench) = Bench::open() else { return };
    let engine = &bench.engine;
    let unknown = ContainerId::of(DeploymentId::new(), 0);
    assert_eq!(engine.status(&unknown).await.unwrap(), Status::Absent);
    engine.stop(&unknown, DEADLINE).await.unwrap();
    engine.remove(&unknown).await.unwrap();
    assert!(matches!(engine.start(&unknown).await, Err(EngineError::Unknown(_))));
    assert!(matches!(engine.wait(&unknown).await, Err(EngineError::Unknown(_))));
    assert_eq!(engine.listening(&unknown).await.unwrap(), []);

    let spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&spec, "listening").await;
    assert_eq!(engine.start(&spec.id).await.unwrap(), address);
    engine.create(&spec).await.unwrap();
    assert_eq!(engine.status(&spec.id).await.unwrap(), Status::Running { address });
    assert_eq!(engine.list().await.unwrap(), std::slice::from_ref(&spec.id));

    engine.stop(&spec.id, DEADLINE).await.unwrap();
    let exit = engine.wait(&spec.id).await.unwrap();
    assert_eq!(exit.code, 7, "its own handler of SIGTERM");
    assert_eq!(engine.status(&spec.id).await.unwrap(), Status::Exited(exit.clone()));
    engine.stop(&spec.id, DEADLINE).await.unwrap();
    match engine.start(&spec.id).await {
        Err(error @ EngineError::Exited(_)) => assert_eq!(error.code(), FailureCode::ExitedEarly),
        other => panic!("{other:?}"),
    }
    // Made anew, it has a fresh file system and its old logs.
    engine.create(&spec).await.unwrap();
    assert_eq!(engine.status(&spec.id).await.unwrap(), Status::Created);
    assert!(bench.lines(&spec.id).await[0].starts_with("listening"));

    engine.remove(&spec.id).await.unwrap();
    engine.remove(&spec.id).await.unwrap();
    assert_eq!(engine.status(&spec.id).await.unwrap(), Status::Absent);
    assert_eq!(engine.list().await.unwrap(), []);
    assert!(!bench.run_folder(&spec.id).exists() && !bench.data_folder(&spec.id).exists());
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_told() {
    let Some(bench) = Bench::open() else { return };
    let specs = [0, 1, 42, 255].map(|code: i32| (code, bench.spec(&["exit", &code.to_string()])));
    for (code, spec) in &specs {
        assert_eq!(bench.run(spec).await, (*code, vec![format!("going with {code}")]));
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_process_that_ignores_the_stop_signal_is_killed() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let begun = Instant::now();
    bench.engine.stop(&spec.id, Duration::from_millis(300)).await.unwrap();
    assert!(
        begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < DEADLINE,
        "{:?}",
        begun.elapsed()
    );
    let exit = bench.engine.wait(&spec.id).await.unwrap();
    assert_eq!(exit.code, 137);
    assert!(exit.detail.unwrap().contains("had not ended 300 ms after the stop signal"));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_can_only_shorten_the_wait() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["serve-forever", "0.0.0.0:8080"]);
    bench.start_until(&spec, "listening").await;
    let begun = Instant::now();
    let long = bench.engine.stop(&spec.id, Duration::from_secs(600));
    let short = async {
        bench.engine.stop(&spec.id, Duration::from_millis(100)).await.unwrap();
    };
    let (long, ()) = tokio::join!(long, short);
    long.unwrap();
    assert!(begun.elapsed() < DEADLINE);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_never_started_is_stopped_and_removed() {
    let Some(bench) = Bench::open() else { return };
    let spec = bench.spec(&["exit", "0"]);
    bench.engine.create(&spec).await.unwrap();
    bench.engine.stop(&spec.id, DEADLINE).await.unwrap();
    assert_eq!(bench.engine.wait(&spec.id).await.unwrap().code, 137);
    assert_eq!(bench.lines(&spec.id).await, Vec::<String>::new());
    bench.finish().await;
}

/// Layers lie over each other in the right order, and what a container writes reaches none of them.
#[tokio::test(flavor = "multi_thread")]
async fn two_containers_share_layers_but_no_writes() {
    let Some(mut bench) = Bench::open() else { return };
    let lower = bench.layer(|root| {
        fs::create_dir(root.join("data")).unwrap();
        fs::write(root.join("data/low"), "low").unwrap();
        fs::write(root.join("data/both"), "low").unwrap();
    });
    bench.layer(|root| {
        fs::create_dir(root.join("data")).unwrap();
        fs::write(root.join("data/both"), "high").unwrap();
    });
    let spec = bench.spec(&["cat", "/data/low", "/data/both"]);
    assert_eq!(bench.run(&spec).await.1, ["/data/low: low", "/data/both: high"]);
    assert_eq!(fs::read(lower.join("data/both")).unwrap(), b"low");
    assert!(!lower.join("etc").exists(), "mount points are made in the container's own layer");
    bench.finish().await;
}

/// Row I34: about 60 layers fit under their long names, 500 are the kernel's end.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_layers_as_the_kernel_takes_are_mounted() {
    let Some(mut bench) = Bench::open() else { return };
    for number in 1..500 {
        bench.layer(|root| fs::write(root.join(format!("file-{number}")), number.to_string()).unwrap());
    }
    for count in [61, 128, 500] {
        let mut spec = bench.spec(&["cat", "/file-1", &format!("/file-{}", count - 1)]);
        spec.rootfs.layers.truncate(count);
        let expected = ["/file-1: 1".to_owned(), format!("/file-{0}: {0}", count - 1)];
        assert_eq!(bench.run(&spec).await.1, expected);
    }
    bench.layer(|_| {});
    let error = bench.engine.create(&bench.spec(&["look"])).await.unwrap_err();
    assert!(error.to_string().contains("501 layers"), "{error}");
    assert_eq!(error.code(), FailureCode::ConfigInvalid);
    bench.finish().await;
}

/// systemd in an image wants to be stopped by SIGRTMIN+3.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_time_signal_can_be_the_stop_signal() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    spec.stop_signal = 37;
    bench.start_until(&spec, "listening").await;
    bench.engine.stop(&spec.id, DEADLINE).await.unwrap();
    assert_eq!(bench.engine.wait(&spec.id).await.unwrap().code, 9);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn implied_folders_are_set_right_and_links_are_not_followed() {
    let Some(mut bench) = Bench::open() else { return };
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o700)).unwrap();
    bench.layer(|root| {
        fs::create_dir_all(root.join("var/spool")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
    });
    let fix = |path: &str, mode, uid, gid| DirFix { path: path.into(), mode, uid, gid };
    let mut spec = bench.spec(&["dir", "/var/spool"]);
    spec.rootfs.dir_fixes =
        vec![fix("var/spool", 0o1777, 12, 34), fix("link", 0o777, 5, 5), fix("gone/away", 0o700, 1, 1)];
    assert_eq!(bench.run(&spec).await.1, ["/var/spool 1777 12 34"]);
    let metadata = fs::metadata(outside.path()).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o700, 0));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_containers_are_made_at_once() {
    let Some(bench) = Bench::open() else { return };
    let specs: Vec<_> = (0..8).map(|_| bench.spec(&["serve", "0.0.0.0:8080"])).collect();
    let made = specs.iter().map(|spec| async {
        bench.engine.create(spec).await.unwrap();
        bench.engine.start(&spec.id).await.unwrap()
    });
    let mut addresses = futures_util::future::join_all(made).await;
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 8);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_described() {
    let Some(bench) = Bench::open() else { return };
    let checks = bench.engine.check().await;
    say(&format!("{checks:#?}"));
    assert!(checks.iter().all(|check| check.ok == check.hint.is_none()));
    assert!(checks.iter().any(|check| check.name == "runtime" && check.detail.contains("runc version")));
    let mut config = bench.config.clone();
    config.runtime = Some("/nowhere/runc".into());
    let checks = engine::LocalEngine::open(config).unwrap().check().await;
    assert!(checks.iter().any(|check| check.name == "runtime" && !check.ok));
    bench.finish().await;
}
