//! What a test server was asked.

use http::HeaderMap;

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
}

impl Seen {
    /// The `Authorization` header, if there was one.
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization")?.to_str().ok()
    }
}
