//! The route table as the control plane holds it, and its way to the ingress.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use ingress::{Backend, Client, IngressError, Route, RouteState, RouteTable};
use model::{AppName, DeploymentId};
use tokio::sync::Mutex;

/// What the ingress shall know. Each change is published as a whole table, so the ingress never holds half of
/// one, and publishing again repairs whatever it missed.
pub struct Routes {
    client: Arc<Client>,
    domain: String,
    table: Mutex<RouteTable>,
}

impl Routes {
    /// An empty table; nothing is published before the first change.
    pub fn new(client: Arc<Client>, domain: String) -> Self {
        Self { client, domain, table: Mutex::default() }
    }

    /// Begins with the table that the ingress serves now, less the hosts of applications that are gone: what
    /// an earlier control plane routed keeps its route until its container is looked at.
    pub async fn adopt(&self, apps: impl Iterator<Item = &AppName>) -> Result<(), IngressError> {
        let hosts: BTreeSet<_> = apps.map(|app| self.host(app)).collect();
        let mut served = self.client.routes().await?;
        served.routes.retain(|host, _| hosts.contains(host));
        *self.table.lock().await = served;
        self.publish().await
    }

    /// The host that an application is reached at.
    pub fn host(&self, app: &AppName) -> String {
        format!("{app}.{}", self.domain)
    }

    /// Sends an application's requests to a deployment's container.
    pub async fn serve(
        &self,
        app: &AppName,
        deployment: DeploymentId,
        address: SocketAddr,
    ) -> Result<(), IngressError> {
        let backend = Backend { address, id: deployment.to_string() };
        self.set(app, Some(deployment), vec![backend], RouteState::Serving).await
    }

    /// Keeps the host, says that the application is on its way.
    pub async fn starting(&self, app: &AppName, deployment: DeploymentId) -> Result<(), IngressError> {
        self.set(app, Some(deployment), Vec::new(), RouteState::Starting).await
    }

    /// Keeps the host, says that the application is suspended.
    pub async fn suspend(&self, app: &AppName) -> Result<(), IngressError> {
        self.set(app, None, Vec::new(), RouteState::Suspended).await
    }

    /// Forgets the host.
    pub async fn remove(&self, app: &AppName) -> Result<(), IngressError> {
        let host = self.host(app);
        self.change(|table| table.routes.remove(&host).is_some()).await
    }

    /// Lets requests with this secret token through to a container that does not serve yet.
    pub async fn add_candidate(
        &self,
        token: &str,
        deployment: DeploymentId,
        address: SocketAddr,
    ) -> Result<(), IngressError> {
        let backend = Backend { address, id: deployment.to_string() };
        self.change(|table| table.candidates.insert(token.to_owned(), backend).is_none()).await
    }

    /// Ends that.
    pub async fn remove_candidate(&self, token: &str) -> Result<(), IngressError> {
        self.change(|table| table.candidates.remove(token).is_some()).await
    }

    /// Sends the whole table again, for an ingress that was started anew.
    pub async fn publish(&self) -> Result<(), IngressError> {
        self.change(|_| true).await
    }

    async fn set(
        &self,
        app: &AppName,
        deployment: Option<DeploymentId>,
        backends: Vec<Backend>,
        state: RouteState,
    ) -> Result<(), IngressError> {
        let deployment = deployment.map(|id| id.to_string()).unwrap_or_default();
        let route = Route { app: app.to_string(), deployment, backends, state };
        let host = self.host(app);
        self.change(|table| table.routes.insert(host, route.clone()).as_ref() != Some(&route)).await
    }

    /// The lock is held while publishing, so that tables arrive in the order of their versions.
    async fn change(&self, edit: impl FnOnce(&mut RouteTable) -> bool) -> Result<(), IngressError> {
        let mut table = self.table.lock().await;
        if edit(&mut table) {
            table.version += 1;
        }
        self.client.publish(&table).await
    }
}
