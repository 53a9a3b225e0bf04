//! Values of variables are sealed: on the disk, and to their place.

use std::fs;

use rusqlite::params;
use store::{HookKind, StoreError};

use crate::support::{EVERYTHING, Install, app, credential, env_var, git_credential, release, web_process};

const CANARY: &str = "canary-3f9c1d5e-never-on-the-disk";

fn is_on_disk(install: &Install) -> bool {
    fs::read_dir(install.path()).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    })
}

#[tokio::test]
async fn a_value_is_never_on_the_disk() {
    let install = Install::new().await;
    let app = install.add_app("shop").await;
    let mut var = env_var(&app, "SECRET", CANARY);
    install.ours().create_env_var(&var).await.unwrap();
    var.value = format!("{CANARY} again");
    install.ours().update_env_var(&var).await.unwrap();

    let login = credential(install.company.id, "team");
    install.ours().create_credential(&login, CANARY).await.unwrap();
    install.ours().update_credential(&login, Some(&format!("{CANARY} again"))).await.unwrap();

    let bot = git_credential(install.company.id, "bot");
    install.ours().create_git_credential(&bot, CANARY).await.unwrap();
    install.ours().update_git_credential(&bot, Some(CANARY)).await.unwrap();
    install.ours().set_hook(app.id, HookKind::Push, CANARY).await.unwrap();

    let queued = install.enqueue(&app).await;
    let mut release = release(&queued);
    release.env = vec![("SECRET".to_owned(), CANARY.to_owned())];
    install.ours().resolved(queued.id, &release).await.unwrap();

    assert!(!is_on_disk(&install), "database and log");
    let install = install.reopen();
    assert!(!is_on_disk(&install), "after a checkpoint");
    assert_eq!(install.ours().env_var(app.id, var.id).await.unwrap(), var);
    assert_eq!(install.ours().release(release.id).await.unwrap(), release);
    let secret = install.ours().credential_with_secret(login.id).await.unwrap().1;
    assert_eq!(secret.expose(), format!("{CANARY} again"));
    assert!(!format!("{var:?}{release:?}").contains(CANARY));
}

#[tokio::test]
async fn a_sealed_value_opens_at_its_own_place_only() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    let (mine, other) = (env_var(&shop, "A", CANARY), env_var(&shop, "B", "other"));
    install.ours().create_env_var(&mine).await.unwrap();
    install.ours().create_env_var(&other).await.unwrap();

    let sql = "UPDATE env_vars SET value = (SELECT value FROM env_vars WHERE id = ?1) WHERE id = ?2";
    install.raw().execute(sql, params![mine.id.to_string(), other.id.to_string()]).unwrap();
    let moved = install.ours().env_var(shop.id, other.id).await.unwrap_err();
    assert!(matches!(moved, StoreError::Damaged(_)), "{moved}");
    assert!(
        moved.to_string().contains(&other.id.to_string()) && !moved.to_string().contains(CANARY),
        "{moved}"
    );
    assert_eq!(install.ours().env_var(shop.id, mine.id).await.unwrap(), mine);

    // The whole row moved to another company, foreign keys and all.
    let theirs = install.another_company();
    let thief = app(theirs.company().await.unwrap().id, "thief");
    theirs.create_app(&thief, &web_process(&thief)).await.unwrap();
    let sql = "UPDATE env_vars SET app = ?1, company = ?2 WHERE id = ?3";
    install
        .raw()
        .execute(sql, params![thief.id.to_string(), thief.company.to_string(), mine.id.to_string()])
        .unwrap();
    assert!(matches!(theirs.all_env_vars(thief.id).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn a_changed_byte_does_not_open() {
    let install = Install::new().await;
    let app = install.add_app("shop").await;
    let var = env_var(&app, "A", CANARY);
    install.ours().create_env_var(&var).await.unwrap();
    let sealed: Vec<u8> =
        install.raw().query_row("SELECT value FROM env_vars", [], |row| row.get(0)).unwrap();
    assert_eq!(sealed.len(), 1 + 24 + CANARY.len() + 16);
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        install.raw().execute("UPDATE env_vars SET value = ?1", [changed]).unwrap();
        let read = install.ours().env_vars(app.id, EVERYTHING).await;
        assert!(matches!(read, Err(StoreError::Damaged(_))), "byte {position}");
    }
    for shorter in [0, 1, 25] {
        install.raw().execute("UPDATE env_vars SET value = ?1", [&sealed[..shorter]]).unwrap();
        assert!(matches!(install.ours().env_vars(app.id, EVERYTHING).await, Err(StoreError::Damaged(_))));
    }
}

#[tokio::test]
async fn equal_values_look_different() {
    let install = Install::new().await;
    let app = install.add_app("shop").await;
    let var = env_var(&app, "A", CANARY);
    install.ours().create_env_var(&var).await.unwrap();
    let sealed = || -> Vec<u8> {
        install.raw().query_row("SELECT value FROM env_vars", [], |row| row.get(0)).unwrap()
    };
    let first = sealed();
    install.ours().update_env_var(&var).await.unwrap();
    assert_ne!(sealed(), first);
}
