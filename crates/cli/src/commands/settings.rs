//! How an application's web process runs: the options of `deploy` and of `apps update`, and the change they mean.

use client::Client;
use wire::*;

use crate::failure::Failure;
use crate::find;

/// What is left out stays as it is.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Port that the application listens on; left out: the one it has, else the image's EXPOSE, else 8080.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// How many containers run side by side, 1 to 50. Each request goes to the least busy one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub instances: Option<u32>,
    /// Path that has to answer with 2xx or 3xx before a container gets requests.
    #[arg(long, value_name = "PATH", value_parser = path, conflicts_with = "no_health")]
    pub health_path: Option<String>,
    /// The one status that it has to answer with instead.
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..=599), conflicts_with = "no_health")]
    pub health_status: Option<u16>,
    /// An open port is enough again.
    #[arg(long)]
    pub no_health: bool,
    /// Path that has to go on answering; a container that does not is started again.
    #[arg(long, value_name = "PATH", value_parser = path, conflicts_with = "no_liveness")]
    pub liveness_path: Option<String>,
    /// A container is started again only when it ends by itself.
    #[arg(long)]
    pub no_liveness: bool,
    /// What the application speaks; grpc means HTTP/2 without TLS. Unlike the others this counts at once, also for what
    /// serves.
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
}

/// The protocols of the ingress.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Grpc,
}

impl Settings {
    /// Whether anything was given.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// Sends what differs, and gives it; a plain redeploy changes nothing.
    pub async fn apply(&self, client: &Client, application: &str) -> Result<UpdateProcess, Failure> {
        self.apply_if(client, application, |_| Ok(())).await
    }

    /// The same ahead of a deployment. Another protocol counts at once, so one that serves would be lost until the
    /// deployment is over, and for good when it fails.
    pub async fn apply_with_a_deployment(
        &self,
        client: &Client,
        application: &str,
        serves: bool,
    ) -> Result<UpdateProcess, Failure> {
        let check =
            |change: &UpdateProcess| match serves && change.ingress_protocol.is_some() {
                true => Err(Failure::new(
                    "another protocol counts at once, also for the version that serves now",
                )
                .hint("`darsena apps update NAME --protocol ...` changes it; or deploy under another name")),
                false => Ok(()),
            };
        self.apply_if(client, application, check).await
    }

    async fn apply_if(
        &self,
        client: &Client,
        application: &str,
        check: impl Fn(&UpdateProcess) -> Result<(), Failure>,
    ) -> Result<UpdateProcess, Failure> {
        if !self.is_any() {
            return Ok(UpdateProcess::default());
        }
        let process = find::web_process(client, application)
            .await?
            .ok_or_else(|| Failure::new("the application has no web process"))?;
        let change = self.change(&process);
        check(&change)?;
        if change != UpdateProcess::default() {
            client.update_process(application, &process.id, &change).await?;
        }
        Ok(change)
    }

    fn change(&self, process: &Process) -> UpdateProcess {
        let protocol = self.protocol.map(|protocol| match protocol {
            Protocol::Http => IngressProtocol::Http,
            Protocol::Grpc => IngressProtocol::Grpc,
        });
        let scaling =
            self.instances.map(|instance_count| ScalingStrategy::Manual(ManualScaling { instance_count }));
        let (health, liveness) = (process.readiness_probe.as_ref(), process.liveness_probe.as_ref());
        UpdateProcess {
            port: self.port.filter(|port| process.port != Some(*port)).map(i64::from),
            scaling_strategy: scaling.filter(|wanted| process.scaling_strategy.as_ref() != Some(wanted)),
            ingress_protocol: protocol.filter(|wanted| process.ingress_protocol != Some(*wanted)),
            readiness_probe: probe(health, self.no_health, self.health_path.as_deref(), self.health_status),
            liveness_probe: probe(liveness, self.no_liveness, self.liveness_path.as_deref(), None),
            ..Default::default()
        }
    }
}

