//! The control plane's process: builds the parts, hands them over, waits for a signal.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use build::made::Bases;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::building::{self, NamedGit};
use crate::lock::DataLock;
use crate::paths::Paths;
use crate::platform::Glue;

#[derive(clap::Args)]
pub struct Options {
    /// Folder for everything that is kept; made when missing.
    #[arg(long, env = "DARSENA_DATA", default_value = "/var/lib/darsena", value_name = "DIR")]
    data: PathBuf,
    /// Address of the API.
    #[arg(long, env = "DARSENA_API", default_value = "127.0.0.1:7300", value_name = "ADDR")]
    api: SocketAddr,
    /// Address that applications are reached at.
    #[arg(long, env = "DARSENA_HTTP", default_value = "0.0.0.0:80", value_name = "ADDR")]
    http: SocketAddr,
    /// Applications are reached at NAME.DOMAIN.
    #[arg(long, env = "DARSENA_DOMAIN", default_value = "localhost", value_name = "D")]
    domain: String,
    /// A registry that may be asked over plain http and at a private address; can be given several times.
    #[arg(
        long = "insecure-registry",
        env = "DARSENA_INSECURE_REGISTRY",
        value_delimiter = ',',
        value_name = "HOST:PORT"
    )]
    insecure_registries: Vec<String>,
    /// A registry with https at a private address, such as one on the local network; can be given several times.
    #[arg(
        long = "private-registry",
        env = "DARSENA_PRIVATE_REGISTRY",
        value_delimiter = ',',
        value_name = "HOST[:PORT]"
    )]
    private_registries: Vec<String>,
    /// A Git server that may be asked over plain http and at a private address; can be given several times.
    #[arg(long, env = "DARSENA_INSECURE_GIT", value_delimiter = ',', value_name = "HOST:PORT")]
    insecure_git: Vec<String>,
    /// A Git server with https or ssh at a private address; can be given several times.
    #[arg(long, env = "DARSENA_PRIVATE_GIT", value_delimiter = ',', value_name = "HOST[:PORT]")]
    private_git: Vec<String>,
    /// Where the base images of Dockerfiles come from that are made for repositories without one, instead of Docker Hub.
    #[arg(long, env = "DARSENA_BASE_IMAGES", value_name = "HOST[/PATH]", value_parser = Bases::at)]
    base_images: Option<Bases>,
}

/// Registries that the administrator named.
#[derive(Clone, Debug, Default)]
pub struct NamedRegistries {
    pub insecure: Vec<String>,
    pub private: Vec<String>,
}

/// Servers that the administrator named.
struct Named {
    registries: NamedRegistries,
    git: NamedGit,
    /// Where made Dockerfiles have their base images from.
    bases: Bases,
}

/// Runs until a signal ends it.
///
/// SIGTERM leaves applications and ingress running, for an upgrade or a restart; SIGINT (Ctrl-C) stops them
/// and removes every trace from the machine, and the next start brings them back. SIGHUP ends nothing: a terminal
/// that is closed must not take the platform along, and there is no file to be read again.
pub fn run(options: Options) -> Result<()> {
    log_to_stderr();
    if !nix::unistd::geteuid().is_root() {
        bail!("darsena serve makes containers, which needs root; run it with sudo or as a system service");
    }
    let Options { data, api, http, domain, insecure_registries, private_registries, .. } = options;
    let Options { insecure_git, private_git, base_images, .. } = options;
    let registries = NamedRegistries { insecure: insecure_registries, private: private_registries };
    let git = NamedGit { insecure: insecure_git.clone(), private: private_git };
    let bases = base_images.unwrap_or_default();
    let domain = checked_domain(&domain)?;
    let paths = Paths::prepare(&data)?;
    let _lock = DataLock::take(&paths.data)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let store = store::Store::open(&paths.data).context("the database cannot be opened")?;
        // The port before anything runs: one that is taken must not cost an application anything. And after
        // the database: whoever finds the port open finds the setup token too.
        let listener = TcpListener::bind(api)
            .await
            .with_context(|| format!("the API cannot listen on {api}; choose another address with --api"))?;
        prepare_run_folder(&paths.run)?;
        let platform = build(&store, &paths, http, domain, Named { registries, git, bases }).await?;
        platform.start().await.context("picking up what an earlier run left failed")?;
        announce(&store, &paths, api, http).await?;

        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let state = api::ApiState::new(
            store,
            Arc::new(Glue { platform: platform.clone(), insecure_git }),
            api::ApiConfig::default(),
        );
        let serving = tokio::spawn(api::serve(listener, state, async move {
            let _ = stopped.await;
        }));
        let ending = signals.next().await;
        // First, so that no deployment takes what ends now for its own failure.
        platform.let_go();
        let _ = stop.send(());
        if let Err(error) = serving.await? {
            tracing::error!(%error, "the API ended badly");
        }
        finish(&platform, &paths, ending, &mut signals).await
    })
}

/// Signals this close together are one.
const SAME_SIGNAL: std::time::Duration = std::time::Duration::from_secs(2);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// SIGTERM: applications go on.
    LetGo,
    /// SIGINT: everything stops.
    Down,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Somebody who asks again after a while does not want to wait. At once it is the same Ctrl-C, which a terminal
    /// sends to everybody and a script passes on.
    async fn insist(&mut self) {
        let began = tokio::time::Instant::now();
        while began.elapsed() < SAME_SIGNAL {
            self.next().await;
        }
    }

    async fn next(&mut self) -> Ending {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ending::LetGo,
                _ = self.interrupt.recv() => return Ending::Down,
                _ = self.hangup.recv() => tracing::info!("SIGHUP: there is nothing to read again; going on"),
            }
        }
    }
}

