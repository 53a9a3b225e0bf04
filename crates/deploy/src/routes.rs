//! The routes as the control plane holds them, and their way to the ingress.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ingress::{Backend, BackendProtocol, Client, IngressError, Route, RouteState, RouteTable};
use model::{AppName, ContainerId, DeploymentId, Process};
use tokio::sync::Mutex;

/// How often at a start the ingress is asked for its routes, and the pause between.
const ASKED_FOR_ROUTES: u32 = 5;
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How an application is shown to the world. A setting of its web process, and no part of a release: it counts
/// at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Whether people reach it by its host.
    pub is_public: bool,
    pub protocol: BackendProtocol,
}

impl Exposure {
    /// What the settings of a web process say.
    pub fn of(process: &Process) -> Self {
        let protocol = match process.ingress_protocol.as_str() {
            "grpc" => BackendProtocol::H2c,
            _ => BackendProtocol::Http1,
        };
        Self { is_public: process.is_ingress_enabled, protocol }
    }
}

/// An application that serves, as it is found at a start.
pub struct Adopted {
    pub name: AppName,
    pub deployment: DeploymentId,
    pub is_suspended: bool,
    pub exposure: Exposure,
    /// Its containers that run, and where.
    pub running: Vec<(ContainerId, SocketAddr)>,
}

/// Where an application's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    deployment: Option<DeploymentId>,
    state: RouteState,
    instances: BTreeMap<ContainerId, SocketAddr>,
    exposure: Exposure,
}

impl Entry {
    /// Serves with these containers, or says that it starts when there are none.
    fn with(
        deployment: DeploymentId,
        exposure: Exposure,
        instances: impl IntoIterator<Item = (ContainerId, SocketAddr)>,
    ) -> Self {
        let instances: BTreeMap<_, _> = instances.into_iter().collect();
        let state = if instances.is_empty() { RouteState::Starting } else { RouteState::Serving };
        Self { deployment: Some(deployment), state, instances, exposure }
    }

    fn route(&self, app: &AppName) -> Route {
        let protocol = self.exposure.protocol;
        let backend = |(id, address): (&ContainerId, &SocketAddr)| Backend {
            id: id.to_string(),
            address: *address,
            protocol,
        };
        Route {
            app: app.to_string(),
            deployment: self.deployment.map(|id| id.to_string()).unwrap_or_default(),
            backends: self.instances.iter().map(backend).collect(),
            state: self.state,
        }
    }
}

/// The entry of an application at a start. A container that an earlier control plane was still bringing up, or
/// that had failed to answer, has proved nothing yet, so nobody is sent there before its keeper has asked it.
fn adopted(app: &Adopted, served: Option<&Route>) -> Entry {
    if app.is_suspended {
        return suspended(app.exposure);
    }
    let of_this_release = served.filter(|route| route.deployment == app.deployment.to_string());
    let proved = |(_, address): &&(ContainerId, SocketAddr)| match of_this_release {
        // Whoever has another's address now would have left the routes before it was given away.
        Some(route) => route.backends.iter().any(|backend| backend.address == *address),
        // The switch came through and the routes did not; it was proved before the switch.
        None => true,
    };
    Entry::with(app.deployment, app.exposure, app.running.iter().filter(proved).cloned())
}

fn suspended(exposure: Exposure) -> Entry {
    Entry { deployment: None, state: RouteState::Suspended, instances: BTreeMap::new(), exposure }
}

