//! Limits hold, and what they end is named.

use engine::{Engine, EngineError};
use model::FailureCode;

use crate::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_wants_too_much_memory_is_ended_and_it_is_said_why() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["eat", "400"]);
    spec.limits.memory_mb = 64;
    let (code, _) = bench.run(&spec).await;
    let exit = bench.engine.wait(&spec.id).await.unwrap();
    assert_eq!((code, exit.out_of_memory), (137, true));
    let error = bench.engine.start(&spec.id).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::OutOfMemory);
    assert!(matches!(error, EngineError::Exited(_)));

    let (code, lines) = bench.run(&bench.spec(&["eat", "40"])).await;
    assert_eq!((code, lines), (0, vec!["ate 40".to_owned()]));
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_stays_small_and_goes_at_once() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["forks"]);
    spec.limits.pids = 20;
    bench.start_until(&spec, "forked 19").await;
    bench.engine.stop(&spec.id, std::time::Duration::from_millis(50)).await.unwrap();
    bench.finish().await;
}
