//! Processes of an application.

use serde::{Deserialize, Serialize};

use crate::{Probe, ScalingStrategy};

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessType {
    Web,
    Worker,
    Cron,
    Job,
}

/// When a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobStartPolicy {
    BeforeDeployment,
    AfterSuccessDeployment,
    AfterFailedDeployment,
}

/// How the ingress speaks to a web process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IngressProtocol {
    Http,
    Grpc,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub id: String,
    pub app_id: Option<String>,
    /// Unique in the application; `web` for the web process.
    pub key: String,
    #[serde(rename = "type")]
    pub kind: Option<ProcessType>,
    /// Echo.
    pub display_name: Option<String>,
    /// Start command; empty means the image's own. Echo.
    pub entrypoint: String,
    pub port: Option<u16>,
    pub is_ingress_enabled: bool,
    pub ingress_protocol: Option<IngressProtocol>,
    pub scaling_strategy: Option<ScalingStrategy>,
    pub resource_type_id: Option<String>,
    pub resource_type_name: Option<String>,
    /// Millicores.
    pub cpu_limit: Option<u32>,
    /// Megabytes.
    pub memory_limit: Option<u32>,
    /// Cron only.
    pub schedule: Option<String>,
    /// Cron only.
    pub time_zone: Option<String>,
    pub job_start_policy: Option<JobStartPolicy>,
    pub liveness_probe: Option<Probe>,
    pub readiness_probe: Option<Probe>,
    pub internal_hostname: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// The body of `PATCH /applications/{id}/processes/{process_id}`: only the fields present are changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpdateProcess {
    /// 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Alias of `display_name`, which wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Alias of `entrypoint`, which wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// 1 to 65535. Wider than a port, so that the server can say what is wrong with 70000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_ingress_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_protocol: Option<IngressProtocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling_strategy: Option<ScalingStrategy>,
    /// 1 to 50. Alias of `scaling_strategy` of the manual kind, which wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type_id: Option<String>,
    /// Id or name. Alias of `resource_type_id`, which wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// An empty text clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// An empty text clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_start_policy: Option<JobStartPolicy>,
    /// `Some(None)` removes it.
    #[serde(default, with = "crate::present", skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Option<Probe>>,
    /// `Some(None)` removes it.
    #[serde(default, with = "crate::present", skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Option<Probe>>,
    /// Refused when it differs from the process' own type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
