//! Registry credentials: the record, its secret, its users.

use model::{Credential, CredentialId, CredentialStatus, RegistryKind, Timestamp};
use rusqlite::params;
use store::{Page, StoreError};

use crate::support::{EVERYTHING, Install, app, credential, pulled_with, release, web_process};

async fn secret(install: &Install, id: CredentialId) -> String {
    install.ours().credential_with_secret(id).await.unwrap().1.expose().to_owned()
}

#[tokio::test]
async fn a_credential_comes_back_as_it_was_given() {
    let install = Install::new().await;
    let now = Timestamp::now();
    let every_field = Credential {
        status: CredentialStatus::Valid,
        last_verified_at: Some(now),
        last_used_at: Some(now),
        ..credential(install.company.id, "Squadra ☕")
    };
    let ecr = Credential { registry: RegistryKind::Ecr, host: None, ..credential(install.company.id, "ecr") };
    install.ours().create_credential(&every_field, "pät\n'\"\0").await.unwrap();
    install.ours().create_credential(&ecr, "").await.unwrap();

    let install = install.reopen();
    assert_eq!(install.ours().credential(every_field.id).await.unwrap(), every_field);
    assert_eq!(install.ours().credential(ecr.id).await.unwrap(), ecr);
    assert_eq!(secret(&install, every_field.id).await, "pät\n'\"\0");
    assert_eq!(secret(&install, ecr.id).await, "");
    assert!(matches!(install.ours().credential(CredentialId::new()).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn lists_begin_with_the_newest() {
    let install = Install::new().await;
    let (first, second) = (install.add_credential("b").await, install.add_credential("a").await);
    assert_eq!(install.ours().all_credentials().await.unwrap(), [second.clone(), first.clone()]);
    let list = install.ours().credentials(Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!((list.rows, list.total), (vec![first], 2));
    assert_eq!(install.ours().credentials(EVERYTHING).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn a_login_that_stays_keeps_its_secret_and_its_status() {
    let install = Install::new().await;
    let ours = install.ours();
    let before = install.add_credential("team").await;
    let checked = Timestamp::now();
    let verdict = ours.credential_checked(before.id, CredentialStatus::Valid, checked, before.updated_at);
    assert!(verdict.await.unwrap());
    install.ours().credential_used(before.id, checked).await.unwrap();

    // The record was read before the check.
    let renamed = Credential { name: "crew".to_owned(), updated_at: Timestamp::now(), ..before.clone() };
    install.ours().update_credential(&renamed, None).await.unwrap();
    let expected = Credential {
        status: CredentialStatus::Valid,
        last_verified_at: Some(checked),
        last_used_at: Some(checked),
        ..renamed
    };
    assert_eq!(install.ours().credential(before.id).await.unwrap(), expected);
    assert_eq!(secret(&install, before.id).await, "secret of team");
}

#[tokio::test]
async fn a_secret_goes_with_no_other_host_or_user() {
    let install = Install::new().await;
    let team = install.add_credential("team").await;
    let elsewhere = Credential { host: Some("evil.example".to_owned()), ..team.clone() };
    let nowhere = Credential { host: None, registry: RegistryKind::Ecr, ..team.clone() };
    let other = Credential { username: "eve".to_owned(), ..team.clone() };
    for moved in [&elsewhere, &nowhere, &other] {
        let refused = install.ours().update_credential(moved, None).await;
        assert!(matches!(refused, Err(StoreError::SecretNeeded)), "{moved:?}");
        assert_eq!(install.ours().credential(team.id).await.unwrap(), team);
    }
    for moved in [elsewhere, nowhere, other] {
        install.ours().update_credential(&moved, Some("its own")).await.unwrap();
        assert_eq!(install.ours().credential(team.id).await.unwrap(), moved);
        assert_eq!(secret(&install, team.id).await, "its own");
    }
}

#[tokio::test]
async fn an_answer_about_an_older_login_does_not_count() {
    let install = Install::new().await;
    let ours = install.ours();
    let old = install.add_credential("team").await;
    let new = Credential { updated_at: Timestamp::now(), ..old.clone() };
    install.ours().update_credential(&new, Some("another")).await.unwrap();

    let at = Timestamp::now();
    let late = ours.credential_checked(old.id, CredentialStatus::Rejected, at, old.updated_at);
    assert!(!late.await.unwrap());
    assert_eq!(install.ours().credential(old.id).await.unwrap(), new);

    for status in [CredentialStatus::Rejected, CredentialStatus::Valid] {
        let current = ours.credential_checked(old.id, status, at, new.updated_at);
        assert!(current.await.unwrap(), "an answer is no change, so the next one counts too");
        let stored = install.ours().credential(old.id).await.unwrap();
        assert_eq!(stored, Credential { status, last_verified_at: Some(at), ..new.clone() });
    }
}

#[tokio::test]
async fn the_last_use_never_goes_back() {
    let install = Install::new().await;
    let team = install.add_credential("team").await;
    for (at, expected) in [(20, 20), (10, 20), (30, 30)] {
        let moment = |second| Timestamp::from_second(second).unwrap();
        install.ours().credential_used(team.id, moment(at)).await.unwrap();
        let stored = install.ours().credential(team.id).await.unwrap();
        assert_eq!(stored.last_used_at, Some(moment(expected)));
    }
}

#[tokio::test]
async fn a_credential_in_use_is_not_deleted_unless_forced() {
    let install = Install::new().await;
    let ours = install.ours();
    let (team, other) = (install.add_credential("team").await, install.add_credential("other").await);
    let shop = install.add_app_with("shop", &team).await;
    let blog = install.add_app_with("blog", &team).await;
    let wiki = install.add_app_with("wiki", &other).await;
    install.add_app("plain").await;

    assert_eq!(ours.credential_users(team.id).await.unwrap(), [shop.clone(), blog.clone()]);
    assert_eq!(
        ours.users_of_credentials().await.unwrap(),
        [(team.id, shop.id), (team.id, blog.id), (other.id, wiki.id)]
    );
    let refused = ours.delete_credential(team.id, false).await.unwrap_err();
    assert_eq!(refused.to_string(), "applications use this credential: shop, blog");
    let StoreError::CredentialInUse(users) = refused else { panic!("{refused}") };
    assert_eq!(users, [(shop.id, "shop".to_owned()), (blog.id, "blog".to_owned())]);
    assert_eq!(ours.app(shop.id).await.unwrap(), shop, "refused whole");

    ours.delete_credential(team.id, true).await.unwrap();
    assert!(matches!(ours.credential(team.id).await, Err(StoreError::NotFound)));
    assert!(matches!(ours.delete_credential(team.id, true).await, Err(StoreError::NotFound)));
    for app in [&shop, &blog] {
        let stored = ours.app(app.id).await.unwrap();
        assert_eq!(stored.source, pulled_with(None));
        assert!(stored.updated_at > app.updated_at);
    }
    assert_eq!(ours.app(wiki.id).await.unwrap(), wiki, "what another one is for stays");
    assert_eq!(ours.users_of_credentials().await.unwrap(), [(other.id, wiki.id)]);
}

#[tokio::test]
async fn an_application_frees_its_credential_when_it_changes_or_goes() {
    let install = Install::new().await;
    let ours = install.ours();
    let team = install.add_credential("team").await;
    let mut shop = install.add_app_with("shop", &team).await;
    shop.source = pulled_with(None);
    ours.update_app(&shop).await.unwrap();
    assert_eq!(ours.credential_users(team.id).await.unwrap(), []);

    let blog = install.add_app_with("blog", &team).await;
    assert!(matches!(ours.delete_credential(team.id, false).await, Err(StoreError::CredentialInUse(_))));
    ours.delete_app(blog.id).await.unwrap();
    ours.delete_credential(team.id, false).await.unwrap();
}

#[tokio::test]
async fn an_application_uses_credentials_of_its_own_company_only() {
    let install = Install::new().await;
    let theirs = install.another_company();
    let foreign = credential(theirs.company().await.unwrap().id, "foreign");
    theirs.create_credential(&foreign, "x").await.unwrap();

    let mut shop = install.add_app("shop").await;
    let before = install.ours().app(shop.id).await.unwrap();
    for id in [foreign.id, CredentialId::new()] {
        let mut new = app(install.company.id, "new");
        new.source = pulled_with(Some(id));
        let made = install.ours().create_app(&new, &web_process(&new)).await;
        assert!(matches!(made, Err(StoreError::NotFound)), "{made:?}");
        shop.source = pulled_with(Some(id));
        let changed = install.ours().update_app(&shop).await;
        assert!(matches!(changed, Err(StoreError::NotFound)), "{changed:?}");
    }
    assert_eq!(install.ours().app(shop.id).await.unwrap(), before);
    // A hand that changes the file does not get around it either.
    let past = install.raw();
    past.pragma_update(None, "foreign_keys", true).unwrap();
    let sql = "UPDATE apps SET source = json_set(source, '$.Image.credential', ?1)";
    past.execute(sql, [foreign.id.to_string()]).unwrap_err();
    past.execute("DELETE FROM credentials", []).unwrap();
}

#[tokio::test]
async fn a_release_remembers_its_credential_also_when_that_is_gone() {
    let install = Install::new().await;
    let team = install.add_credential("team").await;
    let shop = install.add_app_with("shop", &team).await;
    let queued = install.enqueue(&shop).await;
    let mut made = release(&queued);
    made.credential = Some(team.id);
    install.ours().resolved(queued.id, &made).await.unwrap();
    install.ours().delete_credential(team.id, true).await.unwrap();
    assert_eq!(install.ours().release(made.id).await.unwrap(), made);
}

#[tokio::test]
async fn a_sealed_secret_moved_to_another_row_or_company_does_not_open() {
    let install = Install::new().await;
    let theirs = install.another_company();
    let (mine, next) = (install.add_credential("mine").await, install.add_credential("next").await);
    let foreign = credential(theirs.company().await.unwrap().id, "foreign");
    theirs.create_credential(&foreign, "theirs").await.unwrap();

    let copy = "UPDATE credentials SET secret = (SELECT secret FROM credentials WHERE id = ?1) WHERE id = ?2";
    for target in [next.id, foreign.id] {
        install.raw().execute(copy, params![mine.id.to_string(), target.to_string()]).unwrap();
    }
    let moved = install.ours().credential_with_secret(next.id).await.err().unwrap();
    assert!(matches!(moved, StoreError::Damaged(_)), "{moved}");
    assert!(moved.to_string().contains(&next.id.to_string()), "{moved}");
    assert!(matches!(theirs.credential_with_secret(foreign.id).await.err(), Some(StoreError::Damaged(_))));
    assert_eq!(secret(&install, mine.id).await, "secret of mine");

    // The whole row goes over to the other company.
    let sql = "UPDATE credentials SET company = ?1 WHERE id = ?2";
    install.raw().execute(sql, params![foreign.company.to_string(), mine.id.to_string()]).unwrap();
    assert!(matches!(theirs.credential_with_secret(mine.id).await.err(), Some(StoreError::Damaged(_))));
    assert_eq!(theirs.credential(mine.id).await.unwrap().name, "mine", "only the secret is lost");
}
