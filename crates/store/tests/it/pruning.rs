//! What is removed so that the database stays as large as it is, and what never is.

use std::collections::BTreeSet;

use model::deployment::State;
use model::{App, AppStatus, Deployment, Failure, FailureCode, Phase, Timestamp};
use store::{AuditEntry, Page};

use crate::support::{EVERYTHING, Install, deployment};

impl Install {
    /// A deployment that failed.
    async fn fail(&self, app: &App) -> Deployment {
        let mut deployment = self.enqueue(app).await;
        let failure = Failure::new(Phase::Start, FailureCode::ExitedEarly, "it ended", None);
        deployment.state = State::Failed { failure };
        deployment.finished_at = Some(Timestamp::now());
        self.ours().save_deployment(&deployment).await.unwrap();
        self.ours().append_deployment_log(deployment.id, "ERROR", "it ended").await.unwrap();
        deployment
    }

    /// A deployment of a release that is there, to its end.
    async fn again(&self, earlier: &Deployment) -> Deployment {
        let app = self.ours().app(earlier.app).await.unwrap();
        let again =
            Deployment { release: earlier.release, digest: earlier.digest.clone(), ..deployment(&app) };
        let mut deployment = self.ours().enqueue(&again, None).await.unwrap();
        while !deployment.state.is_final() {
            deployment = self.step(deployment).await;
        }
        deployment
    }

    fn count(&self, table: &str) -> i64 {
        self.raw().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

#[tokio::test]
async fn old_failures_go_with_their_logs_and_what_can_be_gone_back_to_stays() {
    let install = Install::new().await;
    let (shop, other) = (install.add_app("shop").await, install.add_app("other").await);
    let elsewhere = install.fail(&other).await;
    let mut good = Vec::new();
    for _ in 0..12 {
        good.push(install.deploy_until(&shop, "done").await);
    }
    let mut bad = Vec::new();
    for _ in 0..150 {
        bad.push(install.fail(&shop).await);
    }
    let kept = |deployment: &Deployment| {
        let (company, app, id) = (install.ours(), shop.id, deployment.id);
        async move { company.deployment(app, id).await.is_ok() }
    };
    let serving = install.ours().app(shop.id).await.unwrap().serving;
    assert_eq!(serving, Some(good[11].id));
    for (place, deployment) in good.iter().enumerate() {
        assert_eq!(kept(deployment).await, place >= 2, "the last ten successes: {place}");
        let release = install.ours().release(deployment.release.unwrap()).await;
        assert_eq!(release.is_ok(), place >= 2, "and their releases: {place}");
    }
    for (place, deployment) in bad.iter().enumerate() {
        assert_eq!(kept(deployment).await, place >= 50, "the newest hundred: {place}");
    }
    assert_eq!(install.count("deployment_log"), 101, "logs go with their deployments");
    assert!(install.ours().deployment(other.id, elsewhere.id).await.is_ok(), "each application has its own");
    let before = install.ours().last_successful(shop.id, serving).await.unwrap().unwrap();
    assert_eq!(before.id, good[10].id, "a rollback finds what it needs");
    assert_eq!(install.ours().app(shop.id).await.unwrap().status, Some(AppStatus::DeploymentFailed));
    assert_eq!(install.store.instance().kept_manifests().await.unwrap().len(), 10);
}

#[tokio::test]
async fn the_last_ten_releases_are_kept_however_often_one_of_them_was_started_again() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let mut releases = Vec::new();
    for _ in 0..3 {
        releases.push(install.deploy_until(&shop, "done").await);
    }
    for _ in 0..110 {
        install.again(&releases[2]).await;
    }
    let manifests = install.store.instance().kept_manifests().await.unwrap();
    assert_eq!(manifests.len(), 3, "restarts of one release push no other out");
    for deployment in &releases[..2] {
        assert!(install.ours().deployment(shop.id, deployment.id).await.is_ok());
        install.ours().release(deployment.release.unwrap()).await.unwrap();
    }
    assert!(
        install.ours().deployment(shop.id, releases[2].id).await.is_err(),
        "its newest success stands for it"
    );
    assert_eq!(install.count("deployments"), 100 + 2);
    assert_eq!(install.count("releases"), 3);
}

/// P29 of the fault list: the file does not grow with the number of deployments.
#[tokio::test]
async fn the_database_is_as_large_after_many_deployments_as_after_some() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let pages = || -> i64 { install.raw().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap() };
    let mut sizes = Vec::new();
    for _ in 0..4 {
        for _ in 0..60 {
            install.deploy_until(&shop, "done").await;
            install.fail(&shop).await;
        }
        sizes.push(pages());
    }
    // The first hundred fill the room; after that rows come and go.
    assert!(sizes[3] <= sizes[1] + sizes[1] / 10, "pages after 120, 240, 360 and 480 deployments: {sizes:?}");
    assert!(install.count("deployments") <= 111 && install.count("releases") <= 60);
}

#[tokio::test]
async fn what_is_not_over_is_never_removed() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let running = install.deploy_until(&shop, "pulling").await;
    for _ in 0..150 {
        install.enqueue(&shop).await;
    }
    let unfinished: Vec<_> = install.store.instance().unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    assert_eq!(unfinished[0].id, running.id);
    let list = install.ours().deployments(shop.id, EVERYTHING).await.unwrap();
    assert_eq!(list.total, 101, "of those that were skipped the newest stay");
    let ids: BTreeSet<_> = list.rows.iter().map(|deployment| deployment.id).collect();
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn the_audit_log_keeps_its_newest_ten_thousand_entries() {
    let install = Install::new().await;
    let company = install.company.id.to_string();
    let many = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10050)
                INSERT INTO audit_log (at, company, actor, action, target) SELECT x, ?1, 'a', 'b', x FROM n";
    install.raw().execute(many, [&company]).unwrap();
    install.raw().execute(many, [None::<String>]).unwrap();
    let entry = AuditEntry {
        at: Timestamp::now(),
        company: Some(install.company.id),
        actor: "ada".into(),
        action: "app.create".into(),
        target: "newest".into(),
        ip: None,
    };
    for _ in 0..60 {
        install.store.instance().append_audit(&entry).await.unwrap();
    }
    let ours = install.ours();
    let page = |offset| ours.audit(Page { limit: 1, offset });
    let newest = page(0).await.unwrap();
    assert_eq!((newest.total, newest.rows[0].target.as_str()), (10_000, "newest"));
    assert_eq!(page(9_999).await.unwrap().rows[0].target, "111");
    let of_nobody = "SELECT count(*) FROM audit_log WHERE company IS NULL";
    assert_eq!(
        install.raw().query_row(of_nobody, [], |row| row.get(0)),
        Ok(10_050),
        "each company has its own"
    );

    // The rule is the database's own: of what is kept nothing can be deleted, by whomever.
    let delete = |sql: &str| install.raw().execute(sql, []);
    delete("DELETE FROM audit_log WHERE company IS NULL AND target = '51'").unwrap_err();
    assert_eq!(delete("DELETE FROM audit_log WHERE company IS NULL AND target = '50'"), Ok(1));
    delete("DELETE FROM audit_log").unwrap_err();
}
