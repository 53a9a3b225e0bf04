//! The route table as the control plane holds it, and its way to the ingress.

use std::net::SocketAddr;
use std::sync::Arc;

use ingress::{Backend, Client, IngressError, Route, RouteState, RouteTable};
use model::{AppName, DeploymentId};
use tokio::sync::Mutex;

/// An application that serves, as it is found at a start.
pub struct Adopted {
    pub name: AppName,
    pub deployment: DeploymentId,
    pub is_suspended: bool,
    /// Where its container runs; `None` when it does not.
    pub address: Option<SocketAddr>,
}

/// The route of an application at a start. A container that an earlier control plane was still bringing up has
/// proved nothing yet, so its route stays closed until its keeper has asked it.
fn adopted_route(app: &Adopted, served: Option<&Route>) -> Route {
    let deployment = app.deployment.to_string();
    let unproved =
        served.is_some_and(|route| route.state == RouteState::Starting && route.deployment == deployment);
    let (state, backends) = match app.address {
        _ if app.is_suspended => (RouteState::Suspended, Vec::new()),
        Some(address) if !unproved => (
            RouteState::Serving,
            vec![Backend { address, id: deployment.clone(), protocol: Default::default() }],
        ),
        _ => (RouteState::Starting, Vec::new()),
    };
    Route { app: app.name.to_string(), deployment, backends, state }
}

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

    /// Begins with a whole table for the applications that serve, published once before any container is made:
    /// addresses are dealt anew after a restart of the machine, and a route of yesterday must lead nobody to
    /// another application's container.
    pub async fn adopt(&self, apps: Vec<Adopted>) -> Result<(), IngressError> {
        let served = self.client.routes().await?;
        let mut table = self.table.lock().await;
        table.version = served.version + 1;
        table.routes = apps
            .into_iter()
            .map(|app| {
                let host = self.host(&app.name);
                let route = adopted_route(&app, served.routes.get(&host));
                (host, route)
            })
            .collect();
        self.client.publish(&table).await
    }

    /// Whether the application's requests go to this container.
    pub async fn leads_to(&self, app: &AppName, deployment: DeploymentId, address: SocketAddr) -> bool {
        let table = self.table.lock().await;
        let backend = Backend { address, id: deployment.to_string(), protocol: Default::default() };
        table.routes.get(&self.host(app)).is_some_and(|route| route.backends.contains(&backend))
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
        let backend = Backend { address, id: deployment.to_string(), protocol: Default::default() };
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
        let backend = Backend { address, id: deployment.to_string(), protocol: Default::default() };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn app(is_suspended: bool, address: Option<&str>) -> Adopted {
        Adopted {
            name: AppName::parse("shop").unwrap(),
            deployment: DeploymentId::new(),
            is_suspended,
            address: address.map(|address| address.parse().unwrap()),
        }
    }

    #[test]
    fn at_a_start_only_what_runs_and_was_proved_is_routed() {
        let address = Some("10.224.0.2:80");
        let running = app(false, address);
        assert_eq!(adopted_route(&running, None).state, RouteState::Serving);
        assert_eq!(adopted_route(&app(false, None), None).state, RouteState::Starting);
        assert_eq!(adopted_route(&app(true, address), None).state, RouteState::Suspended);

        let starting =
            Route { state: RouteState::Starting, backends: Vec::new(), ..adopted_route(&running, None) };
        assert_eq!(adopted_route(&running, Some(&starting)).state, RouteState::Starting);
        let of_the_old_release = Route { deployment: "another".into(), ..starting };
        assert_eq!(adopted_route(&running, Some(&of_the_old_release)).state, RouteState::Serving);
    }
}
