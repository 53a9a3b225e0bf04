//! Opening: private files, the right key, a whole database of a known version.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use store::{KeyProblem, Store, StoreError};

use crate::support::{EVERYTHING, Install, env_var};

fn refusal(folder: &Path) -> StoreError {
    Store::open(folder).err().expect("it is refused")
}

fn key_problem(folder: &Path) -> KeyProblem {
    match refusal(folder) {
        StoreError::Key { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_file_is_private_whatever_the_folder_is() {
    let install = Install::new().await;
    fs::set_permissions(install.database(), Permissions::from_mode(0o644)).unwrap();
    let install = install.reopen();
    install.add_app("shop").await;
    for name in ["darsena.db", "darsena.db-wal", "darsena.db-shm", "key"] {
        let mode = fs::metadata(install.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let inner = install.path().join("new");
    Store::open(&inner).unwrap();
    assert_eq!(fs::metadata(inner).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_missing_unfit_or_foreign_key_is_refused_and_named() {
    let install = Install::new().await;
    let folder = install.path().to_owned();
    let key = folder.join("key");
    let Install { store, folder: _guard, .. } = install;
    drop(store);
    let right = fs::read(&key).unwrap();
    assert_eq!(right.len(), 32);

    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    assert_eq!(key_problem(&folder), KeyProblem::Readable(0o640));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    fs::write(&key, &right[..31]).unwrap();
    assert_eq!(key_problem(&folder), KeyProblem::Length(31));

    let mut flipped = right.clone();
    flipped[5] ^= 1;
    fs::write(&key, &flipped).unwrap();
    let wrong = refusal(&folder);
    assert!(matches!(&wrong, StoreError::Key { problem: KeyProblem::Wrong { .. }, .. }), "{wrong}");
    assert!(!wrong.to_string().contains(&hex::encode(&right[..4])), "no byte of the key in the words");

    fs::remove_file(&key).unwrap();
    assert_eq!(key_problem(&folder), KeyProblem::Missing);
    assert!(!key.exists(), "no new key for an old database");

    let elsewhere = folder.join("elsewhere");
    fs::write(&elsewhere, &right).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &key).unwrap();
    assert_eq!(key_problem(&folder), KeyProblem::NoFile);

    fs::remove_file(&key).unwrap();
    fs::rename(&elsewhere, &key).unwrap();
    Store::open(&folder).unwrap();
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_untouched() {
    let install = Install::new().await;
    let known: u32 = install.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    install.raw().pragma_update(None, "user_version", 99).unwrap();
    let error = refusal(install.path());
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    install.raw().pragma_update(None, "user_version", known).unwrap();
    Store::open(install.path()).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let install = Install::new().await;
    let database = install.database();
    let Install { store, folder, .. } = install;
    drop(store);
    let whole = fs::read(&database).unwrap();

    assert!(!folder.path().join("darsena.db-wal").exists(), "closing moved everything into the file");
    for other in [&b""[..], b"no database at all, but long enough to be looked at", &whole[..whole.len() / 2]]
    {
        fs::write(&database, other).unwrap();
        let error = refusal(folder.path());
        assert!(matches!(error, StoreError::Damaged(_)), "{} bytes: {error}", other.len());
    }

    let mut torn = whole.clone();
    for page in torn.chunks_mut(4096).skip(1) {
        page[..2048].fill(0xa5);
    }
    fs::write(&database, &torn).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");

    fs::write(&database, &whole).unwrap();
    Store::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_begins_again() {
    let whole = Install::new().await;
    // After each step of it: the key, and a database that is not in place yet.
    for left_over in ["", "darsena.db-new", "darsena.db-new-wal"] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(whole.path().join("key"), folder.path().join("key")).unwrap();
        if !left_over.is_empty() {
            fs::write(folder.path().join(left_over), "half").unwrap();
        }
        let store = Store::open(folder.path()).unwrap();
        assert!(store.instance().setup_token().await.unwrap().is_some(), "{left_over}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let install = Install::new().await;
    let app = install.add_app("shop").await;
    let var = env_var(&app, "A", "b");
    install.ours().create_env_var(&var).await.unwrap();
    let deployment = install.deploy_until(&app, "checking").await;

    // The files as a crash would leave them: taken while the store is open.
    let copy = tempfile::tempdir().unwrap();
    for name in ["darsena.db", "darsena.db-wal", "key"] {
        fs::copy(install.path().join(name), copy.path().join(name)).unwrap();
    }
    let after = Store::open(copy.path()).unwrap();
    let ours = after.company(install.company.id);
    assert_eq!(ours.app(app.id).await.unwrap(), install.ours().app(app.id).await.unwrap());
    assert_eq!(ours.all_env_vars(app.id).await.unwrap(), [var]);
    assert_eq!(after.instance().unfinished().await.unwrap(), std::slice::from_ref(&deployment));
    let release = ours.release(deployment.release.unwrap()).await.unwrap();
    assert_eq!(release.env, [("PORT".to_owned(), "8080".to_owned())]);
}

#[tokio::test]
async fn closing_waits_for_the_changes_that_were_handed_over() {
    let install = Install::new().await;
    let app = install.add_app("shop").await;
    let deployment = install.enqueue(&app).await;
    let company = install.ours();
    for line in 0..50 {
        // Asked for, and gone before the answer: what was handed over happens nevertheless.
        let text = line.to_string();
        tokio::select! {
            biased;
            _ = company.append_deployment_log(deployment.id, "INFO", &text) => {}
            () = std::future::ready(()) => {}
        }
    }
    drop(company);
    let install = install.reopen();
    assert_eq!(install.ours().apps(EVERYTHING).await.unwrap().total, 1);
    let lines: i64 =
        install.raw().query_row("SELECT count(*) FROM deployment_log", [], |row| row.get(0)).unwrap();
    assert_eq!(lines, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_and_readers_get_along() {
    let install = Install::new().await;
    let app = install.add_app("shop").await;
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let (company, app) = (install.ours(), app.clone());
            tokio::spawn(async move {
                company.create_env_var(&env_var(&app, &format!("K{number}"), "v")).await.unwrap();
                let seen = company.env_vars(app.id, EVERYTHING).await.unwrap();
                assert_eq!(seen.rows.len() as u64, seen.total, "one moment");
                assert!(seen.rows.iter().any(|var| var.key == format!("K{number}")), "what I wrote I read");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(install.ours().all_env_vars(app.id).await.unwrap().len(), 60);
}
