//! The queue of an application and the switch.

use model::deployment::State;
use model::{AppStatus, Deployment, Failure, FailureCode, Phase, Probe, ProbeKind, Timestamp};
use store::{DeploymentLogQuery, StoreError};

use crate::support::{EVERYTHING, Install, deployment, release};

async fn status(install: &Install, deployment: &Deployment) -> AppStatus {
    install.ours().app(deployment.app).await.unwrap().status.unwrap()
}

async fn state(install: &Install, deployment: &Deployment) -> State {
    install.ours().deployment(deployment.app, deployment.id).await.unwrap().state
}

fn failed(code: FailureCode) -> State {
    State::Failed { failure: Failure::new(Phase::Start, code, "it ended", None) }
}

#[tokio::test]
async fn of_those_that_wait_the_newest_wins() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let other = install.add_app("other").await;
    let elsewhere = install.enqueue(&other).await;
    let running = install.deploy_until(&shop, "pulling").await;
    let (first, second, third) =
        (install.enqueue(&shop).await, install.enqueue(&shop).await, install.enqueue(&shop).await);

    for skipped in [&first, &second] {
        let stored = install.ours().deployment(shop.id, skipped.id).await.unwrap();
        assert_eq!(stored.state, State::Skipped);
        assert!(stored.finished_at.is_some());
    }
    let next = install.ours().next_unfinished(shop.id).await.unwrap();
    assert_eq!(next.as_ref(), Some(&running), "what runs goes first");
    assert_eq!(state(&install, &elsewhere).await, State::Waiting);
    let unfinished: Vec<_> = install
        .store
        .instance()
        .unfinished()
        .await
        .unwrap()
        .into_iter()
        .map(|deployment| deployment.id)
        .collect();
    assert_eq!(unfinished, [elsewhere.id, running.id, third.id], "oldest first");

    let mut running = running;
    while !running.state.is_final() {
        running = install.step(running).await;
    }
    assert_eq!(install.ours().next_unfinished(shop.id).await.unwrap(), Some(third.clone()));
    let list = install.ours().deployments(shop.id, EVERYTHING).await.unwrap();
    let ids: Vec<_> = list.rows.iter().map(|deployment| deployment.id).collect();
    assert_eq!((ids, list.total), (vec![third.id, second.id, first.id, running.id], 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deployments_at_once_leave_one_waiting() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (company, deployment) = (install.ours(), deployment(&shop));
            tokio::spawn(async move { company.enqueue(&deployment, None).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let list = install.ours().deployments(shop.id, EVERYTHING).await.unwrap();
    assert_eq!(list.total, 20);
    assert_eq!(list.rows[0].state, State::Waiting);
    assert!(list.rows[1..].iter().all(|deployment| deployment.state == State::Skipped));
}

#[tokio::test]
async fn the_application_shows_how_its_deployment_stands() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let mut deployment = install.enqueue(&shop).await;
    assert_eq!(status(&install, &deployment).await, AppStatus::DeploymentInProgress);
    for (end, expected) in [
        (failed(FailureCode::Cancelled), AppStatus::DeploymentCancelled),
        (failed(FailureCode::OutOfMemory), AppStatus::DeploymentFailed),
        (State::Done, AppStatus::DeploymentSuccess),
        (State::Skipped, AppStatus::DeploymentCancelled),
    ] {
        deployment.state = end.clone();
        deployment.finished_at = Some(Timestamp::now());
        install.ours().save_deployment(&deployment).await.unwrap();
        assert_eq!(status(&install, &deployment).await, expected, "{end:?}");
        assert_eq!(install.ours().deployment(shop.id, deployment.id).await.unwrap(), deployment);
        deployment = install.enqueue(&shop).await;
        assert_eq!(status(&install, &deployment).await, AppStatus::DeploymentInProgress);
    }

    // Cancelled in the queue while another one runs: that one is what the application does.
    let running = install.step(deployment).await;
    let mut waiting = install.enqueue(&shop).await;
    waiting.state = State::Skipped;
    install.ours().save_deployment(&waiting).await.unwrap();
    assert_eq!(status(&install, &running).await, AppStatus::DeploymentInProgress);
}

#[tokio::test]
async fn what_is_over_stays_over_and_what_runs_is_not_skipped() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let mut late = install.enqueue(&shop).await;
    install.enqueue(&shop).await;
    // A driver that read it before it was skipped.
    late.state = State::Resolving;
    install.ours().save_deployment(&late).await.unwrap();
    assert_eq!(state(&install, &late).await, State::Skipped);

    let mut running = install.ours().next_unfinished(shop.id).await.unwrap().unwrap();
    running.state = State::Resolving;
    install.ours().save_deployment(&running).await.unwrap();
    // A person who read it before it began.
    let cancelled = Deployment { state: State::Skipped, ..running.clone() };
    let refused = install.ours().save_deployment(&cancelled).await;
    assert!(matches!(refused, Err(StoreError::DeploymentInProgress)));
    assert_eq!(state(&install, &running).await, State::Resolving);
}

#[tokio::test]
async fn saving_a_state_keeps_what_resolving_wrote() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let before = install.deploy_until(&shop, "resolving").await;
    let release = release(&before);
    install.ours().resolved(before.id, &release).await.unwrap();
    // The driver's own record knows nothing of the release yet.
    let next = Deployment { state: State::Pulling, ..before.clone() };
    install.ours().save_deployment(&next).await.unwrap();
    let stored = install.ours().deployment(shop.id, before.id).await.unwrap();
    assert_eq!((stored.digest, stored.release), (Some(release.digest.clone()), Some(release.id)));
    assert_eq!(install.ours().release(release.id).await.unwrap(), release);
}

