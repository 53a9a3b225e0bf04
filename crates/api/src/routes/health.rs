//! Whether the server answers. Open to everybody, so it says nothing else.

use serde_json::json;

use crate::call::{Answer, Call};
use crate::error::ApiError;

pub async fn health(_call: Call) -> Result<Answer, ApiError> {
    Answer::ok(&json!({ "status": "ok" }))
}