/// What the ingress shall know. Each change is published as a whole table, so the ingress never holds half of
/// one, and publishing again repairs whatever it missed.
pub struct Routes {
    client: Arc<Client>,
    domain: String,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    version: u64,
    apps: BTreeMap<AppName, Entry>,
    /// By secret token.
    candidates: BTreeMap<String, Backend>,
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
        let served = self.served().await;
        let mut table = self.table.lock().await;
        table.version = served.version + 1;
        table.apps = apps
            .into_iter()
            .map(|app| {
                let entry = adopted(&app, served.routes.get(&self.host(&app.name)));
                (app.name, entry)
            })
            .collect();
        self.send(&table).await
    }

    /// The table in force. An ingress that does not give it is no reason to forget the applications: then all that runs
    /// is taken for proved.
    async fn served(&self) -> RouteTable {
        for attempt in 1.. {
            let asked = match self.client.ensure().await {
                Ok(_) => self.client.routes().await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(table) => return table,
                Err(error) if attempt == ASKED_FOR_ROUTES => {
                    tracing::error!(%error, "the ingress does not say what it routes");
                    break;
                }
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
        RouteTable::default()
    }

    /// Whether requests of the application may go to this container, at this address.
    pub async fn leads_to(&self, app: &AppName, container: &ContainerId, address: SocketAddr) -> bool {
        let table = self.table.lock().await;
        table.apps.get(app).is_some_and(|entry| entry.instances.get(container) == Some(&address))
    }

    /// The host that an application is reached at.
    pub fn host(&self, app: &AppName) -> String {
        format!("{app}.{}", self.domain)
    }

    /// Sends an application's requests to the containers of a deployment, and to no others.
    pub async fn serve(
        &self,
        app: &AppName,
        deployment: DeploymentId,
        exposure: Exposure,
        instances: &[(ContainerId, SocketAddr)],
    ) -> Result<(), IngressError> {
        let entry = Entry::with(deployment, exposure, instances.iter().cloned());
        self.change(|table| table.apps.insert(app.clone(), entry.clone()).as_ref() != Some(&entry)).await
    }

    /// One container more for the deployment that the application's requests go to; nothing for any other.
    pub async fn join(
        &self,
        app: &AppName,
        container: &ContainerId,
        address: SocketAddr,
    ) -> Result<(), IngressError> {
        self.of_deployment(app, container.deployment(), |entry| {
            entry.state = RouteState::Serving;
            entry.instances.insert(container.clone(), address) != Some(address)
        })
        .await
    }

    /// One container less. Without any the application is said to be on its way.
    pub async fn leave(&self, app: &AppName, container: &ContainerId) -> Result<(), IngressError> {
        self.of_deployment(app, container.deployment(), |entry| {
            let has_left = entry.instances.remove(container).is_some();
            if entry.instances.is_empty() {
                entry.state = RouteState::Starting;
            }
            has_left
        })
        .await
    }

    /// One container less as long as there is another one, which stands in for it; when there is none any more it is
    /// back. A bad answer of the application says more than one of ours.
    pub async fn leave_to_others(
        &self,
        app: &AppName,
        container: &ContainerId,
        address: SocketAddr,
    ) -> Result<(), IngressError> {
        self.of_deployment(app, container.deployment(), |entry| match entry.instances.len() {
            0 => {
                entry.state = RouteState::Serving;
                entry.instances.insert(container.clone(), address);
                true
            }
            1 => false,
            _ => entry.instances.remove(container).is_some(),
        })
        .await
    }

    /// Whether the application's requests go to this deployment.
    pub async fn is_of(&self, app: &AppName, deployment: DeploymentId) -> bool {
        self.table.lock().await.apps.get(app).is_some_and(|entry| entry.deployment == Some(deployment))
    }

    /// Keeps the host, says that the application is suspended.
    pub async fn suspend(&self, app: &AppName, exposure: Exposure) -> Result<(), IngressError> {
        let entry = suspended(exposure);
        self.change(|table| table.apps.insert(app.clone(), entry.clone()).as_ref() != Some(&entry)).await
    }

    /// Another exposure for an application that has a route.
    pub async fn expose(&self, app: &AppName, exposure: Exposure) -> Result<(), IngressError> {
        self.change(|table| {
            let Some(entry) = table.apps.get_mut(app) else { return false };
            std::mem::replace(&mut entry.exposure, exposure) != exposure
        })
        .await
    }

    /// Forgets the host.
    pub async fn remove(&self, app: &AppName) -> Result<(), IngressError> {
        self.change(|table| table.apps.remove(app).is_some()).await
    }

    /// Lets requests with this secret token through to a container that does not serve yet.
    pub async fn add_candidate(
        &self,
        token: &str,
        container: &ContainerId,
        address: SocketAddr,
        protocol: BackendProtocol,
    ) -> Result<(), IngressError> {
        let backend = Backend { id: container.to_string(), address, protocol };
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

    async fn of_deployment(
        &self,
        app: &AppName,
        deployment: DeploymentId,
        edit: impl FnOnce(&mut Entry) -> bool,
    ) -> Result<(), IngressError> {
        self.change(|table| match table.apps.get_mut(app) {
            Some(entry) if entry.deployment == Some(deployment) => edit(entry),
            _ => false,
        })
        .await
    }

    /// The lock is held while publishing, so that tables arrive in the order of their versions.
    async fn change(&self, edit: impl FnOnce(&mut Table) -> bool) -> Result<(), IngressError> {
        let mut table = self.table.lock().await;
        if edit(&mut table) {
            table.version += 1;
        }
        self.send(&table).await
    }

    async fn send(&self, table: &Table) -> Result<(), IngressError> {
        let public = table.apps.iter().filter(|(_, entry)| entry.exposure.is_public);
        let routes = public.map(|(app, entry)| (self.host(app), entry.route(app))).collect();
        let (version, candidates) = (table.version, table.candidates.clone());
        self.client.publish(&RouteTable { version, routes, candidates }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Exposure = Exposure { is_public: true, protocol: BackendProtocol::Http1 };

    fn app(is_suspended: bool, running: &[&str]) -> Adopted {
        let deployment = DeploymentId::new();
        let instance = |(number, address): (u16, &&str)| {
            (ContainerId::of(deployment, number), address.parse().expect("an address"))
        };
        Adopted {
            name: AppName::parse("shop").unwrap(),
            deployment,
            is_suspended,
            exposure: PUBLIC,
            running: (0..).zip(running).map(instance).collect(),
        }
    }

    #[test]
    fn at_a_start_only_what_runs_and_was_proved_is_routed() {
        let two = app(false, &["10.224.0.2:80", "10.224.0.6:80"]);
        assert_eq!(adopted(&two, None).instances.len(), 2);
        assert_eq!(adopted(&app(false, &[]), None).state, RouteState::Starting);
        assert_eq!(adopted(&app(true, &["10.224.0.2:80"]), None).state, RouteState::Suspended);

        let served = adopted(&two, None).route(&two.name);
        let one = Route { backends: served.backends[..1].to_vec(), ..served.clone() };
        assert_eq!(adopted(&two, Some(&one)).instances.len(), 1);
        let moved = Backend { address: "10.224.0.10:80".parse().unwrap(), ..served.backends[0].clone() };
        let none = Route { backends: vec![moved], ..served.clone() };
        assert_eq!(adopted(&two, Some(&none)).state, RouteState::Starting, "at another address");

        let of_the_old_release = Route { deployment: "another".into(), backends: Vec::new(), ..served };
        assert_eq!(adopted(&two, Some(&of_the_old_release)).instances.len(), 2);
    }

    #[test]
    fn a_route_says_what_its_containers_speak() {
        let mut shop = app(false, &["10.224.0.2:80"]);
        shop.exposure.protocol = BackendProtocol::H2c;
        assert_eq!(adopted(&shop, None).route(&shop.name).backends[0].protocol, BackendProtocol::H2c);
    }
}
