//! Several instances of one deployment, side by side.

use engine::{Engine, Status};
use model::{ContainerId, DeploymentId};

use crate::bench::{Bench, DEADLINE};

/// Every name that is made of an id holds the longest one, and none is taken for another that only begins alike.
#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_deployment_do_not_meet() {
    let Some(bench) = Bench::open() else { return };
    let deployment = DeploymentId::new();
    let specs = [0, 1, 12, u16::MAX].map(|instance| {
        let mut spec = bench.spec(&["serve", "0.0.0.0:8080"]);
        spec.id = ContainerId::of(deployment, instance);
        spec
    });
    let mut addresses = Vec::new();
    for spec in &specs {
        addresses.push(bench.start_until(spec, "listening").await);
    }
    let args = ["/probe", "exit", "3"].map(str::to_owned);
    for (spec, address) in specs.iter().zip(&addresses) {
        assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Running { address: *address });
        assert_eq!(bench.engine.exec(&spec.id, &args, DEADLINE).await.unwrap().code, 3);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), specs.len());
    let mut ids: Vec<_> = specs.iter().map(|spec| spec.id.clone()).collect();
    ids.sort();
    assert_eq!(bench.engine.list().await.unwrap(), ids);

    // The first one's name is how all the others begin.
    let others = [1, 2, 3].map(|index| bench.processes(&specs[index].id));
    bench.engine.stop(&specs[0].id, DEADLINE).await.unwrap();
    bench.engine.remove(&specs[0].id).await.unwrap();
    bench.assert_gone(&specs[0].id).await;
    nix::sys::signal::kill(bench.supervisor(&specs[1].id).unwrap(), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert_eq!(bench.engine.wait(&specs[1].id).await.unwrap().code, 137);
    for index in [2, 3] {
        assert_eq!(bench.processes(&specs[index].id), others[index - 1]);
        assert!(matches!(bench.engine.status(&specs[index].id).await.unwrap(), Status::Running { .. }));
    }
    bench.finish().await;
}