#[tokio::test]
async fn resolving_again_replaces_what_the_first_time_wrote() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let resolving = install.deploy_until(&shop, "resolving").await;
    let (first, second) = (release(&resolving), release(&resolving));
    for release in [&first, &first, &second] {
        install.ours().resolved(resolving.id, release).await.unwrap();
    }
    assert_eq!(install.ours().deployment(shop.id, resolving.id).await.unwrap().release, Some(second.id));
    assert!(matches!(install.ours().release(first.id).await, Err(StoreError::NotFound)), "no orphan");

    // A release of another application is refused, and nothing is left of it.
    let other = install.add_app("other").await;
    let foreign = release(&deployment(&other));
    let refused = install.ours().resolved(resolving.id, &foreign).await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
    assert!(matches!(install.ours().release(foreign.id).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn the_switch_is_one_step_and_gives_the_same_answer_again() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let first = install.deploy_until(&shop, "switching").await;
    assert_eq!(install.ours().switch(first.id).await.unwrap(), None);
    assert_eq!(install.ours().switch(first.id).await.unwrap(), None);
    assert_eq!(state(&install, &first).await, State::Draining { old: None });
    let mut first = install.ours().deployment(shop.id, first.id).await.unwrap();
    first = install.step(first).await;
    assert_eq!(first.state, State::Done);

    install.ours().set_suspended(shop.id, true).await.unwrap();
    let second = install.deploy_until(&shop, "switching").await;
    assert_eq!(install.ours().switch(second.id).await.unwrap(), Some(first.id));
    let install = install.reopen();
    assert_eq!(install.ours().switch(second.id).await.unwrap(), Some(first.id), "after a crash too");
    let app = install.ours().app(shop.id).await.unwrap();
    assert_eq!((app.serving, app.is_suspended), (Some(second.id), false));
    assert_eq!(state(&install, &second).await, State::Draining { old: Some(first.id) });
}

#[tokio::test]
async fn nothing_switches_before_its_time() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    for early in ["waiting", "pulling", "checking"] {
        let deployment = install.deploy_until(&shop, early).await;
        let refused = install.ours().switch(deployment.id).await;
        assert!(matches!(refused, Err(StoreError::NotSwitching)), "{early}");
        assert_eq!(install.ours().app(shop.id).await.unwrap().serving, None);
        let end = Deployment { state: failed(FailureCode::Timeout), ..deployment };
        install.ours().save_deployment(&end).await.unwrap();
        assert!(matches!(install.ours().switch(end.id).await, Err(StoreError::NotSwitching)));
    }
}

#[tokio::test]
async fn going_back_finds_the_success_before() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let last = |before| {
        let company = install.ours();
        async move { company.last_successful(shop.id, before).await.unwrap().map(|deployment| deployment.id) }
    };
    assert_eq!(last(None).await, None);
    let shop = install.ours().app(shop.id).await.unwrap();
    let first = install.deploy_until(&shop, "done").await;
    let failure = install.enqueue(&shop).await;
    install
        .ours()
        .save_deployment(&Deployment { state: failed(FailureCode::Timeout), ..failure.clone() })
        .await
        .unwrap();
    let second = install.deploy_until(&shop, "done").await;
    assert_eq!(last(None).await, Some(second.id));
    assert_eq!(last(Some(second.id)).await, Some(first.id));
    assert_eq!(last(Some(failure.id)).await, Some(first.id));
    assert_eq!(last(Some(first.id)).await, None);

    // A restart is the same release once more, and nothing to go back to.
    let mut restart = Deployment { release: second.release, ..deployment(&shop) };
    install.ours().enqueue(&restart, None).await.unwrap();
    while restart.state != State::Done {
        restart = install.step(restart).await;
    }
    assert_eq!(last(Some(restart.id)).await, Some(first.id));
}

#[tokio::test]
async fn a_start_finds_what_serves() {
    let install = Install::new().await;
    let (shop, blog, _empty) =
        (install.add_app("shop").await, install.add_app("blog").await, install.add_app("empty").await);
    let old = install.deploy_until(&shop, "done").await;
    let new = install.deploy_until(&shop, "draining").await;
    let post = install.deploy_until(&blog, "done").await;
    install.ours().set_suspended(blog.id, true).await.unwrap();

    let serving = install.store.instance().serving().await.unwrap();
    let found: Vec<_> =
        serving.iter().map(|(app, served, release)| (app.id, served.id, Some(release.id))).collect();
    assert_eq!(found, [(shop.id, new.id, new.release), (blog.id, post.id, post.release)]);
    assert!(serving[1].0.is_suspended);
    assert_ne!(old.release, new.release);
}

