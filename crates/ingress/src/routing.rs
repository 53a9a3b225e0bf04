//! The table in force, and how busy each backend is.
//!
//! A request is counted under the same lock under which its backend is chosen. So when a new table is in force,
//! everybody who chose by the old one has been counted, and a drain misses nobody.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::answer::Reason;
use crate::table::{Backend, BackendProtocol, Route, RouteState, RouteTable};

/// Shared by all connections.
pub(crate) struct Router {
    live: RwLock<Live>,
    /// Connections to backends that there may be.
    connections: u64,
    /// Requests under way that have one each.
    taken: Arc<AtomicU64>,
    /// Counts requests, so that instances that are equally busy take turns.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Live {
    table: RouteTable,
    /// By backend id: those of the table, and former ones until they are idle.
    loads: HashMap<String, Arc<Load>>,
}

/// How many requests a backend works on.
#[derive(Default)]
struct Load {
    in_flight: AtomicU64,
    idle: Notify,
}

/// A backend chosen for a request. While it exists, the request is in flight.
pub(crate) struct Assigned {
    pub backend: Backend,
    load: Arc<Load>,
    /// Where it counts as a connection.
    taken: Option<Arc<AtomicU64>>,
}

impl Drop for Assigned {
    fn drop(&mut self) {
        if self.load.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.load.idle.notify_waiters();
        }
        if let Some(taken) = &self.taken {
            taken.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Router {
    /// For so many connections to backends.
    pub(crate) fn new(connections: usize) -> Self {
        let (live, taken, turn) = (RwLock::default(), Arc::default(), AtomicUsize::default());
        Self { live, connections: connections as u64, taken, turn }
    }

    fn assigned(&self, backend: &Backend, live: &Live) -> Assigned {
        let load = live.loads[&backend.id].clone();
        load.in_flight.fetch_add(1, Ordering::SeqCst);
        let taken = has_own_connection(backend).then(|| self.taken.clone());
        if let Some(taken) = &taken {
            taken.fetch_add(1, Ordering::SeqCst);
        }
        Assigned { backend: backend.clone(), load, taken }
    }

    /// Chooses the backend for a host, if the host has not got its share of the connections.
    pub(crate) fn assign(&self, host: &str) -> Result<Assigned, Reason> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let busy = |backend: &Backend| live.loads[&backend.id].in_flight.load(Ordering::SeqCst);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let route = live.table.routes.get(host);
        let backend = choose(route, busy, turn, &[])?;
        if has_own_connection(backend) {
            let of_host = route.iter().flat_map(|route| &route.backends).map(busy).sum();
            let free = self.connections.saturating_sub(self.taken.load(Ordering::SeqCst));
            has_share(of_host, free).then_some(()).ok_or(Reason::Busy)?;
        }
        Ok(self.assigned(backend, &live))
    }

    /// Chooses a backend for a host that is none of those that were tried.
    pub(crate) fn assign_another(&self, host: &str, tried: &[String]) -> Option<Assigned> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let busy = |backend: &Backend| live.loads[&backend.id].in_flight.load(Ordering::SeqCst);
        let backend = choose(live.table.routes.get(host), busy, 0, tried).ok()?;
        Some(self.assigned(backend, &live))
    }

    /// The backend that a candidate's token stands for.
    pub(crate) fn assign_candidate(&self, token: &str) -> Result<Assigned, Reason> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let backend = live.table.candidates.get(token).ok_or(Reason::UnknownCandidate)?;
        Ok(self.assigned(backend, &live))
    }

    /// Puts a table in force.
    pub(crate) fn publish(&self, table: RouteTable) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let routed: HashSet<String> = table.backends().map(|backend| backend.id.clone()).collect();
        live.loads.retain(|id, load| routed.contains(id) || load.in_flight.load(Ordering::SeqCst) > 0);
        for id in routed {
            live.loads.entry(id).or_default();
        }
        live.table = table;
    }

    /// The version of the table in force.
    pub(crate) fn version(&self) -> u64 {
        self.live.read().unwrap_or_else(PoisonError::into_inner).table.version
    }

    /// The table in force.
    pub(crate) fn table(&self) -> RouteTable {
        self.live.read().unwrap_or_else(PoisonError::into_inner).table.clone()
    }

    /// The table in force, without what belongs to a deployment under way.
    pub(crate) fn lasting(&self) -> RouteTable {
        self.live.read().unwrap_or_else(PoisonError::into_inner).table.lasting()
    }

    /// Waits until nothing is in flight for a backend; gives what is left at the deadline.
    pub(crate) async fn drain(&self, backend: &str, deadline: Duration) -> u64 {
        let load = self.live.read().unwrap_or_else(PoisonError::into_inner).loads.get(backend).cloned();
        let Some(load) = load else { return 0 };
        let until_idle = async {
            loop {
                let mut idle = std::pin::pin!(load.idle.notified());
                // From here on no end of a request is missed.
                idle.as_mut().enable();
                if load.in_flight.load(Ordering::SeqCst) == 0 {
                    return;
                }
                idle.await;
            }
        };
        match tokio::time::timeout(deadline, until_idle).await {
            Ok(()) => 0,
            Err(_) => load.in_flight.load(Ordering::SeqCst),
        }
    }
}

