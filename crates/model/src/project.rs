//! Projects: groups of applications.

use crate::Timestamp;
use crate::id::{CompanyId, ProjectId};

/// A named group of applications of one company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: ProjectId,
    pub company: CompanyId,
    /// System name, unique in the company, derived from the first display name, fixed for life.
    pub name: String,
    /// As the client sent it.
    pub display_name: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
