//! Builds that fail say where and why.

use std::time::Duration;

use build::{Builder, Limits};
use model::FailureCode;

use crate::support::{Bench, config, is_root};

#[tokio::test]
async fn a_step_that_fails_is_named_with_its_last_lines() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let order = bench.order(&[(
        "Dockerfile",
        "FROM tools:1 AS a\nRUN echo before\nFROM tools:1\n\nRUN i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; \\\n  echo wrong >&2; exit 7\n",
    )]);
    let failure = bench.build(&order).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildFailed);
    assert!(
        failure.message.starts_with("Step 2 of 2 failed with exit code 7: RUN i=0;"),
        "{}",
        failure.message
    );
    assert!(failure.message.ends_with("(Dockerfile, line 5)."), "{}", failure.message);
    assert_eq!(failure.exit_code, Some(7));
    assert_eq!(failure.log_tail.len(), 30);
    assert!(
        failure.log_tail.contains(&"wrong".to_owned()) && failure.log_tail.contains(&"line 49".to_owned())
    );
    assert!(
        !failure.log_tail.iter().any(|line| line.contains("error running container")),
        "{:?}",
        failure.log_tail
    );
    assert!(!bench.result(&order).exists());
}

#[tokio::test]
async fn errors_that_a_program_prints_are_shown_whatever_they_look_like() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let text = "FROM tools:1\nRUN echo \"Error: Cannot find module 'x'\" >&2; \\\n  \
                echo 'time=\"now\" level=error msg=\"of a program\"' >&2; exit 3\n";
    let failure = bench.build(&bench.order(&[("Dockerfile", text)])).await.unwrap_err();
    let expected = ["Error: Cannot find module 'x'", "time=\"now\" level=error msg=\"of a program\""];
    assert_eq!(failure.log_tail, expected);
    assert_eq!(bench.around.lines(), expected);
    assert_eq!(failure.exit_code, Some(3));
}

#[tokio::test]
async fn what_cannot_be_copied_is_named() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    for (text, part) in [
        ("FROM tools:1\nCOPY nothing /\n", "nothing"),
        ("FROM tools:1\nCOPY ../../../etc/shadow /\n", "shadow"),
        ("FROM tools:1\nCOPY --from=0 /etc/nothing /\n", "there is no stage 0"),
        ("FROM tools:1\nUSER nobody-there\nRUN id\n", "nobody-there"),
    ] {
        let failure = bench.build(&bench.order(&[("Dockerfile", text)])).await.unwrap_err();
        assert!(
            matches!(failure.code, FailureCode::BuildFailed | FailureCode::DockerfileInvalid),
            "{failure:?}"
        );
        assert!(failure.message.contains(part), "{text}: {}", failure.message);
        assert!(!failure.message.contains("localhost/base"), "{}", failure.message);
    }
}

#[tokio::test]
async fn failures_of_base_images_are_handed_through() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let order =
        bench.order(&[("Dockerfile", "FROM tools:1\nRUN true\nCOPY --from=r.example/not:there /a /b\n")]);
    let failure = bench.build(&order).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageNotFound);
    assert!(
        failure.message.contains("r.example/not:there") && failure.message.contains("line 3"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_build_that_fills_its_disk_is_too_large() {
    if !is_root() {
        return;
    }
    let bench = Bench::with(Limits { disk: 300 << 20, reserve: 64 << 20, ..Limits::default() });
    let order =
        bench.order(&[("Dockerfile", "FROM tools:1\nRUN dd if=/dev/zero of=/big bs=1M count=10000\n")]);
    let failure = bench.build(&order).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildTooLarge, "{failure:?}");
    assert!(failure.message.contains("300 MiB"), "{}", failure.message);
    assert!(failure.message.contains("step 2 of 2"), "{}", failure.message);
    // The next one is not hurt by it.
    bench.build(&bench.order(&[("Dockerfile", "FROM tools:1\nRUN echo fine\n")])).await.unwrap();
}

#[tokio::test]
async fn words_of_a_step_are_no_limit_that_was_met() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let text = "FROM tools:1\nRUN echo 'a: No space left on device' >&2; i=0; while [ $i -lt 60 ]; do \\\n  \
                echo 'lock: Resource temporarily unavailable'; i=$((i+1)); done; exit 1\n";
    // A process of the step was ended for want of memory, and it went on without it.
    *bench.around.is_out_of_memory.lock().unwrap() = true;
    let failure = bench.build(&bench.order(&[("Dockerfile", text)])).await.unwrap_err();
    assert_eq!((failure.code, failure.exit_code), (FailureCode::BuildFailed, Some(1)), "{failure:?}");
    assert!(failure.hint.unwrap().contains("Memory ran out"));
    assert!(bench.volume().exists(), "the cache is kept");
}

