//! Containers on this machine.

mod config;

pub use config::{Config, RoleCommand};

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use model::ContainerId;
use model::log::LogLine;

use crate::{Check, ContainerSpec, Engine, EngineError, Exit, LogQuery, Status};

/// Runs containers on this machine through an OCI runtime.
pub struct LocalEngine {
    config: Config,
}

impl LocalEngine {
    /// Takes up the work where an earlier process left it. Quick; needs root to be of use.
    pub fn open(config: Config) -> Result<Self, EngineError> {
        Ok(Self { config })
    }
}

#[async_trait]
impl Engine for LocalEngine {
    async fn create(&self, _: &ContainerSpec) -> Result<(), EngineError> {
        Err(EngineError::host("creating", self.config.instance.as_str()))
    }
    async fn start(&self, id: &ContainerId) -> Result<SocketAddr, EngineError> {
        Err(EngineError::Unknown(id.clone()))
    }
    async fn stop(&self, _: &ContainerId, _: Duration) -> Result<(), EngineError> {
        Ok(())
    }
    async fn remove(&self, _: &ContainerId) -> Result<(), EngineError> {
        Ok(())
    }
    async fn status(&self, _: &ContainerId) -> Result<Status, EngineError> {
        Ok(Status::Absent)
    }
    async fn wait(&self, id: &ContainerId) -> Result<Exit, EngineError> {
        Err(EngineError::Unknown(id.clone()))
    }
    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        Ok(Vec::new())
    }
    async fn listening(&self, _: &ContainerId) -> Result<Vec<SocketAddr>, EngineError> {
        Ok(Vec::new())
    }
    async fn logs(&self, _: &ContainerId, _: &LogQuery) -> Result<Vec<LogLine>, EngineError> {
        Ok(Vec::new())
    }
    async fn down(&self) -> Result<(), EngineError> {
        Ok(())
    }
    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }
}
