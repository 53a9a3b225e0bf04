//! Processes: what a change means, and how one is shown.

use model::{App, Process, ProcessId, ResourceType};
use wire::{
    HorizontalScaling, IngressProtocol, ManualScaling, Probe, ProcessType, ScalingStrategy, UpdateProcess,
};

use crate::check;
use crate::error::ApiError;
use crate::rules::probe;

const MOST_INSTANCES: u32 = 50;

/// The web process that every new application has.
pub fn web(app: &App) -> Process {
    Process {
        id: ProcessId::new(),
        app: app.id,
        company: app.company,
        key: "web".into(),
        display_name: "web".into(),
        entrypoint: String::new(),
        port: None,
        is_ingress_enabled: true,
        ingress_protocol: "http".into(),
        size: ResourceType::DEFAULT.id,
        scaling: None,
        liveness_probe: None,
        readiness_probe: None,
        created_at: app.created_at,
        updated_at: app.created_at,
    }
}

/// Applies a change. Where the CLI's own names and the real ones are both there, the real ones win.
pub fn change(process: &mut Process, input: UpdateProcess) -> Result<(), ApiError> {
    refuse_what_a_web_process_has_not(&input)?;
    if let Some((field, text)) = first([("display_name", input.display_name), ("name", input.name)]) {
        check::name(field, &text, 1, 255)?;
        process.display_name = text;
    }
    if let Some((field, text)) = first([("entrypoint", input.entrypoint), ("command", input.command)]) {
        check::length(field, &text, 0, 1024)?;
        check::no_nul(field, &text)?;
        process.entrypoint = text;
    }
    if let Some(port) = input.port {
        let port = check::range("port", port, 1, 65_535)?;
        process.port = Some(u16::try_from(port).expect("the range was checked"));
    }
    if let Some(text) = input.resource_type_id.or(input.resource_type) {
        let size = ResourceType::find(&text).ok_or_else(|| {
            ApiError::invalid(
                "resource_type_id",
                "no such size; GET /resources/process-resource-types lists them",
            )
        })?;
        process.size = size.id;
    }
    if let Some(enabled) = input.is_ingress_enabled {
        process.is_ingress_enabled = enabled;
    }
    if let Some(protocol) = input.ingress_protocol {
        process.ingress_protocol = match protocol {
            IngressProtocol::Http => "http".into(),
            IngressProtocol::Grpc => "grpc".into(),
        };
    }
    if let Some(scaling) = scaling(input.scaling_strategy, input.instances)? {
        process.scaling = Some(json(&scaling)?);
    }
    for (field, given, stored) in [
        ("liveness_probe", input.liveness_probe, &mut process.liveness_probe),
        ("readiness_probe", input.readiness_probe, &mut process.readiness_probe),
    ] {
        match given {
            None => {}
            Some(None) => *stored = None,
            Some(Some(probe)) => {
                probe::check(field, &probe)?;
                *stored = Some(json(&probe)?);
            }
        }
    }
    Ok(())
}

/// Whether a change says what counts at once, without a deployment: if it is reached from outside, and how.
pub fn is_exposure_given(input: &UpdateProcess) -> bool {
    input.is_ingress_enabled.is_some() || input.ingress_protocol.is_some()
}

