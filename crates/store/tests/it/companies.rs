//! Two companies never see or change each other's rows, whatever ids they know.

use std::fmt::Debug;

use model::access::{ApiKey, Capability};
use model::{ApiKeyId, CredentialStatus, Timestamp};
use store::{DeploymentLogQuery, NewToken, StoreError};

use crate::support::{EVERYTHING, Install, app, deployment, env_var, release, web_process};

#[track_caller]
fn absent<T: Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
}

#[tokio::test]
async fn an_id_of_another_company_is_not_found() {
    let install = Install::new().await;
    let (ours, theirs) = (install.ours(), install.another_company());
    let shop = install.add_app("shop").await;
    let web = ours.web_process(shop.id).await.unwrap();
    let var = env_var(&shop, "A", "b");
    ours.create_env_var(&var).await.unwrap();
    let project = ours.create_project("Team").await.unwrap();
    ours.add_to_project(project.id, shop.id).await.unwrap();
    let done = install.deploy_until(&shop, "done").await;
    let queued = install.enqueue(&shop).await;
    let shop = ours.app(shop.id).await.unwrap();
    let all_lines = DeploymentLogQuery { from: None, to: None, text: None, limit: 10 };

    absent(theirs.app(shop.id).await);
    absent(theirs.app_by_name(&shop.name).await);
    absent(theirs.update_app(&shop).await);
    absent(theirs.set_suspended(shop.id, true).await);
    absent(theirs.delete_app(shop.id).await);
    absent(theirs.web_process(shop.id).await);
    absent(theirs.process(shop.id, web.id).await);
    absent(theirs.update_process(&web).await);
    absent(theirs.env_var(shop.id, var.id).await);
    absent(theirs.create_env_var(&env_var(&shop, "B", "c")).await);
    absent(theirs.update_env_var(&var).await);
    absent(theirs.delete_env_var(shop.id, var.id).await);
    absent(theirs.enqueue(&deployment(&shop), None).await);
    absent(theirs.deployment(shop.id, done.id).await);
    absent(theirs.save_deployment(&queued).await);
    absent(theirs.resolved(queued.id, &release(&queued)).await);
    absent(theirs.release(done.release.unwrap()).await);
    absent(theirs.switch(queued.id).await);
    absent(theirs.append_deployment_log(done.id, "INFO", "x").await);
    absent(theirs.deployment_log(shop.id, done.id, &all_lines).await);
    absent(theirs.project(project.id).await);
    absent(theirs.rename_project(project.id, "x").await);
    absent(theirs.delete_project(project.id).await);
    absent(theirs.project_apps(project.id).await);
    absent(theirs.add_to_project(project.id, shop.id).await);
    absent(theirs.remove_from_project(project.id, shop.id).await);
    let (login, now) = (install.add_credential("team").await, Timestamp::now());
    absent(theirs.create_credential(&login, "x").await);
    absent(theirs.credential(login.id).await);
    absent(theirs.credential_users(login.id).await);
    absent(theirs.credential_with_secret(login.id).await.map(|_| ()));
    absent(theirs.update_credential(&login, Some("x")).await);
    absent(theirs.delete_credential(login.id, true).await);
    absent(theirs.credential_checked(login.id, CredentialStatus::Valid, now, login.updated_at).await);
    absent(theirs.credential_used(login.id, now).await);
    assert_eq!(ours.credential(login.id).await.unwrap(), login);
    absent(theirs.api_key(install.key.id).await);
    absent(theirs.update_api_key(&install.key).await);
    absent(theirs.set_api_key_enabled(install.key.id, false).await);
    let token = NewToken { hash: [1; 32], masked: "x".to_owned(), old_valid_until: None };
    absent(theirs.rotate_api_key(install.key.id, token).await);
    absent(theirs.delete_api_key(install.key.id).await);

    assert_eq!(theirs.apps(EVERYTHING).await.unwrap().total, 0);
    assert_eq!(theirs.credentials(EVERYTHING).await.unwrap().total, 0);
    assert_eq!(theirs.all_credentials().await.unwrap(), []);
    assert_eq!(theirs.users_of_credentials().await.unwrap(), []);
    assert_eq!(theirs.processes(shop.id).await.unwrap(), []);
    assert_eq!(theirs.all_env_vars(shop.id).await.unwrap(), []);
    assert_eq!(theirs.env_vars(shop.id, EVERYTHING).await.unwrap().total, 0);
    assert_eq!(theirs.deployments(shop.id, EVERYTHING).await.unwrap().total, 0);
    assert_eq!(theirs.next_unfinished(shop.id).await.unwrap(), None);
    assert_eq!(theirs.last_successful(shop.id, None).await.unwrap(), None);
    assert_eq!(theirs.projects(EVERYTHING).await.unwrap().total, 0);
    assert_eq!(theirs.api_keys(EVERYTHING).await.unwrap().total, 0);
    assert_eq!(theirs.audit(EVERYTHING).await.unwrap().total, 0);

    // Nothing of that had an effect.
    assert_eq!(ours.app(shop.id).await.unwrap(), shop);
    assert_eq!(ours.process(shop.id, web.id).await.unwrap(), web);
    assert_eq!(ours.all_env_vars(shop.id).await.unwrap(), [var]);
    assert_eq!(ours.deployment(shop.id, queued.id).await.unwrap(), queued);
    assert_eq!(ours.deployment_log(shop.id, done.id, &all_lines).await.unwrap(), []);
    assert_eq!(ours.project(project.id).await.unwrap(), project);
    assert_eq!(ours.api_key(install.key.id).await.unwrap(), install.key);
}

