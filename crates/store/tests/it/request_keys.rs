//! Requests that are carried out once: the key lives and dies with what it started.

use model::deployment::State;
use store::{RequestKey, Store, StoreError};

use crate::support::{EVERYTHING, Install, deployment};

fn request(key: &str, request: &str) -> RequestKey {
    RequestKey { key: key.to_owned(), request: request.to_owned() }
}

fn keys(install: &Install) -> i64 {
    install.raw().query_row("SELECT count(*) FROM request_keys", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_same_request_gives_what_the_first_one_started() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let key = request("k", "deploy shop");
    assert_eq!(install.ours().started_by(&key).await.unwrap(), None);
    let first = install.ours().enqueue(&deployment(&shop), Some(&key)).await.unwrap();
    assert_eq!(install.ours().enqueue(&deployment(&shop), Some(&key)).await.unwrap(), first);
    assert_eq!(first.state, State::Waiting, "it did not skip itself");
    assert_eq!(install.ours().started_by(&key).await.unwrap(), Some(first.clone()));

    let other = request("k", "deploy blog");
    let reused = install.ours().enqueue(&deployment(&shop), Some(&other)).await;
    assert!(matches!(reused, Err(StoreError::RequestKeyReused)));
    assert!(matches!(install.ours().started_by(&other).await, Err(StoreError::RequestKeyReused)));
    let another =
        install.ours().enqueue(&deployment(&shop), Some(&request("l", "deploy shop"))).await.unwrap();
    assert_ne!(another.id, first.id);
    assert_eq!(install.ours().deployments(shop.id, EVERYTHING).await.unwrap().total, 2);
    assert_eq!(install.another_company().started_by(&key).await.unwrap(), None, "keys are a company's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_come_at_once_one_is_carried_out() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (company, deployment) = (install.ours(), deployment(&shop));
            tokio::spawn(
                async move { company.enqueue(&deployment, Some(&request("k", "r"))).await.unwrap().id },
            )
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        given.push(task.await.unwrap());
    }
    given.dedup();
    assert_eq!(given.len(), 1);
    assert_eq!(install.ours().deployments(shop.id, EVERYTHING).await.unwrap().total, 1);
}

#[tokio::test]
async fn after_a_crash_key_and_deployment_are_both_there() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let key = request("k", "r");
    let first = install.ours().enqueue(&deployment(&shop), Some(&key)).await.unwrap();
    // The files as a kill would leave them: taken while the store is open.
    let copy = tempfile::tempdir().unwrap();
    for name in ["darsena.db", "darsena.db-wal", "key"] {
        std::fs::copy(install.path().join(name), copy.path().join(name)).unwrap();
    }
    let after = Store::open(copy.path()).unwrap().company(install.company.id);
    assert_eq!(after.enqueue(&deployment(&shop), Some(&key)).await.unwrap(), first);

    // A deployment that was not queued leaves no key behind either.
    let gone = install.add_app("gone").await;
    install.ours().delete_app(gone.id).await.unwrap();
    let refused = install.ours().enqueue(&deployment(&gone), Some(&request("l", "r"))).await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
    assert_eq!(keys(&install), 1);
}

#[tokio::test]
async fn a_key_stands_for_a_day_and_goes_with_its_deployment() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let company = install.ours();
    let first = company.enqueue(&deployment(&shop), Some(&request("k", "r"))).await.unwrap();
    company.enqueue(&deployment(&shop), Some(&request("l", "r"))).await.unwrap();
    let hours = |hours: i64| hours * 3_600_000_000_000;
    let age = |by: i64| {
        install.raw().execute("UPDATE request_keys SET created_at = created_at - ?1", [by]).unwrap()
    };
    age(hours(23));
    assert_eq!(company.started_by(&request("k", "r")).await.unwrap().map(|found| found.id), Some(first.id));
    age(hours(1));
    assert_eq!(company.started_by(&request("k", "r")).await.unwrap(), None);
    assert_eq!(
        company.started_by(&request("k", "other")).await.unwrap(),
        None,
        "it may stand for anything again"
    );

    let again = company.enqueue(&deployment(&shop), Some(&request("k", "other"))).await.unwrap();
    assert_ne!(again.id, first.id);
    assert_eq!(keys(&install), 1, "what is too old went with the one that came");
    company.delete_app(shop.id).await.unwrap();
    assert_eq!(keys(&install), 0);
}
