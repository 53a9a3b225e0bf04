//! Git credentials: the record, its secret, its users.

use model::git::{GitCredential, GitLogin};
use model::{App, GitCredentialId, Source, Timestamp};
use rusqlite::params;
use store::{Page, StoreError};

use crate::support::{EVERYTHING, Install, app, built_with, git_credential, web_process};

fn deploy_key(install: &Install) -> GitCredential {
    GitCredential {
        login: GitLogin::DeployKey {
            public_key: "ssh-ed25519 AAAA shop".to_owned(),
            host_keys: vec!["ssh-ed25519 BBBB".to_owned()],
        },
        ..git_credential(install.company.id, "key")
    }
}

async fn add(install: &Install, name: &str) -> GitCredential {
    let credential = git_credential(install.company.id, name);
    install.ours().create_git_credential(&credential, &format!("token of {name}")).await.unwrap();
    credential
}

async fn add_app(install: &Install, name: &str, credential: Option<GitCredentialId>) -> App {
    let app = App { source: built_with(credential), ..app(install.company.id, name) };
    install.ours().create_app(&app, &web_process(&app)).await.unwrap();
    app
}

async fn secret(install: &Install, id: GitCredentialId) -> String {
    install.ours().git_credential_with_secret(id).await.unwrap().1.expose().to_owned()
}

