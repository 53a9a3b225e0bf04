//! Making a container: its folders and address, its supervisor, its network.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;

use super::host::Shared;
use super::subnet::Link;
use super::{Local, firewall, network};
use crate::error::Doing;
use crate::folders::{RunFolder, make_private, write_whole};
use crate::shim::protocol::{Orders, Report};
use crate::{ContainerSpec, EngineError, Refusal};

/// How long a supervisor may take for one step, on a machine whose disk is slow.
const PATIENCE: Duration = Duration::from_secs(60);

impl Local {
    /// Nothing of the container may exist but its logs. Leaves everything in place when it fails.
    pub(super) async fn make(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        check(spec)?;
        let runtime = self.runtime().await?;
        let nft = self.nft()?;
        self.places.make().doing(|| format!("making folders in {}", self.config.run.display()))?;
        let subnet = self.subnet().await?;
        let run = self.places.run_of(&spec.id);
        let link = self.take_link(&run).await?;
        let orders = Orders {
            id: spec.id.clone(),
            runtime,
            runtime_root: self.places.runtime_root(),
            layers: self.config.layers.clone(),
            data: self.places.data_of(&spec.id).path().to_owned(),
            address: link.address,
            stop_signal: spec.stop_signal,
            memory_mb: spec.limits.memory_mb,
            cgroup: self.places.cgroup_of(&spec.id),
            supervisors_cgroup: self.places.supervisors_cgroup(),
        };
        write_json(&run, &orders, spec).doing(|| format!("writing {}", run.path().display()))?;

        let mut reports = self.spawn_supervisor(&run).await?;
        let pid = match next(&mut reports).await? {
            Report::Namespaces { pid } => pid,
            other => return Err(unexpected(other)),
        };
        // The supervisor does its long part meanwhile. Its words about a failure come first: they say why the
        // network could not be made.
        let interface = network::interface(&self.config.instance, &link);
        let (ready, plugged, loaded) = tokio::join!(
            next(&mut reports),
            network::plug(pid, interface, link),
            firewall::load(&nft, &self.config.instance, subnet),
        );
        match ready? {
            Report::Ready => {}
            other => return Err(unexpected(other)),
        }
        plugged?;
        loaded?;
        let doing = || "letting the kernel pass packets on".to_owned();
        Shared::change(Shared::enable_forwarding).await.doing(doing)?;
        write_whole(&run.whole(), b"").doing(|| format!("writing {}", run.whole().display()))?;
        failpoint::reach("S11");
        Ok(())
    }

    /// Makes the folder of a container or guest and takes an address for it.
    pub(super) async fn take_link(&self, run: &RunFolder) -> Result<Link, EngineError> {
        let subnet = self.subnet().await?;
        let _one_at_a_time = self.links.lock().await;
        let doing = || "taking an address".to_owned();
        let taken: Vec<_> = self.places.links().doing(doing)?.iter().map(|link| link.index).collect();
        let link = subnet
            .free_link(&taken)
            .ok_or_else(|| EngineError::host(doing(), "all 1024 of this installation are in use"))?;
        let text = serde_json::to_vec(&link).map_err(|error| EngineError::host(doing(), error))?;
        make_private(run.path()).doing(doing)?;
        write_whole(&run.network(), &text).doing(doing)?;
        Ok(link)
    }

    /// The supervisor gets nothing of ours: no files, no environment, no terminal, and it is not our child for
    /// long, because the process that we start ends as soon as it has forked.
    async fn spawn_supervisor(
        &self,
        run: &RunFolder,
    ) -> Result<Lines<BufReader<pipe::Receiver>>, EngineError> {
        use std::os::unix::process::CommandExt;
        let doing = || format!("starting a supervisor with {}", self.config.shim.program.display());
        let mut command = Command::new(&self.config.shim.program);
        command.args(&self.config.shim.args).arg(run.path());
        command.env_clear().envs(failpoint::environment()).current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let spawn = move || -> std::io::Result<OwnedFd> {
            let mut child = command.spawn()?;
            let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
            child.wait()?;
            Ok(output.into())
        };
        let spawned = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(spawn)).await;
        let late = |_| EngineError::host(doing(), "it did not start in time");
        let output = spawned.map_err(late)?.doing(doing)?.doing(doing)?;
        let output = pipe::Receiver::from_owned_fd(output).doing(doing)?;
        Ok(BufReader::new(output).lines())
    }
}

/// What no later step would refuse in time.
fn check(spec: &ContainerSpec) -> Result<(), EngineError> {
    let refuse = |message: String, hint: &str| Err(EngineError::Refused(Refusal::config(message, hint)));
    if !(1..=64).contains(&spec.stop_signal) {
        return refuse(
            format!("{} is no signal", spec.stop_signal),
            "set STOPSIGNAL in the image to 1 to 64",
        );
    }
    let limits = &spec.limits;
    if limits.memory_mb == 0 || limits.cpu_millis == 0 || limits.pids == 0 {
        return refuse(
            "a container needs some memory, processor time and processes".into(),
            "choose another size",
        );
    }
    Ok(())
}

fn write_json(run: &RunFolder, orders: &Orders, spec: &ContainerSpec) -> std::io::Result<()> {
    write_whole(&run.orders(), &serde_json::to_vec(orders)?)?;
    write_whole(&run.spec(), &serde_json::to_vec(spec)?)
}

async fn next(reports: &mut Lines<BufReader<pipe::Receiver>>) -> Result<Report, EngineError> {
    let doing = || "making the container".to_owned();
    let line = match tokio::time::timeout(PATIENCE, reports.next_line()).await {
        Ok(line) => line.doing(doing)?,
        Err(_) => return Err(EngineError::host(doing(), "its supervisor did not report in time")),
    };
    let line = line.ok_or_else(|| EngineError::host(doing(), "its supervisor ended without a word"))?;
    serde_json::from_str(&line).map_err(|error| EngineError::host(doing(), error))
}

fn unexpected(report: Report) -> EngineError {
    match report {
        Report::Failed(trouble) => trouble.into(),
        other => EngineError::host("making the container", format!("its supervisor reported {other:?}")),
    }
}

/// Whether the container is whole; see [`RunFolder::whole`].
pub(super) fn is_whole(run: &RunFolder) -> bool {
    fs::exists(run.whole()).unwrap_or(false)
}