/// The probe to set, when it is not that already; `Some(None)` takes it away. Timings that were set before stay.
fn probe(
    current: Option<&Probe>,
    none: bool,
    path: Option<&str>,
    status: Option<u16>,
) -> Option<Option<Probe>> {
    if none {
        return current.is_some().then_some(None);
    }
    if path.is_none() && status.is_none() {
        return None;
    }
    let known = current.cloned().unwrap_or_default();
    let get = known.http_get.clone().unwrap_or_default();
    let get = HttpGetProbe {
        path: path.map(str::to_owned).or(get.path.clone()),
        expected_status: status.or(get.expected_status),
        ..get
    };
    let wanted = Probe { http_get: Some(get), exec: None, tcp_socket: None, ..known };
    (current != Some(&wanted)).then_some(Some(wanted))
}

fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a path begins with /".to_owned());
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        Some(bad) => Err(format!("a path cannot hold {bad:?}")),
        None => Ok(text.to_owned()),
    }
}

/// How many containers run side by side.
pub fn instances(process: &Process) -> u32 {
    match &process.scaling_strategy {
        Some(ScalingStrategy::Manual(manual)) => manual.instance_count.max(1),
        Some(ScalingStrategy::Horizontal(horizontal)) => horizontal.min_instance_count.max(1),
        None => 1,
    }
}

/// A probe in words, as `GET /up answers 204`.
pub fn words(probe: &Probe) -> String {
    if let Some(http) = &probe.http_get {
        let path = http.path.as_deref().unwrap_or("/");
        return match http.expected_status {
            Some(status) => format!("GET {path} answers {status}"),
            None => format!("GET {path} answers 2xx or 3xx"),
        };
    }
    match (&probe.tcp_socket, &probe.exec) {
        (Some(tcp), _) => format!("port {} is open", tcp.port),
        (None, Some(exec)) => format!("{} succeeds", exec.command.join(" ")),
        (None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, status: Option<u16>) -> Probe {
        let get = HttpGetProbe { path: Some(path.into()), expected_status: status, ..Default::default() };
        Probe { http_get: Some(get), ..Probe::default() }
    }

    #[test]
    fn a_probe_keeps_its_timings_and_is_sent_only_when_it_differs() {
        let set = of("/up", None);
        assert_eq!(probe(None, false, Some("/up"), None), Some(Some(set.clone())));
        assert_eq!(probe(Some(&set), false, Some("/up"), None), None);
        assert_eq!(
            probe(Some(&set), false, None, Some(204)),
            Some(Some(of("/up", Some(204)))),
            "the path stays"
        );
        assert_eq!(
            probe(Some(&of("/up", Some(204))), false, Some("/a"), None),
            Some(Some(of("/a", Some(204))))
        );
        let timed = Probe {
            period_seconds: Some(9),
            tcp_socket: Some(TcpSocketProbe { host: None, port: 1 }),
            ..Probe::default()
        };
        let set = probe(Some(&timed), false, Some("/up"), None).unwrap().unwrap();
        assert_eq!((set.period_seconds, set.tcp_socket), (Some(9), None));
        assert_eq!(probe(Some(&timed), false, None, None), None);
        assert_eq!(probe(Some(&timed), true, None, None), Some(None));
        assert_eq!(probe(None, true, None, None), None);
        assert!(path("up").is_err() && path("/a b").is_err() && path("/up?x=1").is_ok());
    }

    #[test]
    fn a_probe_is_told_in_words() {
        assert_eq!(words(&of("/up", None)), "GET /up answers 2xx or 3xx");
        assert_eq!(words(&of("/up", Some(204))), "GET /up answers 204");
        let exec = Some(ExecProbe { command: vec!["check".into(), "-q".into()] });
        assert_eq!(words(&Probe { exec, ..Probe::default() }), "check -q succeeds");
    }
}
