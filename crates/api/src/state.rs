//! What every request needs: store, deployment side, limits.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use model::ApiKeyId;
use store::Store;

use crate::platform::Platform;
use crate::throttle::{Rate, Throttle};

/// How the API behaves on this installation.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// How long making an application waits for a registry; looking at an image waits twice as long.
    pub registry_wait: Duration,
    /// How many requests one key may make.
    pub rate: Rate,
}

impl Default for ApiConfig {
    /// 10 s for a registry; 50 requests a second for each key, 300 at once.
    fn default() -> Self {
        Self { registry_wait: Duration::from_secs(10), rate: Rate { per_second: 50.0, burst: 300.0 } }
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
    /// Held while a record is read, changed and written back: of two changes at the same time none gets lost.
    /// Nothing slow happens meanwhile.
    pub changes: tokio::sync::Mutex<()>,
    /// One attempt to set up at a time.
    pub setup: tokio::sync::Mutex<()>,
}

impl ApiState {
    pub fn new(store: Store, platform: Arc<dyn Platform>, config: ApiConfig) -> Self {
        Self(Arc::new(Shared {
            store,
            platform,
            registry_wait: config.registry_wait,
            throttle: Throttle::new(config.rate),
            changes: tokio::sync::Mutex::default(),
            setup: tokio::sync::Mutex::default(),
        }))
    }
}

impl Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
