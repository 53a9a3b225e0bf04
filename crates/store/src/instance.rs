//! What concerns the whole installation.

use crate::Store;

/// The few queries that are for no company, because there is none yet or because they are about all of them:
/// setting up, finding out whose a token or an e-mail address is, and picking up deployments after a restart.
/// Nothing here may be handed a value that a client chose, except a token, an address or an audit entry.
#[derive(Clone)]
pub struct InstanceStore {
    pub(crate) store: Store,
}
