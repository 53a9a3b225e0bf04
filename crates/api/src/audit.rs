//! Who did what: one row for every write, done or refused. It holds names and ids, never what was sent.

use std::net::IpAddr;

use http::StatusCode;
use model::{CompanyId, Timestamp};
use store::AuditEntry;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::chain;
use crate::state::ApiState;

/// Who did it.
pub enum Actor<'a> {
    /// The holder of a key.
    Key(&'a Caller),
    /// Whoever has the secret of an application's hook.
    Hook(CompanyId),
    Nobody,
}

/// Adds the row. A log that cannot be written is told to the administrator; what was done stays done.
pub async fn append(
    state: &ApiState,
    operation: &str,
    actor: Actor<'_>,
    target: Option<Uuid>,
    peer: Option<IpAddr>,
    status: StatusCode,
) {
    let (company, actor) = match actor {
        Actor::Key(caller) => (Some(caller.key.company), caller.key.id.to_string()),
        Actor::Hook(company) => (Some(company), "hook".to_owned()),
        Actor::Nobody => (None, "nobody".to_owned()),
    };
    let entry = AuditEntry {
        at: Timestamp::now(),
        company,
        actor,
        action: match status.is_success() {
            true => operation.to_owned(),
            false => format!("{operation} refused with {}", status.as_u16()),
        },
        target: target.map(|id| id.to_string()).unwrap_or_default(),
        ip: peer.map(|ip| ip.to_string()),
    };
    if let Err(error) = state.store.instance().append_audit(&entry).await {
        tracing::error!(operation, error = chain(&error), "the audit log cannot be written");
    }
}
