//! Logs.

use wire::{Filter, LogEntry};

use crate::{Client, Error};

/// Which lines. What is `None` is left to the server: the last hour, 1000 lines.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Start of the range, RFC 3339.
    pub from: Option<String>,
    /// The newest so many lines of it, 1 to 5000.
    pub limit: Option<u32>,
    /// Only lines that hold this text.
    pub containing: Option<String>,
}

impl Client {
    /// `GET /applications/{id}/runtime-logs`: what the processes print, oldest line first.
    pub async fn runtime_logs(&self, application: &str, query: &LogQuery) -> Result<Vec<LogEntry>, Error> {
        self.logs(&["applications", application, "runtime-logs"], query).await
    }

    /// `GET /applications/{id}/deployments/{deployment_id}/logs`: what the deployment did.
    pub async fn deployment_logs(
        &self,
        application: &str,
        deployment: &str,
        query: &LogQuery,
    ) -> Result<Vec<LogEntry>, Error> {
        self.logs(&["applications", application, "deployments", deployment, "logs"], query).await
    }

    async fn logs(&self, segments: &[&str], query: &LogQuery) -> Result<Vec<LogEntry>, Error> {
        let mut url = self.url(segments);
        for (name, value) in query.pairs() {
            url.query_pairs_mut().append_pair(name, &value);
        }
        self.get(url).await
    }
}

impl LogQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.from.clone().map(|from| ("from", from)));
        pairs.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        if let Some(text) = &self.containing {
            let filter = Filter {
                key: "message".to_owned(),
                operator: "CONTAINS".to_owned(),
                value: Some(text.as_str().into()),
                values: None,
            };
            pairs.push(("filters", serde_json::json!([filter]).to_string()));
        }
        pairs
    }
}