async fn finish(
    platform: &deploy::Platform,
    paths: &Paths,
    ending: Ending,
    signals: &mut Signals,
) -> Result<()> {
    // With no container there is nothing to keep alive, and an idle ingress would only be litter.
    if ending == Ending::LetGo && platform.has_containers().await {
        tracing::info!("stopping; applications and ingress go on. `darsena down` ends them too");
        return Ok(());
    }
    tracing::info!("stopping applications and ingress");
    tokio::select! {
        done = platform.down() => {
            done.context("not everything could be stopped; `darsena down` tries again")?;
            paths.remove_run();
            Ok(())
        }
        () = signals.insist() => bail!("interrupted while stopping; `darsena down` removes the rest"),
    }
}

async fn build(
    store: &store::Store,
    paths: &Paths,
    http: SocketAddr,
    domain: String,
    named: Named,
) -> Result<deploy::Platform> {
    let Named { registries, git, bases } = named;
    let images = open_images(paths, registries)?;
    let engine = open_engine(paths, &images)?;
    let git = building::open_git(paths, git)?;
    let builder = building::open_workshop(paths, bases)?;
    let config =
        ingress::ProcessConfig { http, control: paths.ingress_socket(), state: paths.ingress_state() };
    let ingress = ingress::Client::connect_or_spawn(ingress_launch(paths)?, config)
        .await
        .with_context(|| format!("the ingress, which --http {http} is the address of, does not start"))?;
    Ok(deploy::Platform::new(deploy::Parts {
        store: store.clone(),
        images,
        engine: Arc::new(engine),
        git,
        builder: Arc::new(builder),
        checkouts: paths.checkouts(),
        ingress,
        settings: deploy::Settings::new(domain, http),
    }))
}

/// How to start the ingress of a data folder.
pub fn ingress_launch(paths: &Paths) -> Result<ingress::Launch> {
    let log = Some(paths.data.join("log/ingress.log"));
    Ok(ingress::Launch { program: own_program()?, args: vec!["ingress".to_owned()], log })
}

/// The image store of a data folder.
pub fn open_images(paths: &Paths, named: NamedRegistries) -> Result<image::ImageStore> {
    let unpack = image::RoleCommand { program: own_program()?, args: vec!["unpack".into()] };
    let mut config = image::Config::new(paths.images(), unpack);
    config.insecure_registries = named.insecure;
    config.private_registries = named.private;
    image::ImageStore::open(config).context("the image folder cannot be opened")
}

/// The engine of a data folder.
pub fn open_engine(paths: &Paths, images: &image::ImageStore) -> Result<engine::LocalEngine> {
    let config = engine::Config {
        instance: paths.instance.clone(),
        run: paths.run.clone(),
        data: paths.containers(),
        layers: images.layers_root(),
        shim: engine::RoleCommand { program: own_program()?, args: vec!["shim".to_owned()] },
        runtime: None,
    };
    engine::LocalEngine::open(config)
        .context("containers cannot be run on this machine; see `darsena doctor`")
}

/// The path of this very program, for starting its other roles.
pub fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("the path of this program is not known")
}

/// Logs go to standard error; `DARSENA_LOG` sets the level, such as `debug` or `deploy=trace`.
pub fn log_to_stderr() {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_env("DARSENA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn checked_domain(domain: &str) -> Result<String> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() > 189 || !domain.split('.').all(is_label) {
        bail!("--domain {domain:?} is no domain name; give one such as apps.example.com");
    }
    Ok(domain)
}

fn prepare_run_folder(run: &Path) -> Result<()> {
    let make = |path: &Path, mode: u32| -> Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(())
    };
    let parent = run.parent().context("the run folder has no parent")?;
    make(parent, 0o711)?;
    make(run, 0o711)
}

/// What a person who started it by hand wants to see.
#[expect(
    clippy::print_stderr,
    reason = "the setup token is for the person at the terminal, and not for a log level"
)]
async fn announce(store: &store::Store, paths: &Paths, api: SocketAddr, http: SocketAddr) -> Result<()> {
    tracing::info!(%api, %http, data = %paths.data.display(), "Darsena is ready");
    if let Some(token) = store.instance().setup_token().await? {
        // A journal is read by more people than the data folder.
        let elsewhere = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            true => format!("or anywhere else with the one-time setup token {token}"),
            false => format!(
                "or anywhere else with the one-time token in {}",
                paths.data.join("setup-token").display()
            ),
        };
        eprintln!();
        eprintln!("This installation has no account yet. Make the first one, on this machine:");
        eprintln!(
            "  darsena setup --url http://{api} --data {} --email YOU@EXAMPLE.COM --company NAME",
            paths.data.display()
        );
        eprintln!("{elsewhere}");
        eprintln!();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_made_of_labels() {
        assert_eq!(checked_domain("Apps.Example.com.").unwrap(), "apps.example.com");
        for bad in ["", "a..b", "-a.com", "a_b.com", "a b", "http://x"] {
            assert!(checked_domain(bad).is_err(), "{bad:?}");
        }
    }
}