/// The first field that came, with its name for an error.
fn first<const N: usize>(fields: [(&'static str, Option<String>); N]) -> Option<(&'static str, String)> {
    fields.into_iter().find_map(|(name, value)| Some((name, value?)))
}

fn refuse_what_a_web_process_has_not(input: &UpdateProcess) -> Result<(), ApiError> {
    if input.kind.as_deref().is_some_and(|kind| kind != "web") {
        return Err(ApiError::invalid("type", "the type of a process is fixed; this one is a web process"));
    }
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    // An empty text clears what is not there anyway; the Terraform provider sends it.
    let field = match input {
        _ if set(&input.schedule) => "schedule",
        _ if set(&input.time_zone) => "time_zone",
        _ if input.job_start_policy.is_some() => "job_start_policy",
        _ => return Ok(()),
    };
    Err(ApiError::invalid(field, "a web process has no schedule and no start policy"))
}

fn scaling(
    given: Option<ScalingStrategy>,
    instances: Option<i64>,
) -> Result<Option<ScalingStrategy>, ApiError> {
    let field = |name: &str| format!("scaling_strategy.config.{name}");
    match (given, instances) {
        (None, None) => Ok(None),
        (None, Some(count)) => {
            let count = check::range("instances", count, 0, i64::from(MOST_INSTANCES))?;
            let count = u32::try_from(count).expect("the range was checked");
            refuse_none("instances", count)?;
            Ok(Some(manual(count)))
        }
        (Some(ScalingStrategy::Manual(manual)), _) => {
            let field = field("instanceCount");
            check::range(&field, manual.instance_count, 0, MOST_INSTANCES)?;
            refuse_none(&field, manual.instance_count)?;
            Ok(Some(ScalingStrategy::Manual(manual)))
        }
        (Some(ScalingStrategy::Horizontal(horizontal)), _) => {
            check_horizontal(&horizontal, field)?;
            Ok(Some(ScalingStrategy::Horizontal(horizontal)))
        }
    }
}

/// An application without a container is a suspended one, and shows itself as that.
fn refuse_none(field: &str, count: u32) -> Result<(), ApiError> {
    match count {
        0 => {
            let problem = "at least 1; to stop an application suspend it: POST /applications/{id}/suspend";
            Err(ApiError::invalid(field, problem))
        }
        _ => Ok(()),
    }
}

fn check_horizontal(scaling: &HorizontalScaling, field: impl Fn(&str) -> String) -> Result<(), ApiError> {
    check::range(&field("minInstanceCount"), scaling.min_instance_count, 0, MOST_INSTANCES)?;
    check::range(&field("maxInstanceCount"), scaling.max_instance_count, 1, MOST_INSTANCES)?;
    if scaling.min_instance_count > scaling.max_instance_count {
        return Err(ApiError::invalid(&field("minInstanceCount"), "it is greater than maxInstanceCount"));
    }
    for (name, value, most) in [
        ("targetCpuPercent", scaling.target_cpu_percent, 100),
        ("targetMemoryPercent", scaling.target_memory_percent, 100),
        ("scaleUpIncrement", scaling.scale_up_increment, 5),
        ("scaleDownIncrement", scaling.scale_down_increment, 5),
        ("scaleUpIntervalSeconds", scaling.scale_up_interval_seconds, 60_000),
        ("scaleDownIntervalSeconds", scaling.scale_down_interval_seconds, 60_000),
    ] {
        if let Some(value) = value {
            check::range(&field(name), value, 1, most)?;
        }
    }
    Ok(())
}

/// How a process is shown.
pub fn show(process: &Process) -> Result<wire::Process, ApiError> {
    let size = ResourceType::find(&process.size.to_string());
    let is_grpc = process.ingress_protocol == "grpc";
    let show_probe = |stored: &Option<String>| stored.as_deref().map(stored_json::<Probe>).transpose();
    Ok(wire::Process {
        id: process.id.to_string(),
        app_id: Some(process.app.to_string()),
        key: process.key.clone(),
        kind: Some(ProcessType::Web),
        display_name: Some(process.display_name.clone()),
        entrypoint: process.entrypoint.clone(),
        port: process.port,
        is_ingress_enabled: process.is_ingress_enabled,
        ingress_protocol: Some(if is_grpc { IngressProtocol::Grpc } else { IngressProtocol::Http }),
        scaling_strategy: Some(match &process.scaling {
            Some(stored) => stored_json(stored)?,
            None => manual(1),
        }),
        resource_type_id: Some(process.size.to_string()),
        resource_type_name: size.map(|size| size.name.to_owned()),
        cpu_limit: size.map(|size| size.limits.cpu_millis),
        memory_limit: size.map(|size| size.limits.memory_mb),
        schedule: None,
        time_zone: None,
        job_start_policy: None,
        liveness_probe: show_probe(&process.liveness_probe)?,
        readiness_probe: show_probe(&process.readiness_probe)?,
        internal_hostname: None,
        created_at: process.created_at.to_string(),
        updated_at: process.updated_at.to_string(),
    })
}

fn manual(instance_count: u32) -> ScalingStrategy {
    ScalingStrategy::Manual(ManualScaling { instance_count })
}

fn json(value: &impl serde::Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(|error| ApiError::internal(&error))
}

fn stored_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| ApiError::internal(&error))
}
