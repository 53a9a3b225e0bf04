//! What a release is made of: pure decisions about port, variables, command and probe.

use serde_json::Value;

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

/// How many containers serve side by side: the number that was given, of a range the lower end, and at least one.
pub fn instances(process: &Process) -> u16 {
    let Some(sent) = parsed(process.scaling.as_deref()) else { return 1 };
    let count = ["/config/instanceCount", "/config/minInstanceCount"]
        .iter()
        .find_map(|path| sent.pointer(path)?.as_u64())
        .unwrap_or(1);
    u16::try_from(count).unwrap_or(1).clamp(1, MOST_INSTANCES)
}

/// How to find out that a container is ready, from the readiness probe as it was sent.
pub fn readiness(process: &Process) -> Probe {
    parsed(process.readiness_probe.as_deref()).map_or(Probe::DEFAULT, |sent| read_probe(&sent))
}

/// How to find out that a container that runs has to be started again, if a person wants that.
pub fn liveness(process: &Process) -> Option<Probe> {
    parsed(process.liveness_probe.as_deref()).map(|sent| read_probe(&sent))
}

/// Settings that are kept as JSON text; it was checked before it was stored.
fn parsed(text: Option<&str>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// What API v3 allows.
const MOST_INSTANCES: u16 = 50;

/// Longest time that a probe may wait, in milliseconds: an application's queue must not stand still for ever.
const LONGEST_WAIT_MS: u64 = 3_600_000;

fn read_probe(sent: &Value) -> Probe {
    let whole = |name: &str| sent.get(name).and_then(Value::as_u64);
    let mut probe = Probe::DEFAULT;
    if let Some(http) = sent.get("httpGet").filter(|http| http.is_object()) {
        probe.kind = read_http(http);
        probe.port = small(http, "port");
    } else if let Some(tcp) = sent.get("tcpSocket").filter(|tcp| tcp.is_object()) {
        probe.port = small(tcp, "port");
    } else if let Some(words) = sent.pointer("/exec/command").and_then(Value::as_array) {
        let command = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        probe.kind = ProbeKind::Exec { command };
    }
    let count =
        |name: &str, default: u32| whole(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(default).max(1);
    probe.failures = count("failureThreshold", probe.failures);
    probe.successes = count("successThreshold", probe.successes);
    read_times(&mut probe, whole);
    probe
}

fn read_http(http: &Value) -> ProbeKind {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let headers = http.get("httpHeaders").and_then(Value::as_array).into_iter().flatten();
    ProbeKind::Http {
        path: text(http, "path").filter(|path| path.starts_with('/')).unwrap_or_else(|| "/".to_owned()),
        host: text(http, "host"),
        headers: headers.filter_map(|header| Some((text(header, "name")?, text(header, "value")?))).collect(),
        status: small(http, "expectedStatus"),
    }
}

fn small(sent: &Value, name: &str) -> Option<u16> {
    sent.get(name).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok())
}

fn read_times(probe: &mut Probe, seconds: impl Fn(&str) -> Option<u64>) {
    if let Some(delay) = seconds("initialDelaySeconds") {
        probe.initial_delay_ms = delay.saturating_mul(1000).min(LONGEST_WAIT_MS);
        probe.deadline_ms = Probe::DEFAULT.deadline_ms + probe.initial_delay_ms;
    }
    if let Some(timeout) = seconds("timeoutSeconds") {
        probe.timeout_ms = timeout.saturating_mul(1000).min(LONGEST_WAIT_MS);
    }
    if let Some(period) = seconds("periodSeconds") {
        probe.period_ms = period.saturating_mul(1000).clamp(1000, LONGEST_WAIT_MS);
    }
    let patience = probe.period_ms.saturating_mul(u64::from(probe.failures)).min(LONGEST_WAIT_MS);
    probe.deadline_ms = probe.deadline_ms.max(probe.initial_delay_ms + patience);
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
    fn instances_are_the_given_number_or_the_lower_end_of_a_range() {
        let of = |scaling: &str| instances(&Process { scaling: Some(scaling.into()), ..process() });
        assert_eq!(instances(&process()), 1);
        assert_eq!(of(r#"{"type":"manual","config":{"instanceCount":3}}"#), 3);
        assert_eq!(of(r#"{"type":"manual","config":{"instanceCount":0}}"#), 1);
        assert_eq!(of(r#"{"type":"manual","config":{"instanceCount":70000}}"#), 1);
        assert_eq!(of(r#"{"type":"horizontal","config":{"minInstanceCount":2,"maxInstanceCount":9}}"#), 2);
    }

    #[test]
    fn a_probe_has_a_kind_and_counts() {
        let read = |sent: &str| {
            liveness(&Process { liveness_probe: Some(sent.into()), ..process() }).expect("a probe")
        };
        assert_eq!(liveness(&process()), None);
        let http = read(
            r#"{"httpGet":{"path":"/up","host":"a","port":9000,"expectedStatus":204,
                "httpHeaders":[{"name":"x","value":"y"}]},"periodSeconds":2,"failureThreshold":5}"#,
        );
        let headers = vec![("x".into(), "y".into())];
        let kind = ProbeKind::Http { path: "/up".into(), host: Some("a".into()), headers, status: Some(204) };
        assert_eq!((http.kind, http.port), (kind, Some(9000)));
        assert_eq!((http.period_ms, http.failures, http.successes), (2_000, 5, 1));

        let tcp = read(r#"{"tcpSocket":{"port":5432},"successThreshold":2}"#);
        assert_eq!((tcp.kind, tcp.port, tcp.successes), (ProbeKind::Tcp, Some(5432), 2));
        let exec = read(r#"{"exec":{"command":["check","now"]},"failureThreshold":0}"#);
        assert_eq!(exec.kind, ProbeKind::Exec { command: vec!["check".into(), "now".into()] });
        assert_eq!((exec.failures, exec.period_ms), (1, Probe::DEFAULT.period_ms));
    }

    #[test]
    fn a_readiness_probe_is_read_as_it_was_sent() {
        assert_eq!(readiness(&process()), Probe::DEFAULT);
        let sent = r#"{"httpGet":{"path":"/up"},"initialDelaySeconds":5,"timeoutSeconds":2}"#;
        let read = readiness(&Process { readiness_probe: Some(sent.into()), ..process() });
        assert_eq!(
            read.kind,
            ProbeKind::Http { path: "/up".into(), host: None, headers: Vec::new(), status: None }
        );
        assert_eq!((read.initial_delay_ms, read.timeout_ms, read.deadline_ms), (5_000, 2_000, 65_000));

        let patient = readiness(&Process {
            readiness_probe: Some(r#"{"tcpSocket":{"port":80},"failureThreshold":30}"#.into()),
            ..process()
        });
        assert_eq!(patient.deadline_ms, 300_000, "the start period is that many periods");

        let endless =
            format!(r#"{{"initialDelaySeconds":{0},"periodSeconds":{0},"failureThreshold":{0}}}"#, u64::MAX);
        let bounded = readiness(&Process { readiness_probe: Some(endless), ..process() });
        assert_eq!(bounded.deadline_ms, 2 * LONGEST_WAIT_MS);
    }
}