/// Requests of HTTP/2 share connections.
fn has_own_connection(backend: &Backend) -> bool {
    backend.protocol == BackendProtocol::Http1
}

/// Whether a host may have one more connection: no more of them than are free. So one whose application hangs has half
/// of all at most, two have a third each, and others find some free at any time. Pure.
fn has_share(of_host: u64, free: u64) -> bool {
    of_host == 0 || of_host < free
}

/// The least busy backend of a route that was not tried, among equals the one whose turn it is; or why there is none.
/// Pure.
fn choose<'a>(
    route: Option<&'a Route>,
    busy: impl Fn(&Backend) -> u64,
    turn: usize,
    tried: &[String],
) -> Result<&'a Backend, Reason> {
    let route = route.ok_or(Reason::UnknownHost)?;
    match route.state {
        RouteState::Suspended => Err(Reason::Suspended),
        RouteState::Starting => Err(Reason::Starting),
        RouteState::Serving => {
            let (before, from) = route.backends.split_at(turn % route.backends.len().max(1));
            let untried = from.iter().chain(before).filter(|backend| !tried.contains(&backend.id));
            untried.min_by_key(|backend| busy(backend)).ok_or(Reason::NoBackend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(state: RouteState, backends: &[&str]) -> Route {
        let backend = |id: &&str| Backend {
            id: (*id).to_owned(),
            address: "127.0.0.1:1".parse().expect("an address"),
            protocol: BackendProtocol::Http1,
        };
        Route {
            app: "shop".to_owned(),
            deployment: "d".to_owned(),
            backends: backends.iter().map(backend).collect(),
            state,
        }
    }

    fn table(version: u64, backends: &[&str]) -> RouteTable {
        let routes = [("shop".to_owned(), route(RouteState::Serving, backends))].into();
        RouteTable { version, routes, candidates: Default::default() }
    }

    #[test]
    fn a_request_goes_to_its_host_or_nowhere() {
        let idle = |_: &Backend| 0;
        assert_eq!(choose(None, idle, 0, &[]), Err(Reason::UnknownHost));
        assert_eq!(choose(Some(&route(RouteState::Suspended, &["a"])), idle, 0, &[]), Err(Reason::Suspended));
        assert_eq!(choose(Some(&route(RouteState::Starting, &[])), idle, 0, &[]), Err(Reason::Starting));
        assert_eq!(choose(Some(&route(RouteState::Serving, &[])), idle, 7, &[]), Err(Reason::NoBackend));
        let two = route(RouteState::Serving, &["a", "b"]);
        let turns = [0, 1, 2, 3].map(|turn| choose(Some(&two), idle, turn, &[]).unwrap().id.as_str());
        assert_eq!(turns, ["a", "b", "a", "b"], "those that are equally busy take turns");
        let a_is_busy = |backend: &Backend| u64::from(backend.id == "a");
        assert_eq!(choose(Some(&two), a_is_busy, 0, &[]).unwrap().id, "b");
        assert_eq!(choose(Some(&two), a_is_busy, 0, &["b".to_owned()]).unwrap().id, "a");
        let both = ["a".to_owned(), "b".to_owned()];
        assert_eq!(choose(Some(&two), idle, 0, &both), Err(Reason::NoBackend));
    }

    #[test]
    fn the_least_busy_backend_is_chosen() {
        let router = Router::new(1000);
        router.publish(table(1, &["a", "b", "c"]));
        let taken: Vec<Assigned> =
            (0..6).map(|_| router.assign("shop").unwrap_or_else(|_| panic!())).collect();
        let ids: Vec<&str> = taken.iter().map(|assigned| assigned.backend.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "a", "b", "c"]);
    }

    #[test]
    fn no_host_takes_what_others_need() {
        let host = |name: &str| (name.to_owned(), route(RouteState::Serving, &[name]));
        let routes = ["a", "b", "c"].map(host).into();
        let router = Router::new(30);
        router.publish(RouteTable { version: 1, routes, candidates: Default::default() });
        let fill =
            |host: &str| -> Vec<Assigned> { std::iter::from_fn(|| router.assign(host).ok()).collect() };
        let a = fill("a");
        let b = fill("b");
        assert_eq!((a.len(), b.len()), (15, 8));
        assert_eq!(router.assign("a").err(), Some(Reason::Busy));
        assert!(router.assign("c").is_ok());
        drop((a, b));
        assert_eq!(fill("c").len(), 15, "what ended counts no more");
    }

    #[tokio::test]
    async fn a_drain_waits_for_requests_of_the_old_table() {
        let router = Arc::new(Router::new(1000));
        router.publish(table(1, &["old"]));
        let request = router.assign("shop").unwrap_or_else(|_| panic!());
        router.publish(table(2, &["new"]));
        assert_eq!(router.drain("old", Duration::from_millis(1)).await, 1);

        let drain = tokio::spawn({
            let router = router.clone();
            async move { router.drain("old", Duration::from_secs(60)).await }
        });
        drop(request);
        assert_eq!(drain.await.unwrap(), 0);
        assert_eq!(router.drain("never seen", Duration::from_secs(60)).await, 0);
    }
}
