//! Limits hold, and what they end is named.

use engine::{Engine, EngineError, Status};
use model::FailureCode;

use crate::bench::{Bench, DEADLINE};

/// Row P12: also when the kernel did not choose the first process. Whatever is half alive afterwards is ended, on
/// version 1 of control groups as on version 2.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_wants_too_much_memory_is_ended_and_it_is_said_why() {
    let Some(bench) = Bench::open() else { return };
    let neighbour = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&neighbour, "listening").await;
    for words in [["eat", "400"], ["eat-in-child", "400"]] {
        let mut spec = bench.spec(&words);
        spec.limits.memory_mb = 64;
        let (code, _) = bench.run(&spec).await;
        let exit = bench.engine.wait(&spec.id).await.unwrap();
        assert_eq!((code, exit.out_of_memory), (137, true), "{words:?}");
        assert_eq!(exit.detail.as_deref(), Some("killed: out of memory at 64 MB"));
        let error = bench.engine.start(&spec.id).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::OutOfMemory);
        assert!(matches!(error, EngineError::Exited(_)));
        assert!(error.to_string().ends_with("killed: out of memory at 64 MB"), "{error}");
    }
    assert_eq!(bench.engine.status(&neighbour.id).await.unwrap(), Status::Running { address });

    let (code, lines) = bench.run(&bench.spec(&["eat", "40"])).await;
    assert_eq!((code, lines), (0, vec!["ate 40".to_owned()]));
    bench.finish().await;
}

/// A command beside it counts as the container's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_beside_it_shares_its_limit_of_memory() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["serve", "0.0.0.0:8080"]);
    spec.limits.memory_mb = 64;
    bench.start_until(&spec, "listening").await;
    let args = ["/probe", "eat", "400"].map(str::to_owned);
    let _ = bench.engine.exec(&spec.id, &args, DEADLINE).await;
    let exit = tokio::time::timeout(DEADLINE, bench.engine.wait(&spec.id)).await.expect("it ends").unwrap();
    assert!(exit.out_of_memory, "{exit:?}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_processes_holds() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["forks"]);
    spec.limits.pids = 20;
    bench.start_until(&spec, "forked 19").await;
    bench.engine.stop(&spec.id, std::time::Duration::from_millis(50)).await.unwrap();
    bench.finish().await;
}