#[tokio::test]
async fn ids_of_another_company_inside_a_record_are_refused_too() {
    let install = Install::new().await;
    let theirs = install.another_company();
    let project = install.ours().create_project("Team").await.unwrap();
    let shop = install.add_app("shop").await;
    let done = install.deploy_until(&shop, "done").await;

    let mut intruder = app(theirs.company().await.unwrap().id, "intruder");
    intruder.project = Some(project.id);
    absent(theirs.create_app(&intruder, &web_process(&intruder)).await);
    intruder.project = None;
    theirs.create_app(&intruder, &web_process(&intruder)).await.unwrap();
    intruder.project = Some(project.id);
    absent(theirs.update_app(&intruder).await);
    absent(theirs.add_to_project(project.id, intruder.id).await);

    // Our release, rolled out by them; our app's id, with their company beside it.
    let mut stolen = deployment(&intruder);
    stolen.release = done.release;
    absent(theirs.enqueue(&stolen, None).await);
    let mut var = env_var(&shop, "LD_PRELOAD", "x");
    var.company = intruder.company;
    absent(theirs.create_env_var(&var).await);
    let mut stolen = deployment(&shop);
    stolen.company = intruder.company;
    absent(theirs.enqueue(&stolen, None).await);
    // A record that says it is another company's than the one it is stored for.
    absent(install.ours().create_app(&app(intruder.company, "x"), &web_process(&intruder)).await);
    assert_eq!(theirs.deployments(intruder.id, EVERYTHING).await.unwrap().total, 0);
}

#[tokio::test]
async fn names_of_applications_are_unique_for_all_and_of_projects_for_one() {
    let install = Install::new().await;
    let theirs = install.another_company();
    install.add_app("shop").await;
    let second = app(theirs.company().await.unwrap().id, "shop");
    let refused = theirs.create_app(&second, &web_process(&second)).await;
    assert!(matches!(refused, Err(StoreError::NameTaken)));
    assert_eq!(theirs.processes(second.id).await.unwrap(), [], "nothing half done");

    for (company, name) in [(&theirs, "team"), (&install.ours(), "team"), (&theirs, "team-2")] {
        assert_eq!(company.create_project("Team").await.unwrap().name, name);
    }
}

#[tokio::test]
async fn a_project_that_goes_takes_only_its_own_companys_capabilities() {
    let install = Install::new().await;
    let (ours, theirs) = (install.ours(), install.another_company());
    let project = ours.create_project("Team").await.unwrap();
    let limited = |key: &ApiKey, company| {
        let capability = |resource: Option<String>| Capability {
            id: ApiKeyId::new().uuid(),
            permission: "PROJECT:READ".to_owned(),
            id_resource: resource,
        };
        let capabilities = vec![capability(Some(project.id.to_string())), capability(None)];
        ApiKey { id: ApiKeyId::new(), company, capabilities, ..key.clone() }
    };
    let mine = limited(&install.key, install.company.id);
    let other = limited(&install.key, theirs.company().await.unwrap().id);
    ours.create_api_key(&mine, [1; 32]).await.unwrap();
    theirs.create_api_key(&other, [2; 32]).await.unwrap();
    let shop = install.add_app("shop").await;
    ours.add_to_project(project.id, shop.id).await.unwrap();
    assert_eq!(ours.project_apps(project.id).await.unwrap().len(), 1);

    ours.delete_project(project.id).await.unwrap();
    assert_eq!(ours.api_key(mine.id).await.unwrap().capabilities, mine.capabilities[1..]);
    assert_eq!(theirs.api_key(other.id).await.unwrap().capabilities, other.capabilities);
    assert_eq!(ours.app(shop.id).await.unwrap().project, None);
    absent(ours.project(project.id).await);
}
