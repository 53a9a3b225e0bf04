//! Projects.

use serde::{Deserialize, Serialize};

/// A project without its services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: String,
    /// The system name, derived, fixed for life.
    pub name: String,
    /// Echo.
    pub display_name: String,
    pub company_id: String,
    pub created_at: String,
    pub updated_at: String,
}

/// A row of `GET /projects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectListItem {
    pub id: String,
    pub name: String,
    /// Echo.
    pub display_name: String,
    pub created_at: String,
    pub updated_at: String,
}

/// The answer of `GET /projects/{id}`, the only one with the services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectDetail {
    #[serde(flatten)]
    pub project: Project,
    pub services: Vec<ProjectService>,
}

/// A service in a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectService {
    /// Id of the service itself.
    pub id: String,
    pub name: String,
    /// Echo.
    pub display_name: String,
    #[serde(rename = "type")]
    pub kind: ProjectServiceType,
}

/// The kind of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectServiceType {
    App,
    Database,
    Pipeline,
    ObjectStorage,
    /// In answers only; a request with it is refused by the server.
    LoadBalancer,
}

/// The body of `POST /projects` and `PATCH /projects/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectInput {
    /// 1 to 64 characters.
    pub display_name: String,
}

/// The body of `POST /projects/{id}/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddProjectService {
    pub service_id: String,
    pub service_type: ProjectServiceType,
}
