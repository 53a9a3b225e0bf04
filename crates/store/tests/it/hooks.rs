//! Hooks: one of each kind for an application, found without a company.

use model::{AppId, Timestamp};
use store::{HookKind, StoreError};

use crate::support::Install;

#[tokio::test]
async fn an_application_has_one_hook_of_each_kind() {
    let install = Install::new().await;
    let (ours, shop) = (install.ours(), install.add_app("shop").await);
    assert_eq!(ours.hook(shop.id, HookKind::Deploy).await.unwrap(), None);
    assert!(!ours.remove_hook(shop.id, HookKind::Deploy).await.unwrap());

    let made = ours.set_hook(shop.id, HookKind::Deploy, "first").await.unwrap();
    ours.set_hook(shop.id, HookKind::Push, "of pushes").await.unwrap();
    assert_eq!(ours.hook(shop.id, HookKind::Deploy).await.unwrap(), Some(made.clone()));
    let at = Timestamp::now();
    ours.hook_called(shop.id, HookKind::Deploy, at).await.unwrap();
    let (called, secret) = ours.hook_with_secret(shop.id, HookKind::Deploy).await.unwrap().unwrap();
    assert_eq!((called.last_called_at, secret.expose()), (Some(at), "first"));

    ours.set_hook(shop.id, HookKind::Deploy, "second").await.unwrap();
    let (fresh, secret) = ours.hook_with_secret(shop.id, HookKind::Deploy).await.unwrap().unwrap();
    assert_eq!((fresh.last_called_at, secret.expose()), (None, "second"), "nobody called the new one yet");
    assert!(ours.remove_hook(shop.id, HookKind::Deploy).await.unwrap());
    assert_eq!(ours.hook(shop.id, HookKind::Deploy).await.unwrap(), None);
    let (_, secret) = ours.hook_with_secret(shop.id, HookKind::Push).await.unwrap().unwrap();
    assert_eq!(secret.expose(), "of pushes");
    ours.hook_called(shop.id, HookKind::Deploy, at).await.expect("it is gone, which is nobody's fault");

    ours.delete_app(shop.id).await.unwrap();
    let count: i64 = install.raw().query_row("SELECT count(*) FROM hooks", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0, "they go with their application");
}

#[tokio::test]
async fn another_company_has_no_part_in_it() {
    let install = Install::new().await;
    let (theirs, shop) = (install.another_company(), install.add_app("shop").await);
    install.ours().set_hook(shop.id, HookKind::Push, "ours").await.unwrap();
    assert!(matches!(theirs.hook(shop.id, HookKind::Push).await, Err(StoreError::NotFound)));
    let secret = theirs.hook_with_secret(shop.id, HookKind::Push).await;
    assert!(matches!(secret.err(), Some(StoreError::NotFound)));
    assert!(matches!(theirs.set_hook(shop.id, HookKind::Push, "x").await, Err(StoreError::NotFound)));
    assert!(matches!(theirs.remove_hook(shop.id, HookKind::Push).await, Err(StoreError::NotFound)));
    theirs.hook_called(shop.id, HookKind::Push, Timestamp::now()).await.unwrap();
    let (hook, secret) = install.ours().hook_with_secret(shop.id, HookKind::Push).await.unwrap().unwrap();
    assert_eq!((hook.last_called_at, secret.expose()), (None, "ours"));
}

#[tokio::test]
async fn whoever_calls_names_no_company() {
    let install = Install::new().await;
    let shop = install.add_app("shop").await;
    install.ours().set_hook(shop.id, HookKind::Push, "secret").await.unwrap();
    let instance = install.store.instance();
    let called = instance.called_hook(shop.id, HookKind::Push).await.unwrap().unwrap();
    assert_eq!((called.company, called.secret.expose()), (install.company.id, "secret"));
    assert!(instance.called_hook(shop.id, HookKind::Deploy).await.unwrap().is_none());
    assert!(instance.called_hook(AppId::new(), HookKind::Push).await.unwrap().is_none());

    // A secret that is put at another kind's place does not open there.
    let sql = "UPDATE hooks SET kind = 'deploy'";
    install.raw().execute(sql, []).unwrap();
    assert!(matches!(
        instance.called_hook(shop.id, HookKind::Deploy).await.err(),
        Some(StoreError::Damaged(_))
    ));
}
