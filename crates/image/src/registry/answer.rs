//! What a registry answers when it does not give what was asked for.

use reqwest::Response;
use serde::Deserialize;

use super::redact::Redactor;
use super::transport::{self, Limit};
use crate::Cause;

/// Largest error document that is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// An error document (OCI distribution-spec, "Error Codes"), as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub status: u16,
    /// The first error's code, such as `MANIFEST_UNKNOWN`.
    pub code: String,
    /// The first error's message, cleaned.
    pub message: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    errors: Vec<Entry>,
    /// Token servers write this one.
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    /// Reads what can be read of an error. Text that is no error document is left out: it is mostly a page.
    pub async fn read(response: Response, registry: &str, redactor: &Redactor) -> Self {
        let status = response.status().as_u16();
        let body = transport::read_body(response, registry, Limit::Cut(MAX_ERROR)).await.unwrap_or_default();
        let document: Option<Document> = serde_json::from_slice(&body).ok();
        let details = document.as_ref().map(|document| document.details.clone()).unwrap_or_default();
        let first = document.and_then(|document| document.errors.into_iter().next());
        let (code, message) = first.map_or((String::new(), details), |entry| (entry.code, entry.message));
        Self { status, code: redactor.clean(&code), message: redactor.clean(&message) }
    }

    /// For a message: what it said, else the status.
    pub fn reason(&self) -> String {
        match (&*self.message, &*self.code) {
            ("", "") => format!("it answered {}", self.status),
            ("", code) => format!("it answered {} {code}", self.status),
            (message, _) => format!("it answered {}, {message:?}", self.status),
        }
    }

    pub fn into_cause(self, registry: &str) -> Cause {
        let reason = self.reason().trim_start_matches("it ").to_owned();
        Cause::Registry { registry: registry.to_owned(), reason }
    }
}
