//! What this process knows of builds: whose files are here, what is told of those that go on, whose turn it is.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{DeploymentId, Limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::build_limits;
use crate::ledger::{BuildStep, Ledger};

/// Repositories that are looked at for people at the same time.
const LOOKS_AT_A_TIME: usize = 2;

/// The builds of an installation.
pub struct Builds {
    /// A folder for each deployment that has files here.
    checkouts: PathBuf,
    limits: Limits,
    /// Deployments whose files this process has brought. What an earlier process left may be half.
    brought: Mutex<HashSet<DeploymentId>>,
    ledgers: Mutex<HashMap<DeploymentId, Arc<Ledger>>>,
    places: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

impl Builds {
    pub fn new(checkouts: PathBuf) -> Self {
        Self {
            checkouts,
            limits: build_limits::of_this_machine(),
            brought: Mutex::default(),
            ledgers: Mutex::default(),
            places: Arc::new(Semaphore::new(build_limits::side_by_side())),
            looks: Arc::new(Semaphore::new(LOOKS_AT_A_TIME)),
        }
    }

    /// What each build may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The folder for the files of a deployment.
    pub fn checkout(&self, deployment: DeploymentId) -> PathBuf {
        self.checkouts.join(deployment.to_string())
    }

    /// A folder for a moment, beside those of deployments.
    pub fn scratch(&self) -> PathBuf {
        self.checkouts.join(format!("look-{}", uuid::Uuid::new_v4().simple()))
    }

    pub fn has_files(&self, deployment: DeploymentId) -> bool {
        locked(&self.brought).contains(&deployment)
    }

    pub fn files_are_here(&self, deployment: DeploymentId) {
        locked(&self.brought).insert(deployment);
    }

    /// Makes an empty folder, in place of whatever is there.
    pub async fn prepare(&self, folder: &Path) -> io::Result<()> {
        let folder = folder.to_owned();
        off_the_runtime(move || {
            remove(&folder)?;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)
        })
        .await
    }

    /// Removes the files of a deployment. None is fine.
    pub async fn remove_files(&self, deployment: DeploymentId) -> io::Result<()> {
        locked(&self.brought).remove(&deployment);
        self.remove_folder(self.checkout(deployment)).await
    }

    /// Removes a folder of this place. None is fine.
    pub async fn remove_folder(&self, folder: PathBuf) -> io::Result<()> {
        off_the_runtime(move || remove(&folder)).await
    }

    /// Names of the folders that are here.
    pub async fn folders(&self) -> io::Result<Vec<PathBuf>> {
        let checkouts = self.checkouts.clone();
        off_the_runtime(move || match std::fs::read_dir(&checkouts) {
            Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        })
        .await
    }

    /// A new account for a build that begins.
    pub fn open_ledger(&self, deployment: DeploymentId) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::default());
        locked(&self.ledgers).insert(deployment, Arc::clone(&ledger));
        ledger
    }

    pub fn ledger(&self, deployment: DeploymentId) -> Option<Arc<Ledger>> {
        locked(&self.ledgers).get(&deployment).cloned()
    }

    pub fn close_ledger(&self, deployment: DeploymentId) {
        locked(&self.ledgers).remove(&deployment);
    }

    /// The steps of a build that goes on, or went on for a deployment that is not over.
    pub fn steps(&self, deployment: DeploymentId) -> Vec<BuildStep> {
        self.ledger(deployment).map(|ledger| ledger.steps()).unwrap_or_default()
    }

    /// A place to build in, if one is free.
    pub fn free_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A place to build in, once it is this one's turn.
    pub async fn place(&self) -> OwnedSemaphorePermit {
        turn(&self.places).await
    }

    /// A place to look at a repository in, once it is this one's turn.
    pub async fn look(&self) -> OwnedSemaphorePermit {
        turn(&self.looks).await
    }
}

async fn turn(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("nobody closes it")
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
