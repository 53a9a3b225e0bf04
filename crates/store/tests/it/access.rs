//! API keys and the audit log.

use jiff::SignedDuration;
use model::access::{ApiKey, Capability, Role};
use model::{ApiKeyId, Timestamp};
use store::{AuditEntry, NewToken, StoreError};

use crate::support::{EVERYTHING, Install};

#[tokio::test]
async fn a_key_comes_back_as_it_was_given() {
    let install = Install::new().await;
    let ours = install.ours();
    let mut key = ApiKey {
        id: ApiKeyId::new(),
        name: "deploy".to_owned(),
        roles: vec![Role::Developer, Role::Viewer],
        expired_at: Some("2030-01-01T00:00:00+02:00".to_owned()),
        ..install.key.clone()
    };
    ours.create_api_key(&key, [1; 32]).await.unwrap();
    assert_eq!(ours.api_key(key.id).await.unwrap(), key);
    let list = ours.api_keys(EVERYTHING).await.unwrap();
    assert_eq!((list.rows, list.total), (vec![key.clone(), install.key.clone()], 2));

    key.name = "other".to_owned();
    key.roles = Vec::new();
    key.capabilities = ["APP:WRITE", "APP:READ"]
        .map(|permission| Capability {
            id: ApiKeyId::new().uuid(),
            permission: permission.to_owned(),
            id_resource: Some("x".to_owned()),
        })
        .into();
    ours.update_api_key(&key).await.unwrap();
    assert_eq!(ours.api_key(key.id).await.unwrap(), key, "order of capabilities included");

    ours.set_api_key_enabled(key.id, false).await.unwrap();
    let (found, _) = install.store.instance().key_by_token_hash([1; 32]).await.unwrap().unwrap();
    assert!(!found.is_enabled, "the caller decides");

    ours.delete_api_key(key.id).await.unwrap();
    assert!(matches!(ours.api_key(key.id).await, Err(StoreError::NotFound)));
    assert_eq!(install.store.instance().key_by_token_hash([1; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn a_rotated_key_has_two_tokens_for_a_while() {
    let install = Install::new().await;
    let (ours, id) = (install.ours(), install.key.id);
    let is_old = async |hash| {
        install.store.instance().key_by_token_hash(hash).await.unwrap().map(|(_, is_old)| is_old)
    };
    let rotate = async |hash, old_valid_until| {
        let token = NewToken { hash, masked: "dars_1...cafe".to_owned(), old_valid_until };
        ours.rotate_api_key(id, token).await.unwrap();
    };
    let until = Timestamp::now() + SignedDuration::from_hours(1);
    rotate([8; 32], Some(until)).await;
    assert_eq!((is_old([7; 32]).await, is_old([8; 32]).await), (Some(true), Some(false)));
    let key = ours.api_key(id).await.unwrap();
    assert_eq!((key.masked_token.as_str(), key.old_token_expired_at), ("dars_1...cafe", Some(until)));

    rotate([9; 32], None).await;
    assert_eq!(
        (is_old([7; 32]).await, is_old([8; 32]).await, is_old([9; 32]).await),
        (None, None, Some(false))
    );
    assert_eq!(ours.api_key(id).await.unwrap().old_token_expired_at, None);
}

#[tokio::test]
async fn the_last_use_is_noted_once_a_minute() {
    let install = Install::new().await;
    let now = Timestamp::now();
    let touch = async |seconds: i64| {
        let key = install.ours().api_key(install.key.id).await.unwrap();
        install.store.instance().touch_key(&key, now + SignedDuration::from_secs(seconds)).await.unwrap();
        let last = install.ours().api_key(install.key.id).await.unwrap().last_used_at.unwrap();
        last.duration_since(now).as_secs()
    };
    for (at, noted) in [(0, 0), (30, 0), (59, 0), (60, 60), (61, 60), (5, 5)] {
        assert_eq!(touch(at).await, noted, "at {at} s; a clock set back does not stop it");
    }
}

#[tokio::test]
async fn the_audit_log_is_only_added_to() {
    let install = Install::new().await;
    let entry = |company, action: &str| AuditEntry {
        at: Timestamp::now(),
        company,
        actor: "ada@example.org".to_owned(),
        action: action.to_owned(),
        target: "shop".to_owned(),
        ip: Some("192.0.2.1".to_owned()),
    };
    let first = entry(Some(install.company.id), "app.create");
    let second = entry(Some(install.company.id), "app.delete");
    for entry in [&first, &second, &entry(None, "sign-in.refused")] {
        install.store.instance().append_audit(entry).await.unwrap();
    }
    let list = install.ours().audit(EVERYTHING).await.unwrap();
    assert_eq!((list.rows, list.total), (vec![second, first], 2));
    for sql in ["DELETE FROM audit_log", "UPDATE audit_log SET actor = 'nobody'"] {
        assert!(install.raw().execute(sql, []).unwrap_err().to_string().contains("only added to"));
    }
}