#[tokio::test]
async fn images_of_the_last_successes_and_of_what_goes_on_are_kept() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let manifest = async |deployment: &Deployment| {
        let release = deployment.release.unwrap();
        install.ours().release(release).await.unwrap().manifest
    };
    let mut successes = Vec::new();
    for _ in 0..12 {
        let done = install.deploy_until(&shop, "done").await;
        successes.push(manifest(&done).await);
    }
    let broken = install.deploy_until(&shop, "pulling").await;
    let broken_manifest = manifest(&broken).await;
    let kept = install.store.instance().kept_manifests().await.unwrap();
    assert_eq!(kept.len(), 11);
    assert!(successes[2..].iter().all(|manifest| kept.contains(manifest)));
    assert!(kept.contains(&broken_manifest), "it is under way");

    let end = Deployment { state: failed(FailureCode::Timeout), ..broken };
    install.ours().save_deployment(&end).await.unwrap();
    // The oldest serves again: it is kept as what serves, beside the ten newest.
    let oldest = install.ours().deployments(shop.id, EVERYTHING).await.unwrap().rows.pop().unwrap();
    let sql = "UPDATE apps SET serving = ?1 WHERE id = ?2";
    install.raw().execute(sql, [oldest.id.to_string(), shop.id.to_string()]).unwrap();
    let kept = install.store.instance().kept_manifests().await.unwrap();
    assert_eq!(kept.len(), 11);
    assert!(
        kept.contains(&successes[0]) && !kept.contains(&successes[1]) && !kept.contains(&broken_manifest)
    );
}

#[tokio::test]
async fn the_log_gives_the_newest_lines_oldest_first() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let queued = install.enqueue(&shop).await;
    for text in ["Resolving", "Pulling 100%_", "pulling again", "Done"] {
        install.ours().append_deployment_log(queued.id, "INFO", text).await.unwrap();
    }
    let read = async |query: DeploymentLogQuery| {
        let lines = install.ours().deployment_log(shop.id, queued.id, &query).await.unwrap();
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    let all = DeploymentLogQuery { from: None, to: None, text: None, limit: 100 };
    assert_eq!(read(all.clone()).await, ["Resolving", "Pulling 100%_", "pulling again", "Done"]);
    assert_eq!(read(DeploymentLogQuery { limit: 2, ..all.clone() }).await, ["pulling again", "Done"]);
    for (text, found) in [("PULLING", 2), ("100%_", 1), ("%", 1), ("nothing", 0), ("", 4)] {
        assert_eq!(
            read(DeploymentLogQuery { text: Some(text.to_owned()), ..all.clone() }).await.len(),
            found,
            "{text}"
        );
    }
    let lines = install.ours().deployment_log(shop.id, queued.id, &all).await.unwrap();
    let (from, to) = (Some(lines[1].at), Some(lines[2].at));
    assert_eq!(read(DeploymentLogQuery { from, to, ..all }).await, ["Pulling 100%_", "pulling again"]);
}

#[tokio::test]
async fn a_deployment_remembers_the_credential_it_asks_with() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let waiting = install.enqueue(&shop).await;
    for credential in [Some(model::CredentialId::new()), None] {
        install.ours().deployment_uses(waiting.id, credential).await.unwrap();
        let stored = install.ours().deployment(shop.id, waiting.id).await.unwrap();
        assert_eq!(stored.credential, credential);
    }
}

#[tokio::test]
async fn a_late_failure_does_not_undo_a_switch() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let switching = install.deploy_until(&shop, "switching").await;
    install.ours().switch(switching.id).await.unwrap();

    let failure = Failure::new(Phase::Route, FailureCode::InternalError, "it came too late", None);
    let undoing = Deployment { state: State::Undoing { failure }, ..switching.clone() };
    install.ours().save_deployment(&undoing).await.unwrap();
    assert_eq!(state(&install, &switching).await, State::Draining { old: None });

    let done = Deployment { state: State::Done, ..switching.clone() };
    install.ours().save_deployment(&done).await.unwrap();
    assert_eq!(state(&install, &switching).await, State::Done);
}

#[tokio::test]
async fn a_release_is_read_as_it_was_written() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let deployment = install.deploy_until(&shop, "resolving").await;
    let mut written = release(&deployment);
    written.instances = 3;
    written.probe.kind = ProbeKind::Exec { command: vec!["check".into(), "it".into()] };
    written.liveness = Some(Probe { failures: 5, port: Some(9000), ..Probe::DEFAULT });
    install.ours().resolved(deployment.id, &written).await.unwrap();
    assert_eq!(install.ours().release(written.id).await.unwrap(), written);
}
