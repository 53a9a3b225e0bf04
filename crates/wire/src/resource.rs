//! What an installation offers. These lists are bare arrays.

use serde::{Deserialize, Serialize};

/// Where applications run. An installation on a single machine has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: String,
    pub name: String,
    pub display_name: Option<String>,
    /// Region.
    pub location: String,
    /// Optional in the file; Darsena always sends it. Missing counts as available.
    #[serde(default = "available")]
    pub is_available: bool,
}

fn available() -> bool {
    true
}

/// A size of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessResourceType {
    pub id: String,
    /// As `s1`.
    pub name: String,
    /// Millicores.
    pub cpu_limit: u32,
    /// Megabytes.
    pub memory_limit: u32,
    pub category: ResourceCategory,
}

/// The family of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceCategory {
    Hobby,
    Standard,
    CpuOptimized,
    MemoryOptimized,
}
