//! What a release is made of: pure decisions about port, variables, command and probe.

use model::image::ImageConfig;
use model::{Command, EnvVar, Limits, Probe, ProbeKind, Process, ResourceType};

/// The port of an application that names none and whose image exposes none.
const DEFAULT_PORT: u16 = 8080;

/// The port of the web process: the one given, else the variable `PORT`, else the lowest TCP port that the
/// image exposes, else 8080.
pub fn port(process: &Process, variables: &[EnvVar], config: &ImageConfig) -> u16 {
    let from_variable = || {
        let variable = variables.iter().find(|variable| variable.key == "PORT")?;
        variable.value.parse().ok().filter(|port| *port != 0)
    };
    let from_image =
        || config.exposed_ports.iter().find(|exposed| exposed.protocol == "tcp").map(|exposed| exposed.port);
    process.port.or_else(from_variable).or_else(from_image).unwrap_or(DEFAULT_PORT)
}

/// The application's own variables for a container, `PORT` last and always the port that is probed.
pub fn release_env(variables: &[EnvVar], port: u16) -> Vec<(String, String)> {
    let wanted = |variable: &&EnvVar| variable.is_runtime != Some(false) && variable.key != "PORT";
    let mut env: Vec<_> = variables
        .iter()
        .filter(wanted)
        .map(|variable| (variable.key.clone(), variable.value.clone()))
        .collect();
    env.push(("PORT".to_owned(), port.to_string()));
    env
}

/// The image's variables with the release's over them: a name that both have keeps the release's value.
pub fn container_env(image: &[(String, String)], release: &[(String, String)]) -> Vec<(String, String)> {
    let overridden = |name: &str| release.iter().any(|(other, _)| other == name);
    let kept = image.iter().filter(|(name, _)| !overridden(name));
    kept.chain(release).cloned().collect()
}

/// The start command of a process as words, split as a POSIX shell would, without one.
///
/// # Errors
/// The text when its quotes do not close.
pub fn command(process: &Process) -> Result<Command, String> {
    if process.entrypoint.trim().is_empty() {
        return Ok(Command::Image);
    }
    shlex::split(&process.entrypoint).map(Command::Words).ok_or_else(|| process.entrypoint.clone())
}

/// The argument vector: the image's entry point, then the given words or else the image's command.
pub fn arguments(config: &ImageConfig, command: &Command) -> Vec<String> {
    let words = match command {
        Command::Image => &config.cmd,
        Command::Words(words) => words,
    };
    config.entrypoint.iter().chain(words).cloned().collect()
}

/// Limits of the size that the process has.
pub fn limits(process: &Process) -> Limits {
    ResourceType::find(&process.size.to_string()).unwrap_or(ResourceType::DEFAULT).limits
}

/// How to find out that the new container is ready, from the readiness probe as it was sent.
pub fn probe(process: &Process) -> Probe {
    let Some(sent) = process.readiness_probe.as_deref().and_then(|text| serde_json::from_str(text).ok())
    else {
        return Probe::DEFAULT;
    };
    read_probe(&sent)
}

/// Longest time that a probe may wait, in milliseconds: an application's queue must not stand still for ever.
const LONGEST_WAIT_MS: u64 = 3_600_000;

