//! The envelope of paged lists, and the short confirmation.

use serde::{Deserialize, Serialize};

/// One page of a list: `ApplicationPage`, `DeploymentPage` and so on are all this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The records of this page.
    pub data: Vec<T>,
    /// How many records match, not just those in `data`. Exact: clients stop when `offset + limit >= total`.
    pub total: u64,
    /// How many records were skipped.
    pub offset: u64,
    /// The page size that was applied, 1 to 100.
    pub limit: u64,
}

/// A short confirmation for people; no client reads its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub message: String,
}

impl Message {
    /// A confirmation with these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
