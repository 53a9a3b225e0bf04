//! P18 of the fault list at the database: changes that exclude each other, at the same moment, from many tasks. Each is
//! made or refused with its reason, and the rows agree afterwards.

use std::fmt::Debug;

use model::deployment::{Event, State};
use store::{RequestKey, StoreError};
use tokio::task::JoinHandle;

use crate::support::{EVERYTHING, Install, deployment, env_var, release};

const ROUNDS: u32 = 15;

/// Panics unless it was done, or not done because the record is gone or busy.
async fn done_or_gone<T: Debug>(task: JoinHandle<Result<T, StoreError>>) {
    let result = task.await.unwrap();
    let is_reason = |error: &StoreError| {
        matches!(error, StoreError::NotFound | StoreError::DeploymentInProgress | StoreError::NotSwitching)
    };
    assert!(result.as_ref().err().is_none_or(is_reason), "{result:?}");
}

fn rows_agree(install: &Install) {
    let raw = install.raw();
    let broken: i64 =
        raw.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(broken, 0);
    let several = "SELECT count(*) FROM (SELECT app FROM deployments
                   WHERE state NOT IN ('done', 'failed', 'skipped', 'waiting') GROUP BY app HAVING count(*) > 1)";
    assert_eq!(raw.query_row(several, [], |row| row.get(0)), Ok(0_i64), "one deployment at a time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removing_an_application_races_with_everything_else() {
    let install = Install::new().await;
    for round in 0..ROUNDS {
        let team = install.add_credential(&format!("team-{round}")).await;
        let shop = install.add_app_with(&format!("shop-{round}"), &team).await;
        install.deploy_until(&shop, "done").await;
        let running = install.deploy_until(&shop, "draining").await;
        let over = model::Deployment { state: State::Done, ..running.clone() };
        let ours = || install.ours();

        let (rows, id) = (ours(), shop.id);
        let removed = tokio::spawn(async move {
            // As the platform does it: refused while a deployment runs, asked again later.
            loop {
                match rows.delete_app(id).await {
                    Err(StoreError::DeploymentInProgress) => tokio::task::yield_now().await,
                    other => return other,
                }
            }
        });
        let rows = ours();
        let saved = tokio::spawn(async move { rows.save_deployment(&over).await });
        let mut queued = Vec::new();
        for number in 0..6 {
            let (rows, wish) = (ours(), deployment(&shop));
            let key = RequestKey { key: format!("{round}-{}", number % 2), request: "r".into() };
            queued.push(tokio::spawn(async move { rows.enqueue(&wish, Some(&key)).await }));
        }
        let (rows, var) = (ours(), env_var(&shop, "A", "b"));
        let set = tokio::spawn(async move { rows.create_env_var(&var).await });
        let (rows, id) = (ours(), running.id);
        let logged = tokio::spawn(async move { rows.append_deployment_log(id, "INFO", "line").await });
        let (rows, made, id) = (ours(), release(&running), running.id);
        let resolved = tokio::spawn(async move { rows.resolved(id, &made).await });
        let (rows, id) = (ours(), shop.id);
        let suspended = tokio::spawn(async move { rows.set_suspended(id, true).await });
        let (rows, id) = (ours(), team.id);
        let login = tokio::spawn(async move { rows.delete_credential(id, true).await });

        for task in queued {
            done_or_gone(task).await;
        }
        done_or_gone(saved).await;
        for task in [set, logged, resolved, suspended, login, removed] {
            done_or_gone(task).await;
        }
        rows_agree(&install);
        for table in ["deployments", "releases", "env_vars", "processes"] {
            let sql = format!("SELECT count(*) FROM {table} WHERE app = ?1");
            let left = install.raw().query_row(&sql, [shop.id.to_string()], |row| row.get(0));
            assert_eq!(left, Ok(0_i64), "{table} in round {round}");
        }
    }
    for table in ["request_keys", "deployment_log"] {
        let left = install.raw().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        assert_eq!(left, Ok(0_i64), "{table}");
    }
}

/// A cancel that comes with the switch: whichever is first counts, and nothing undoes a switch.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_races_with_the_switch() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    for _ in 0..ROUNDS {
        let before = install.ours().app(shop.id).await.unwrap().serving;
        let running = install.deploy_until(&shop, "switching").await;
        let failure =
            model::Failure::new(model::Phase::Route, model::FailureCode::Cancelled, "cancelled", None);
        let cancelled = model::Deployment { state: State::Undoing { failure }, ..running.clone() };
        let (one, two, id) = (install.ours(), install.ours(), running.id);
        let switched = tokio::spawn(async move { one.switch(id).await });
        let undone = tokio::spawn(async move { two.save_deployment(&cancelled).await });
        let switched = switched.await.unwrap();
        undone.await.unwrap().unwrap();

        let stored = install.ours().deployment(shop.id, id).await.unwrap();
        let serving = install.ours().app(shop.id).await.unwrap().serving;
        match switched {
            Ok(old) => {
                assert_eq!((serving, old), (Some(id), before));
                assert!(matches!(stored.state, State::Draining { .. }), "{:?}", stored.state);
            }
            Err(error) => {
                assert!(matches!(error, StoreError::NotSwitching), "{error}");
                assert_eq!((serving, stored.state.name()), (before, "undoing"));
            }
        }
        let event = if serving == Some(id) { Event::Drained } else { Event::Undone };
        let over = model::Deployment { state: stored.state.clone().next(event).unwrap(), ..stored };
        install.ours().save_deployment(&over).await.unwrap();
        rows_agree(&install);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_credential_is_in_use_or_gone() {
    let install = Install::new().await;
    for round in 0..ROUNDS {
        let team = install.add_credential(&format!("team-{round}")).await;
        let shop = install.add_app(&format!("shop-{round}")).await;
        let mut pulled = shop.clone();
        pulled.source = crate::support::pulled_with(Some(team.id));
        let (one, two, id) = (install.ours(), install.ours(), team.id);
        let used = tokio::spawn(async move { one.update_app(&pulled).await });
        let removed = tokio::spawn(async move { two.delete_credential(id, false).await });
        match (used.await.unwrap(), removed.await.unwrap()) {
            (Ok(()), Err(StoreError::CredentialInUse(users))) => assert_eq!(users[0].0, shop.id),
            (Err(StoreError::NotFound), Ok(())) => {}
            other => panic!("{other:?}"),
        }
        rows_agree(&install);
    }
    assert_eq!(install.ours().apps(EVERYTHING).await.unwrap().total, u64::from(ROUNDS));
}
