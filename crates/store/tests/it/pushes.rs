//! Deployments of commits: one for each push, and what is written down of them.

use model::deployment::State;
use model::git::{Commit, GitOrder, Revision};
use model::{App, Deployment, Failure, FailureCode, Phase, Timestamp, Trigger};
use store::StoreError;

use crate::support::{EVERYTHING, Install, env_var, push};

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";

#[tokio::test]
async fn a_push_deploys_once() {
    let install = Install::new().await;
    let (shop, other) = (install.add_app("shop").await, install.add_app("other").await);
    let ours = install.ours();
    let first = ours.enqueue(&push(&shop, FIRST), None).await.unwrap();
    assert_eq!(ours.enqueue(&push(&shop, FIRST), None).await.unwrap(), first);
    let second = ours.enqueue(&push(&shop, SECOND), None).await.unwrap();
    assert_ne!(second.id, first.id);
    // The first one was skipped for the second; the same word again does not bring it back.
    let again = ours.enqueue(&push(&shop, FIRST), None).await.unwrap();
    assert_eq!((again.id, again.state.name()), (first.id, "skipped"));
    assert_eq!(ours.next_unfinished(shop.id).await.unwrap().unwrap().id, second.id);

    // Another application of the same repository has its own, and a person may deploy what was pushed.
    assert_ne!(ours.enqueue(&push(&other, FIRST), None).await.unwrap().id, first.id);
    let asked = Deployment { trigger: Trigger::ManualDeploy, ..push(&shop, FIRST) };
    assert_ne!(ours.enqueue(&asked, None).await.unwrap().id, first.id);
    assert_eq!(ours.deployments(shop.id, EVERYTHING).await.unwrap().total, 3);
}

/// A push of a commit to a branch that stood elsewhere before.
fn step(app: &App, before: &str, commit: &str) -> Deployment {
    let mut deployment = push(app, commit);
    if let Some(order) = &mut deployment.git {
        order.before = Some(before.to_owned());
    }
    deployment
}

async fn end(install: &Install, deployment: &Deployment, state: State) {
    let now = Some(Timestamp::now());
    let over = Deployment { state, started_at: now, finished_at: now, ..deployment.clone() };
    install.ours().save_deployment(&over).await.unwrap();
}

fn failed(code: FailureCode) -> State {
    State::Failed { failure: Failure::new(Phase::Build, code, "It failed.", None) }
}

#[tokio::test]
async fn a_commit_that_is_pushed_back_is_deployed_again() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let ours = install.ours();
    let new = "0".repeat(40);
    let mut steps = Vec::new();
    for (before, commit) in [(&*new, FIRST), (FIRST, SECOND), (SECOND, FIRST)] {
        let queued = ours.enqueue(&step(&shop, before, commit), None).await.unwrap();
        assert!(!steps.contains(&queued.id), "{before} to {commit} is a step of its own");
        end(&install, &queued, State::Done).await;
        steps.push(queued.id);
    }
    // None of the three comes again by being told of again.
    for ((before, commit), id) in [(&*new, FIRST), (FIRST, SECOND), (SECOND, FIRST)].into_iter().zip(&steps) {
        assert_eq!(ours.enqueue(&step(&shop, before, commit), None).await.unwrap().id, *id);
    }
    assert_eq!(ours.deployments(shop.id, EVERYTHING).await.unwrap().total, 3);
}

#[tokio::test]
async fn what_did_not_come_to_its_end_is_tried_again_unless_it_is_old() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let ours = install.ours();
    let first = || step(&shop, &"0".repeat(40), FIRST);
    let mut tries = vec![ours.enqueue(&first(), None).await.unwrap()];
    for state in [failed(FailureCode::GitUnreachable), failed(FailureCode::Cancelled), State::Skipped] {
        let last = tries.last().unwrap();
        assert_eq!(ours.enqueue(&first(), None).await.unwrap().id, last.id, "it goes on");
        end(&install, last, state.clone()).await;
        let next = ours.enqueue(&first(), None).await.unwrap();
        assert_ne!(next.id, last.id, "{state:?}");
        tries.push(next);
    }
    let last = tries.last().unwrap();
    end(&install, last, failed(FailureCode::BuildFailed)).await;
    // What a person asks for does not make it old, another push does.
    let asked = Deployment { trigger: Trigger::ManualDeploy, ..first() };
    end(&install, &ours.enqueue(&asked, None).await.unwrap(), State::Done).await;
    let again = ours.enqueue(&first(), None).await.unwrap();
    assert_ne!(again.id, last.id);
    end(&install, &again, failed(FailureCode::BuildFailed)).await;
    let second = ours.enqueue(&step(&shop, FIRST, SECOND), None).await.unwrap();
    assert_eq!(ours.enqueue(&first(), None).await.unwrap().id, again.id);
    assert_eq!(ours.next_unfinished(shop.id).await.unwrap().unwrap().id, second.id);
}

#[tokio::test]
async fn pushes_at_the_same_moment_start_one_deployment() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let (ours, deployment) = (install.ours(), push(&shop, FIRST));
            tokio::spawn(async move { ours.enqueue(&deployment, None).await.unwrap().id })
        })
        .collect();
    let mut ids = Vec::new();
    for call in calls {
        ids.push(call.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(install.ours().deployments(shop.id, EVERYTHING).await.unwrap().total, 1);
}

#[tokio::test]
async fn the_commit_is_written_down_when_it_is_known() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let queued = install.ours().enqueue(&push(&shop, FIRST), None).await.unwrap();
    let commit = Commit {
        id: FIRST.to_owned(),
        branch: Some("main".to_owned()),
        message: "More bread".to_owned(),
        author: "Ada".to_owned(),
    };
    let order = GitOrder { commit: Some(commit), ..queued.git.clone().unwrap() };
    install.ours().checked_out(queued.id, &order, "localhost/shop:111111111111").await.unwrap();
    let expected = Deployment {
        git: Some(order.clone()),
        reference: "localhost/shop:111111111111".to_owned(),
        ..queued.clone()
    };
    assert_eq!(install.ours().deployment(shop.id, queued.id).await.unwrap(), expected);

    let theirs = install.another_company().checked_out(queued.id, &order, "x").await;
    assert!(matches!(theirs, Err(StoreError::NotFound)));
    let image = install.enqueue(&install.add_app("image").await).await;
    let order = GitOrder { revision: Revision::Default, ..order };
    let not_built = install.ours().checked_out(image.id, &order, "x").await;
    assert!(matches!(not_built, Err(StoreError::NotFound)), "a ready image is not checked out");
}

#[tokio::test]
async fn a_build_sees_what_is_not_kept_from_it() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    for (key, is_buildtime) in [("A", None), ("B", Some(true)), ("C", Some(false))] {
        let var = model::EnvVar { is_buildtime, ..env_var(&shop, key, "x") };
        install.ours().create_env_var(&var).await.unwrap();
    }
    let seen = install.ours().build_variables(shop.id).await.unwrap();
    let keys: Vec<_> = seen.iter().map(|var| var.key.as_str()).collect();
    assert_eq!(keys, ["A", "B"]);
}
