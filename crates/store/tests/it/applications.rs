//! Applications with processes, variables and projects.

use model::{AppStatus, EnvVarId, ProjectId, Source, Timestamp};
use store::{Page, StoreError};

use crate::support::{EVERYTHING, Install, app, deployment, env_var, web_process};

#[tokio::test]
async fn an_application_comes_back_as_it_was_given() {
    let install = Install::new().await;
    let given = app(install.company.id, "shop");
    let web = web_process(&given);
    install.ours().create_app(&given, &web).await.unwrap();
    let install = install.reopen();
    assert_eq!(install.ours().app(given.id).await.unwrap(), given, "moments included");
    assert_eq!(install.ours().app_by_name(&given.name).await.unwrap(), given);
    assert_eq!(install.ours().web_process(given.id).await.unwrap(), web);
    assert_eq!(install.ours().processes(given.id).await.unwrap(), [web]);
}

#[tokio::test]
async fn a_change_of_settings_leaves_alone_what_is_not_a_setting() {
    let install = Install::new().await;
    let mut shop = install.add_app("shop").await;
    let done = install.deploy_until(&shop, "done").await;
    install.ours().set_suspended(shop.id, true).await.unwrap();

    // A record that was read before all that.
    shop.display_name = "Il mio negozio ☕".to_owned();
    shop.source = Source::Image { reference: "nginx:2".to_owned(), credential: None };
    shop.kept.insert("auto_deploy".to_owned(), "true".to_owned());
    shop.updated_at = Timestamp::now();
    install.ours().update_app(&shop).await.unwrap();

    let stored = install.ours().app(shop.id).await.unwrap();
    assert_eq!(
        (&stored.display_name, &stored.source, &stored.kept),
        (&shop.display_name, &shop.source, &shop.kept)
    );
    assert_eq!(stored.updated_at, shop.updated_at);
    assert_eq!((stored.serving, stored.is_suspended), (Some(done.id), true));
    assert_eq!(stored.status, Some(AppStatus::DeploymentSuccess));
}

#[tokio::test]
async fn lists_have_an_order_and_a_length() {
    let install = Install::new().await;
    for name in ["a", "b", "c"] {
        install.add_app(name).await;
    }
    for (page, expected) in [
        (EVERYTHING, vec!["c", "b", "a"]),
        (Page { limit: 2, offset: 0 }, vec!["c", "b"]),
        (Page { limit: 2, offset: 2 }, vec!["a"]),
        (Page { limit: 2, offset: 9 }, vec![]),
    ] {
        let list = install.ours().apps(page).await.unwrap();
        let names: Vec<_> = list.rows.iter().map(|app| app.name.as_str()).collect();
        assert_eq!((names, list.total), (expected, 3), "{page:?}");
    }
    for name in ["Zeta", "alpha", "Mid"] {
        install.ours().create_project(name).await.unwrap();
    }
    let projects = install.ours().projects(EVERYTHING).await.unwrap();
    assert_eq!(
        projects.rows.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(),
        ["alpha", "mid", "zeta"]
    );
}

#[tokio::test]
async fn a_process_is_changed_as_a_whole() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let mut web = install.ours().web_process(shop.id).await.unwrap();
    web.entrypoint = "serve --all '; DROP TABLE apps; --".to_owned();
    web.port = Some(65535);
    web.is_ingress_enabled = false;
    web.scaling = Some(r#"{"type":"manual"}"#.to_owned());
    web.readiness_probe = None;
    install.ours().update_process(&web).await.unwrap();
    assert_eq!(install.ours().process(shop.id, web.id).await.unwrap(), web);
}

#[tokio::test]
async fn a_variable_has_one_value() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let ours = install.ours();
    let mut first = env_var(&shop, "A", "x\n=\"'\u{1f600}\0");
    let second = env_var(&shop, "B", "");
    ours.create_env_var(&first).await.unwrap();
    ours.create_env_var(&second).await.unwrap();
    assert!(matches!(ours.create_env_var(&env_var(&shop, "A", "z")).await, Err(StoreError::KeyTaken)));
    assert_eq!(ours.all_env_vars(shop.id).await.unwrap(), [first.clone(), second.clone()]);

    first.key = "B".to_owned();
    assert!(matches!(ours.update_env_var(&first).await, Err(StoreError::KeyTaken)));
    first.key = "a".to_owned();
    first.is_buildtime = Some(false);
    ours.update_env_var(&first).await.unwrap();
    assert_eq!(ours.env_var(shop.id, first.id).await.unwrap(), first);

    ours.delete_env_var(shop.id, second.id).await.unwrap();
    assert!(matches!(ours.delete_env_var(shop.id, second.id).await, Err(StoreError::NotFound)));
    assert!(matches!(ours.env_var(shop.id, EnvVarId::new()).await, Err(StoreError::NotFound)));
    let list = ours.env_vars(shop.id, EVERYTHING).await.unwrap();
    assert_eq!((list.rows, list.total), (vec![first], 1));
}

#[tokio::test]
async fn deleting_an_application_takes_everything_it_has() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let other = install.add_app("other").await;
    for app in [&shop, &other] {
        install.ours().create_env_var(&env_var(app, "A", "b")).await.unwrap();
        let done = install.deploy_until(app, "done").await;
        install.ours().append_deployment_log(done.id, "INFO", "done").await.unwrap();
        install.ours().enqueue(&deployment(app), None).await.unwrap();
    }
    install.ours().delete_app(shop.id).await.unwrap();

    assert!(matches!(install.ours().app(shop.id).await, Err(StoreError::NotFound)));
    assert!(matches!(install.ours().delete_app(shop.id).await, Err(StoreError::NotFound)));
    for table in ["apps", "processes", "env_vars", "releases", "deployment_log"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(install.raw().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "{table}");
    }
    assert_eq!(install.store.instance().serving().await.unwrap().len(), 1);
    install.add_app("shop").await;
}

#[tokio::test]
async fn an_application_is_not_deleted_under_a_running_deployment() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    for state in ["resolving", "checking", "draining"] {
        let running = install.deploy_until(&shop, state).await;
        let refused = install.ours().delete_app(shop.id).await;
        assert!(matches!(refused, Err(StoreError::DeploymentInProgress)), "{state}");
        let mut running = running;
        while !running.state.is_final() {
            running = install.step(running).await;
        }
    }
    install.ours().delete_app(shop.id).await.unwrap();
}

#[tokio::test]
async fn an_application_is_in_one_project_at_most() {
    let install = Install::new().await;
    let ours = install.ours();
    let shop = install.add_app("shop").await;
    let (red, blue) = (ours.create_project("Red").await.unwrap(), ours.create_project("Blue").await.unwrap());
    ours.add_to_project(red.id, shop.id).await.unwrap();
    ours.add_to_project(blue.id, shop.id).await.unwrap();
    assert_eq!(ours.project_apps(red.id).await.unwrap(), []);
    assert_eq!(ours.project_apps(blue.id).await.unwrap()[0].id, shop.id);
    assert!(matches!(ours.remove_from_project(red.id, shop.id).await, Err(StoreError::NotFound)));
    ours.remove_from_project(blue.id, shop.id).await.unwrap();
    assert!(matches!(ours.add_to_project(ProjectId::new(), shop.id).await, Err(StoreError::NotFound)));

    let renamed = ours.rename_project(red.id, "Rosso").await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.display_name.as_str()), ("red", "Rosso"));
    assert_eq!(ours.project(red.id).await.unwrap(), renamed);
}
