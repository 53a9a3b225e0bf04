//! Which requests go where: the table that the control plane publishes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Every route of the installation. Publishing replaces the whole table at once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// The control plane's own counter, given back by [`crate::Hello`]. The ingress does not compare it.
    pub version: u64,
    /// Host to route. The host is lower case, without port and without a final dot.
    pub routes: BTreeMap<String, Route>,
    /// Secret token to a backend that is not routed yet: a request that carries the token in the header
    /// `darsena-candidate` reaches it. Kept in memory only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub candidates: BTreeMap<String, Backend>,
}

/// What a host leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// For people and logs.
    pub app: String,
    /// For people and logs.
    pub deployment: String,
    /// The least busy one is chosen for each request.
    pub backends: Vec<Backend>,
    pub state: RouteState,
}

/// How requests are written to a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendProtocol {
    #[default]
    Http1,
    /// HTTP/2 without TLS, begun without asking (RFC 9113, 3.3): what gRPC needs.
    H2c,
}

/// A container's web server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Two backends with the same id are one: they share connections and the count of requests in flight.
    /// The container's id, which no later container has.
    pub id: String,
    pub address: SocketAddr,
    /// What it speaks.
    #[serde(default)]
    pub protocol: BackendProtocol,
}

/// Whether a route's backends may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteState {
    /// Requests go to the backends.
    Serving,
    /// A person suspended the application: 503.
    Suspended,
    /// The first release is not up yet: 503, try again soon.
    Starting,
}

impl RouteTable {
    /// The table without candidates, which belong to a deployment under way.
    pub(crate) fn lasting(&self) -> Self {
        Self { version: self.version, routes: self.routes.clone(), candidates: BTreeMap::new() }
    }

    /// Every backend that a request can reach, candidates included.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.routes.values().flat_map(|route| &route.backends).chain(self.candidates.values())
    }
}

/// Tokens of candidates are secrets and not printed.
impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable")
            .field("version", &self.version)
            .field("routes", &self.routes)
            .field("candidates", &self.candidates.len())
            .finish()
    }
}
