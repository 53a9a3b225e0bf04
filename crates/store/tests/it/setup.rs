//! The first account: with the token, once.

use std::os::unix::fs::PermissionsExt;

use store::{Store, StoreError};

use crate::support::{Install, setup};

#[tokio::test]
async fn the_token_is_in_a_private_file_until_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("setup-token");
    let store = Store::open(folder.path()).unwrap();
    assert!(!store.instance().is_set_up().await.unwrap());

    let token = store.instance().setup_token().await.unwrap().unwrap();
    assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), token);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let database = std::fs::read(folder.path().join("darsena.db-wal")).unwrap();
    assert!(
        !database.windows(token.len()).any(|bytes| bytes == token.as_bytes()),
        "the database has its hash only"
    );

    let (company, user, key) = store.instance().complete_setup(setup(&token)).await.unwrap();
    assert!(!file.exists());
    assert_eq!(store.instance().setup_token().await.unwrap(), None);
    assert!(store.instance().is_set_up().await.unwrap());
    assert_eq!((company.name.as_str(), user.email.as_str()), ("Acme", "ada@example.org"));
    assert_eq!((user.company, key.company), (company.id, company.id));
    assert_eq!(store.company(company.id).company().await.unwrap(), company);
    let (found, hash) = store.instance().user_by_email("ADA@example.org").await.unwrap().unwrap();
    assert_eq!((found, hash.as_str()), (user, "$argon2id$stands-for-a-hash"));
    assert_eq!(store.instance().user_by_email("bob@example.org").await.unwrap(), None);
    assert_eq!(store.instance().key_by_token_hash([7; 32]).await.unwrap(), Some((key, false)));
}

#[tokio::test]
async fn a_wrong_token_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let token = store.instance().setup_token().await.unwrap().unwrap();
    for wrong in ["", "0", &token[1..], &token.to_uppercase(), &format!("{token}0")] {
        let refused = store.instance().complete_setup(setup(wrong)).await;
        assert!(matches!(refused, Err(StoreError::SetupTokenWrong)), "{wrong:?}");
    }
    assert!(!store.instance().is_set_up().await.unwrap());
    store.instance().complete_setup(setup(&format!("{token}\n"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_setups_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let token = store.instance().setup_token().await.unwrap().unwrap();
    let attempts: Vec<_> = (0..16)
        .map(|_| {
            let (instance, setup) = (store.instance(), setup(&token));
            tokio::spawn(async move { instance.complete_setup(setup).await })
        })
        .collect();
    let mut winners = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => winners += 1,
            Err(error) => assert!(matches!(error, StoreError::SetupDone), "{error}"),
        }
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn the_token_stays_the_same_until_its_file_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let token = |store: Store| async move { store.instance().setup_token().await.unwrap().unwrap() };
    let first = token(Store::open(folder.path()).unwrap()).await;
    assert_eq!(token(Store::open(folder.path()).unwrap()).await, first);

    std::fs::remove_file(folder.path().join("setup-token")).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_ne!(token(store.clone()).await, first);
    let refused = store.instance().complete_setup(setup(&first)).await;
    assert!(matches!(refused, Err(StoreError::SetupTokenWrong)));
}

#[tokio::test]
async fn a_token_file_that_outlived_the_setup_goes_at_the_next_start() {
    let install = Install::new().await;
    let file = install.path().join("setup-token");
    std::fs::write(&file, "left over").unwrap();
    let install = install.reopen();
    assert!(!file.exists());
    assert!(install.store.instance().is_set_up().await.unwrap());
}
