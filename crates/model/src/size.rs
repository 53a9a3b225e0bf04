//! How much of the machine a process may use.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::ResourceTypeId;

/// Limits of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Megabytes (2^20 bytes). Swap is not given.
    pub memory_mb: u32,
    /// Thousandths of a core.
    pub cpu_millis: u32,
    /// Threads and processes together.
    pub pids: u32,
}

/// A size to choose, shown by `GET /resources/process-resource-types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceType {
    pub id: ResourceTypeId,
    pub name: &'static str,
    pub category: &'static str,
    pub limits: Limits,
}

const fn size(
    id: u128,
    name: &'static str,
    category: &'static str,
    cpu_millis: u32,
    memory_mb: u32,
) -> ResourceType {
    let id = ResourceTypeId::from_uuid(Uuid::from_u128(0x5a12e000_0000_4000_8000_000000000000 + id));
    ResourceType { id, name, category, limits: Limits { memory_mb, cpu_millis, pids: 512 } }
}

/// Every size, smallest standard one first. Their ids are fixed: clients keep them.
pub const RESOURCE_TYPES: [ResourceType; 8] = [
    size(1, "h1", "hobby", 300, 300),
    size(2, "s1", "standard", 500, 512),
    size(3, "s2", "standard", 1000, 1024),
    size(4, "s3", "standard", 1000, 2048),
    size(5, "s4", "standard", 2000, 4096),
    size(6, "s5", "standard", 2000, 8192),
    size(7, "c1", "cpuOptimized", 2000, 2048),
    size(8, "m1", "memoryOptimized", 1000, 4096),
];

impl ResourceType {
    /// What a process has when nobody chose: the smallest standard size.
    pub const DEFAULT: ResourceType = RESOURCE_TYPES[1];

    /// Finds a size by its id, or by its name as the CLI of API v3 sends it.
    pub fn find(id_or_name: &str) -> Option<ResourceType> {
        RESOURCE_TYPES.into_iter().find(|size| size.name == id_or_name || size.id.to_string() == id_or_name)
    }
}
