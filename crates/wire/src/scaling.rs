//! How many instances a process has. Mind the camelCase inside `config`.

use serde::{Deserialize, Serialize};

/// `{"type": "manual", "config": {"instanceCount": 1}}` or the horizontal kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "config", rename_all = "camelCase")]
pub enum ScalingStrategy {
    Manual(ManualScaling),
    Horizontal(HorizontalScaling),
}

/// A fixed number of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManualScaling {
    /// 1 to 50.
    pub instance_count: u32,
}

/// Between two numbers of instances, by load. What was not sent is not returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HorizontalScaling {
    pub min_instance_count: u32,
    pub max_instance_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cpu_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_memory_percent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up_increment: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up_interval_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_increment: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_interval_seconds: Option<u32>,
}
