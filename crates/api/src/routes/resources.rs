//! What the installation offers: the one cluster, the sizes of a process.

use model::size::RESOURCE_TYPES;
use model::{ClusterId, ResourceType};
use uuid::Uuid;
use wire::ResourceCategory;

use crate::call::{Answer, Call};
use crate::error::ApiError;

/// The place where containers run. There is one in every installation, so its id is the same everywhere and
/// outlives a move of the data.
pub const CLUSTER: ClusterId = ClusterId::from_uuid(Uuid::from_u128(0x5a12e003_0000_4000_8000_000000000001));

pub async fn clusters(_call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&[wire::Cluster {
        id: CLUSTER.to_string(),
        name: "local".into(),
        display_name: Some("This machine".into()),
        location: "local".into(),
        is_available: true,
    }])
}

pub async fn process_types(_call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&RESOURCE_TYPES.map(show))
}

fn show(size: ResourceType) -> wire::ProcessResourceType {
    wire::ProcessResourceType {
        id: size.id.to_string(),
        name: size.name.to_owned(),
        cpu_limit: size.limits.cpu_millis,
        memory_limit: size.limits.memory_mb,
        category: match size.category {
            "hobby" => ResourceCategory::Hobby,
            "cpuOptimized" => ResourceCategory::CpuOptimized,
            "memoryOptimized" => ResourceCategory::MemoryOptimized,
            _ => ResourceCategory::Standard,
        },
    }
}
