//! Who did what: one row for every write, done or refused. It holds names and ids, never what was sent.

use std::net::IpAddr;

use http::StatusCode;
use model::Timestamp;
use store::AuditEntry;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::chain;
use crate::state::ApiState;

/// Adds the row. A log that cannot be written is told to the administrator; what was done stays done.
pub async fn append(
    state: &ApiState,
    operation: &str,
    caller: Option<&Caller>,
    target: Option<Uuid>,
    peer: Option<IpAddr>,
    status: StatusCode,
) {
    let entry = AuditEntry {
        at: Timestamp::now(),
        company: caller.map(|caller| caller.key.company),
        actor: caller.map_or_else(|| "nobody".to_owned(), |caller| caller.key.id.to_string()),
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
