//! What every request needs: store, deployment side, limits.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::{ApiKeyId, AppId};
use store::Store;

use crate::error::ApiError;
use crate::network::Network;
use crate::platform::Platform;
use crate::seats::Seats;
use crate::throttle::{Rate, Throttle};

/// So many repositories are fetched at the same time to be looked into.
const LOOKS_AT_ONCE: usize = 4;

/// So many hooks of one client are looked at at the same time, each with a body of up to 1 MiB in memory.
const HOOK_SEATS: usize = 8;
/// The same for the machine itself, where a proxy may speak for many clients.
const LOCAL_HOOK_SEATS: usize = 32;
/// So many of those may be longer, up to 25 MiB; most pushes are not.
const LONG_HOOK_SEATS: usize = 2;
const LOCAL_LONG_HOOK_SEATS: usize = 4;

/// How the API behaves on this installation.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// How long making an application waits for a registry; looking at an image waits twice as long.
    pub registry_wait: Duration,
    /// How many requests one key may make.
    pub rate: Rate,
    /// How many requests one address may make that need no key and only look.
    pub open_reads: Rate,
    /// The same for those that change something, which is the setup.
    pub open_writes: Rate,
    /// How many keys that are none one address may present before each further one is answered late.
    pub wrong_keys: Rate,
    /// How often one address may call deploy hooks and push webhooks.
    pub hook_calls: Rate,
    /// How many deployments the hooks of one application may start.
    pub hook_deployments: Rate,
}

impl Default for ApiConfig {
    /// 10 s for a registry; 50 requests a second for each key, 300 at once. Without a key an address may look 100
    /// times a second, 1000 times at once, and try to set up every 5 s, ten times at once. After 20
    /// wrong keys, or one a second, it waits for the answer to each. A Git server tells one address of the pushes to all
    /// its repositories: 10 a second, 200 at once; the hooks of one application start a deployment every 5 s, 20 at once.
    fn default() -> Self {
        Self {
            registry_wait: Duration::from_secs(10),
            rate: Rate { per_second: 50.0, burst: 300.0 },
            open_reads: Rate { per_second: 100.0, burst: 1000.0 },
            open_writes: Rate { per_second: 0.2, burst: 10.0 },
            wrong_keys: Rate { per_second: 1.0, burst: 20.0 },
            hook_calls: Rate { per_second: 10.0, burst: 200.0 },
            hook_deployments: Rate { per_second: 0.2, burst: 20.0 },
        }
    }
}

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

pub struct Shared {
    pub store: Store,
    pub platform: Arc<dyn Platform>,
    pub registry_wait: Duration,
    pub throttle: Throttle<ApiKeyId>,
    /// For what needs no key; `None` stands for all callers without a connection.
    pub open_reads: Throttle<Option<Network>>,
    pub open_writes: Throttle<Option<Network>>,
    pub wrong_keys: Throttle<Option<Network>>,
    pub hook_calls: Throttle<Option<Network>>,
    /// For the calls of one application that are right.
    pub hook_deployments: Throttle<AppId>,
    /// For the calls whose bodies are being read and looked at.
    pub hook_seats: Seats,
    /// For those of them that are long.
    pub long_hook_seats: Seats,
    /// Held while a record is read, changed and written back: of two changes at the same time none gets lost.
    /// Nothing slow happens meanwhile.
    pub changes: tokio::sync::Mutex<()>,
    /// Places for looking into repositories.
    pub looks: tokio::sync::Semaphore,
    /// One attempt to set up at a time.
    pub setup: tokio::sync::Mutex<()>,
    /// The first account was seen. It stays, so the store is not asked again.
    set_up: AtomicBool,
}

impl ApiState {
    pub fn new(store: Store, platform: Arc<dyn Platform>, config: ApiConfig) -> Self {
        Self(Arc::new(Shared {
            store,
            platform,
            registry_wait: config.registry_wait,
            throttle: Throttle::new(config.rate),
            open_reads: Throttle::new(config.open_reads),
            open_writes: Throttle::new(config.open_writes),
            wrong_keys: Throttle::new(config.wrong_keys),
            hook_calls: Throttle::new(config.hook_calls),
            hook_deployments: Throttle::new(config.hook_deployments),
            hook_seats: Seats::new(HOOK_SEATS, LOCAL_HOOK_SEATS),
            long_hook_seats: Seats::new(LONG_HOOK_SEATS, LOCAL_LONG_HOOK_SEATS),
            changes: tokio::sync::Mutex::default(),
            looks: tokio::sync::Semaphore::new(LOOKS_AT_ONCE),
            setup: tokio::sync::Mutex::default(),
            set_up: AtomicBool::new(false),
        }))
    }

    /// Whether the first account exists.
    pub async fn is_set_up(&self) -> Result<bool, ApiError> {
        if self.set_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let is_set_up = self.store.instance().is_set_up().await?;
        self.set_up.fetch_or(is_set_up, Ordering::Relaxed);
        Ok(is_set_up)
    }
}

impl Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