#[tokio::test]
async fn a_credential_comes_back_as_it_was_given() {
    let install = Install::new().await;
    let (token, key) = (add(&install, "bot").await, deploy_key(&install));
    install.ours().create_git_credential(&key, "-----BEGIN\n").await.unwrap();
    let install = install.reopen();
    let ours = install.ours();
    assert_eq!(ours.git_credential(token.id).await.unwrap(), token);
    assert_eq!(ours.git_credential_with_secret(key.id).await.unwrap().0, key);
    assert_eq!(secret(&install, key.id).await, "-----BEGIN\n");
    assert_eq!(secret(&install, token.id).await, "token of bot");
    assert_eq!(ours.all_git_credentials().await.unwrap(), [key.clone(), token.clone()]);
    let list = ours.git_credentials(Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!((list.rows, list.total), (vec![token], 2));
    assert!(matches!(ours.git_credential(GitCredentialId::new()).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn another_company_sees_none_of_it() {
    let install = Install::new().await;
    let (bot, theirs) = (add(&install, "bot").await, install.another_company());
    assert!(matches!(theirs.git_credential(bot.id).await, Err(StoreError::NotFound)));
    assert!(matches!(theirs.git_credential_with_secret(bot.id).await.err(), Some(StoreError::NotFound)));
    assert!(matches!(theirs.git_credential_users(bot.id).await, Err(StoreError::NotFound)));
    assert!(matches!(theirs.delete_git_credential(bot.id, true).await, Err(StoreError::NotFound)));
    assert!(matches!(theirs.git_credential_used(bot.id, Timestamp::now()).await, Err(StoreError::NotFound)));
    assert!(matches!(theirs.update_git_credential(&bot, None).await, Err(StoreError::NotFound)));
    assert_eq!(theirs.git_credentials(EVERYTHING).await.unwrap().total, 0);

    let foreign = git_credential(theirs.company().await.unwrap().id, "foreign");
    theirs.create_git_credential(&foreign, "x").await.unwrap();
    for id in [foreign.id, GitCredentialId::new()] {
        let app = App { source: built_with(Some(id)), ..app(install.company.id, "new") };
        let made = install.ours().create_app(&app, &web_process(&app)).await;
        assert!(matches!(made, Err(StoreError::NotFound)), "{made:?}");
    }
}

#[tokio::test]
async fn a_secret_goes_with_no_other_host_or_login() {
    let install = Install::new().await;
    let bot = add(&install, "bot").await;
    let used = Timestamp::now();
    install.ours().git_credential_used(bot.id, used).await.unwrap();
    let renamed = GitCredential { name: "crew".to_owned(), ..bot.clone() };
    install.ours().update_git_credential(&renamed, None).await.unwrap();
    let expected = GitCredential { last_used_at: Some(used), ..renamed.clone() };
    assert_eq!(install.ours().git_credential(bot.id).await.unwrap(), expected);

    let elsewhere = GitCredential { host: "evil.example".to_owned(), ..renamed.clone() };
    let other = GitCredential { login: GitLogin::Token { username: "eve".to_owned() }, ..renamed.clone() };
    let key = GitCredential { login: deploy_key(&install).login, ..renamed };
    for moved in [elsewhere, other, key] {
        let refused = install.ours().update_git_credential(&moved, None).await;
        assert!(matches!(refused, Err(StoreError::SecretNeeded)), "{moved:?}");
        assert_eq!(install.ours().git_credential(bot.id).await.unwrap(), expected);
        assert_eq!(secret(&install, bot.id).await, "token of bot");
    }
    let moved = GitCredential { host: "git.example.org".to_owned(), ..expected };
    install.ours().update_git_credential(&moved, Some("its own")).await.unwrap();
    assert_eq!(install.ours().git_credential(bot.id).await.unwrap(), moved);
    assert_eq!(secret(&install, bot.id).await, "its own");
}

#[tokio::test]
async fn a_credential_in_use_is_not_deleted_unless_forced() {
    let install = Install::new().await;
    let ours = install.ours();
    let (bot, other) = (add(&install, "bot").await, add(&install, "other").await);
    let shop = add_app(&install, "shop", Some(bot.id)).await;
    let wiki = add_app(&install, "wiki", Some(other.id)).await;
    add_app(&install, "public", None).await;
    install.add_app("image").await;
    assert_eq!(ours.git_credential_users(bot.id).await.unwrap(), std::slice::from_ref(&shop));
    assert_eq!(ours.users_of_git_credentials().await.unwrap(), [(bot.id, shop.id), (other.id, wiki.id)]);
    let refused = ours.delete_git_credential(bot.id, false).await.unwrap_err();
    assert_eq!(refused.to_string(), "applications use this credential: shop");
    ours.delete_git_credential(bot.id, true).await.unwrap();
    assert_eq!(ours.app(shop.id).await.unwrap().source, built_with(None));
    assert_eq!(ours.app(wiki.id).await.unwrap(), wiki, "what another one is for stays");
}

/// A source that is built has no part of one that is pulled, also after its credentials are gone.
#[tokio::test]
async fn a_login_for_base_images_goes_and_the_source_stays_whole() {
    let install = Install::new().await;
    let (team, ours) = (install.add_credential("team").await, install.ours());
    let mut source = built_with(None);
    let Source::Git(git) = &mut source else { unreachable!("it is one") };
    git.build.base_credential = Some(team.id);
    let shop = App { source, ..app(install.company.id, "shop") };
    ours.create_app(&shop, &web_process(&shop)).await.unwrap();
    let pulled = install.add_app_with("pulled", &team).await;
    assert_eq!(ours.credential_users(team.id).await.unwrap(), [shop.clone(), pulled]);
    assert!(matches!(ours.delete_credential(team.id, false).await, Err(StoreError::CredentialInUse(_))));
    ours.delete_credential(team.id, true).await.unwrap();
    assert_eq!(ours.app(shop.id).await.unwrap().source, built_with(None));
}

#[tokio::test]
async fn a_sealed_secret_moved_to_another_row_does_not_open() {
    let install = Install::new().await;
    let (mine, next) = (add(&install, "mine").await, add(&install, "next").await);
    let copy = "UPDATE git_credentials SET secret = (SELECT secret FROM git_credentials WHERE id = ?1) WHERE id = ?2";
    install.raw().execute(copy, params![mine.id.to_string(), next.id.to_string()]).unwrap();
    let moved = install.ours().git_credential_with_secret(next.id).await.err().unwrap();
    assert!(matches!(moved, StoreError::Damaged(_)), "{moved}");
}