fn read_probe(sent: &serde_json::Value) -> Probe {
    let seconds = |name: &str| sent.get(name).and_then(serde_json::Value::as_u64);
    let mut probe = Probe::DEFAULT;
    if let Some(http) = sent.get("httpGet").filter(|http| http.is_object()) {
        let text = |name: &str| http.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let path = text("path").filter(|path| path.starts_with('/')).unwrap_or_else(|| "/".to_owned());
        probe.kind = ProbeKind::Http { path, host: text("host"), headers: Vec::new(), status: None };
    }
    if let Some(delay) = seconds("initialDelaySeconds") {
        probe.initial_delay_ms = delay.saturating_mul(1000).min(LONGEST_WAIT_MS);
        probe.deadline_ms = Probe::DEFAULT.deadline_ms + probe.initial_delay_ms;
    }
    if let Some(timeout) = seconds("timeoutSeconds") {
        probe.timeout_ms = timeout.saturating_mul(1000).min(LONGEST_WAIT_MS);
    }
    if let (Some(period), Some(failures)) = (seconds("periodSeconds"), seconds("failureThreshold")) {
        let patience = period.saturating_mul(failures).saturating_mul(1000).min(LONGEST_WAIT_MS);
        probe.deadline_ms = probe.deadline_ms.max(probe.initial_delay_ms + patience);
    }
    probe
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::image::ExposedPort;
    use model::{AppId, CompanyId, EnvVarId, ProcessId, Timestamp};

    fn process() -> Process {
        Process {
            id: ProcessId::new(),
            app: AppId::new(),
            company: CompanyId::new(),
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
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn variable(key: &str, value: &str) -> EnvVar {
        EnvVar {
            id: EnvVarId::new(),
            app: AppId::new(),
            company: CompanyId::new(),
            key: key.into(),
            value: value.into(),
            is_runtime: Some(true),
            is_buildtime: Some(true),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn exposing(ports: &[(u16, &str)]) -> ImageConfig {
        let exposed =
            |(port, protocol): &(u16, &str)| ExposedPort { port: *port, protocol: (*protocol).into() };
        ImageConfig { exposed_ports: ports.iter().map(exposed).collect(), ..ImageConfig::default() }
    }

    #[test]
    fn the_port_given_wins_then_the_variable_then_the_image() {
        let image = exposing(&[(53, "udp"), (80, "tcp"), (443, "tcp")]);
        let given = Process { port: Some(3000), ..process() };
        let variables = [variable("PORT", "4000")];
        assert_eq!(port(&given, &variables, &image), 3000);
        assert_eq!(port(&process(), &variables, &image), 4000);
        assert_eq!(port(&process(), &[], &image), 80);
        assert_eq!(port(&process(), &[variable("PORT", "http")], &exposing(&[(53, "udp")])), 8080);
    }

    #[test]
    fn the_release_overrides_the_image_and_port_is_what_is_probed() {
        let mut build_only = variable("SECRET", "x");
        build_only.is_runtime = Some(false);
        let env = release_env(&[variable("A", "1"), variable("PORT", "9"), build_only], 80);
        assert_eq!(env, [("A".into(), "1".into()), ("PORT".into(), "80".into())]);

        let image = [("PATH".into(), "/bin".into()), ("A".into(), "0".into())];
        let merged = container_env(&image, &env);
        assert_eq!(
            merged,
            [("PATH".into(), "/bin".into()), ("A".into(), "1".into()), ("PORT".into(), "80".into())]
        );
    }

    #[test]
    fn a_start_command_replaces_the_image_s_command_and_is_no_shell_text() {
        let config = ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            ..Default::default()
        };
        assert_eq!(arguments(&config, &Command::Image), ["/entry", "serve"]);

        let typed = Process { entrypoint: "run 'two words' $(id)".into(), ..process() };
        let words = command(&typed).unwrap();
        assert_eq!(arguments(&config, &words), ["/entry", "run", "two words", "$(id)"]);
        assert!(command(&Process { entrypoint: "run 'open".into(), ..process() }).is_err());
    }

    #[test]
    fn a_readiness_probe_is_read_as_it_was_sent() {
        assert_eq!(probe(&process()), Probe::DEFAULT);
        let sent = r#"{"httpGet":{"path":"/up"},"initialDelaySeconds":5,"timeoutSeconds":2}"#;
        let read = probe(&Process { readiness_probe: Some(sent.into()), ..process() });
        assert_eq!(
            read.kind,
            ProbeKind::Http { path: "/up".into(), host: None, headers: Vec::new(), status: None }
        );
        assert_eq!((read.initial_delay_ms, read.timeout_ms, read.deadline_ms), (5_000, 2_000, 65_000));

        let endless =
            format!(r#"{{"initialDelaySeconds":{0},"periodSeconds":{0},"failureThreshold":{0}}}"#, u64::MAX);
        let bounded = probe(&Process { readiness_probe: Some(endless), ..process() });
        assert_eq!(bounded.deadline_ms, 2 * LONGEST_WAIT_MS);
    }
}
