//! Log lines.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A line of a log. Logs are bare arrays, oldest line first; of more lines than `limit` the newest ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Unique within the answer.
    pub id: String,
    pub message: String,
    /// `APP_RUNTIME`, `APP_ACCESS`, `APP_DEPLOYMENT`.
    pub service: String,
    /// `DEBUG`, `INFO`, `WARN`, `ERROR`.
    pub severity: String,
    /// For people, `2026-02-22 15:30:00.000`: not RFC 3339.
    pub timestamp: String,
    /// Labels such as the container.
    pub tags: Map<String, Value>,
    /// Structured fields of the line.
    pub attributes: Map<String, Value>,
    /// Microseconds since 1970.
    pub unix_timestamp: i64,
}

/// One condition of the query parameter `filters`, which is the JSON text of a list of these; all must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// `severity`, `message`, a tag or an attribute.
    pub key: String,
    /// `EQUALS`, `NOT_EQUALS`, `CONTAINS`, `NOT_CONTAINS`, `IN`.
    pub operator: String,
    /// For operators with one operand: a text, a number or a boolean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// For operators with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
}