#[tokio::test]
async fn a_fork_bomb_ends() {
    if !is_root() {
        return;
    }
    let bench = Bench::with(Limits { disk: 1 << 30, reserve: 64 << 20, processes: 200, ..Limits::default() });
    let order =
        bench.order(&[("Dockerfile", "FROM tools:1\nRUN bomb() { bomb | bomb & }; bomb; sleep 1000\n")]);
    let failure = bench.build(&order).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildTooLarge, "{failure:?}");
    assert!(failure.message.contains("processes"), "{}", failure.message);
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_ended() {
    if !is_root() {
        return;
    }
    let time = Duration::from_secs(10);
    let bench = Bench::with(Limits { disk: 1 << 30, reserve: 64 << 20, time, ..Limits::default() });
    let order = bench.order(&[("Dockerfile", "FROM tools:1\nRUN sleep 100000\n")]);
    let failure = bench.build(&order).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildTooLarge, "{failure:?}");
    assert!(failure.message.contains("10 seconds"), "{}", failure.message);
    bench.assert_nothing_left(&order).await;
}

#[tokio::test]
async fn a_full_disk_of_the_host_ends_a_build() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let before = Bench::in_folder(folder.path());
    before.build(&before.order(&[("Dockerfile", "FROM tools:1\n")])).await.unwrap();
    assert!(before.volume().exists());

    let limits = Limits { disk: 1 << 30, reserve: u64::MAX, ..Limits::default() };
    let bench = Bench::of(folder.path(), config(folder.path(), limits));
    let order = bench.order(&[("Dockerfile", "FROM tools:1\nRUN sleep 100000\n")]);
    let failure = bench.build(&order).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::DiskFull, "{failure:?}");
    assert!(failure.hint.unwrap().contains(&folder.path().join("build").display().to_string()));
    assert!(!before.volume().exists(), "another application's cache gives way");
    assert!(!bench.volume().exists(), "the build's own does not keep the disk full");
    bench.assert_nothing_left(&order).await;
}

#[tokio::test]
async fn a_log_without_end_is_cut() {
    if !is_root() {
        return;
    }
    let bench = Bench::with(Limits { disk: 1 << 30, reserve: 64 << 20, log: 10_000, ..Limits::default() });
    let text = "FROM tools:1\nRUN dd if=/dev/zero bs=100k count=1; echo; find / -name '*' || true; echo the last; exit 1\n";
    let failure = bench.build(&bench.order(&[("Dockerfile", text)])).await.unwrap_err();
    let bytes: usize = bench.around.lines().iter().map(|line| line.len() + 1).sum();
    assert!(bytes <= 10_000, "{bytes}");
    assert!(failure.log_tail.contains(&"the last".to_owned()), "{failure:?}");
}

#[tokio::test]
async fn a_build_that_ran_out_of_memory_says_so() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    *bench.around.is_out_of_memory.lock().unwrap() = true;
    let failure =
        bench.build(&bench.order(&[("Dockerfile", "FROM tools:1\nRUN exit 137\n")])).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuildTooLarge, "{failure:?}");
    assert!(failure.message.contains("ran out of memory during step 2 of 2"), "{}", failure.message);
    assert_eq!(*bench.around.dismissed.lock().unwrap(), 1);
    // One that came to its end did so all the same.
    bench.build(&bench.order(&[("Dockerfile", "FROM tools:1\n")])).await.unwrap();
}

#[tokio::test]
async fn a_machine_without_the_builder_says_what_to_install() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), Limits { disk: 1 << 30, reserve: 64 << 20, ..Limits::default() });
    config.programs.buildah = "/usr/bin/no-buildah".into();
    let bench = Bench::of(folder.path(), config);
    let failure = bench.build(&bench.order(&[("Dockerfile", "FROM tools:1\n")])).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BuilderMissing, "{failure:?}");
    assert!(failure.hint.unwrap().contains("darsena doctor"));
    let checks = bench.workshop.check().await;
    let missing: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(missing.len(), 1, "{checks:?}");
    assert!(missing[0].hint.as_ref().unwrap().contains("apt-get install buildah"), "{checks:?}");
}
