//! From spec to process and away again.

use std::time::Instant;

use engine::{Engine, Status};

use crate::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_what_its_spec_says() {
    let Some(bench) = Bench::open() else { return };
    let mut spec = bench.spec(&["look"]);
    spec.env.push(("GREETING".into(), "two words\nand a line".into()));
    spec.user = "app".into();
    spec.cwd = "/srv/data".into();
    let begun = Instant::now();
    bench.engine.create(&spec).await.unwrap();
    let created = begun.elapsed();
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Created);
    let begun = Instant::now();
    bench.engine.start(&spec.id).await.unwrap();
    println!("create {created:?}, start {:?}", begun.elapsed());
    let exit = bench.engine.wait(&spec.id).await.unwrap();
    println!("{exit:?}\n{}", bench.lines(&spec.id).await.join("\n"));
    bench.finish().await;
}
