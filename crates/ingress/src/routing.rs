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
use crate::table::{Backend, Route, RouteState, RouteTable};

/// Shared by all connections.
#[derive(Default)]
pub(crate) struct Router {
    live: RwLock<Live>,
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
}

impl Assigned {
    fn new(backend: &Backend, load: &Arc<Load>) -> Self {
        load.in_flight.fetch_add(1, Ordering::SeqCst);
        Self { backend: backend.clone(), load: load.clone() }
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        if self.load.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.load.idle.notify_waiters();
        }
    }
}

impl Router {
    /// Chooses the backend for a host.
    pub(crate) fn assign(&self, host: &str) -> Result<Assigned, Reason> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let busy = |backend: &Backend| live.loads[&backend.id].in_flight.load(Ordering::SeqCst);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let backend = choose(live.table.routes.get(host), busy, turn, &[])?;
        Ok(Assigned::new(backend, &live.loads[&backend.id]))
    }

    /// Chooses a backend for a host that is none of those that were tried.
    pub(crate) fn assign_another(&self, host: &str, tried: &[String]) -> Option<Assigned> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let busy = |backend: &Backend| live.loads[&backend.id].in_flight.load(Ordering::SeqCst);
        let backend = choose(live.table.routes.get(host), busy, 0, tried).ok()?;
        Some(Assigned::new(backend, &live.loads[&backend.id]))
    }

    /// The backend that a candidate's token stands for.
    pub(crate) fn assign_candidate(&self, token: &str) -> Result<Assigned, Reason> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let backend = live.table.candidates.get(token).ok_or(Reason::UnknownCandidate)?;
        Ok(Assigned::new(backend, &live.loads[&backend.id]))
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
    use crate::table::BackendProtocol;

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
        let router = Router::default();
        router.publish(table(1, &["a", "b", "c"]));
        let taken: Vec<Assigned> =
            (0..6).map(|_| router.assign("shop").unwrap_or_else(|_| panic!())).collect();
        let ids: Vec<&str> = taken.iter().map(|assigned| assigned.backend.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_drain_waits_for_requests_of_the_old_table() {
        let router = Arc::new(Router::default());
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
