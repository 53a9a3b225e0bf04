//! One request as a handler sees it, and the answer that it gives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use model::CompanyId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{CompanyStore, StoreError};
use tokio::sync::MutexGuard;
use uuid::Uuid;
use wire::Secret;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::ApiState;

/// A request that passed routing, authentication and authorization.
pub struct Call {
    pub state: ApiState,
    /// Who asks; `None` only for the operations of [`crate::operation::Needs::Nothing`].
    pub caller: Option<Caller>,
    pub path: PathIds,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The address of the connection itself; headers that claim another one are not believed.
    pub peer: Option<IpAddr>,
}

impl Call {
    /// Who asks. Dispatch lets nobody in without a key where the table asks for one.
    pub fn caller(&self) -> &Caller {
        self.caller.as_ref().expect("the operation needs a key")
    }

    /// The company of the caller: every look-up is for it.
    pub fn company(&self) -> CompanyId {
        self.caller().key.company
    }

    /// The rows of that company.
    pub fn store(&self) -> CompanyStore {
        self.state.store.company(self.company())
    }

    /// Where the caller reaches this server, such as `https://darsena.example.com`: what its request says, and behind a
    /// proxy that ends TLS what that says. It goes back to the caller alone, who can only deceive itself.
    pub fn origin(&self) -> String {
        let text = |name: HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        let is_host = |host: &&str| {
            !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-_:[]".contains(&c))
        };
        let host = text(header::HOST).filter(is_host).unwrap_or("localhost");
        let scheme = match text(HeaderName::from_static("x-forwarded-proto")) {
            Some("https") => "https",
            _ => "http",
        };
        format!("{scheme}://{host}")
    }

    /// A turn to read a record, change it and write it back; it ends when the value is dropped.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.state.changes.lock().await
    }

    /// The body. Fields that the type does not know are ignored.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Err(ApiError::bad_request("validation_failed", "This request needs a JSON body."));
        }
        parse(&self.body)
    }

    /// The body, where a missing one counts as an empty object.
    pub fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match self.body.iter().all(u8::is_ascii_whitespace) {
            true => parse(b"{}"),
            false => parse(&self.body),
        }
    }
}

/// A record that may be gone.
pub fn found<T>(result: Result<T, StoreError>) -> Result<Option<T>, ApiError> {
    match result {
        Err(StoreError::NotFound) => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Reads a JSON object. An array, which serde would take for a struct too, is refused.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request("validation_failed", "The body is not JSON.").with_detail(error.to_string())
    })?;
    if !value.is_object() {
        return Err(ApiError::bad_request("validation_failed", "The body must be a JSON object."));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let problem = error.inner().to_string();
        match error.path().to_string() {
            // A missing field is reported for the object that lacks it, with the name in the words.
            path if path == "." => ApiError::invalid(quoted(&problem).unwrap_or("body"), &problem),
            path => ApiError::invalid(&path, problem),
        }
    })
}

/// The first name between backticks.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// The ids in the path. All of them are UUIDs, but for one that is a secret and no id.
#[derive(Default)]
pub struct PathIds {
    ids: Vec<(String, Uuid)>,
    secret: Secret,
}

impl PathIds {
    /// `None` when one of them is no UUID: then there is no such record.
    pub fn parse<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut path = Self::default();
        for (name, text) in params {
            match name {
                "secret" => path.secret = text.into(),
                name => path.ids.push((name.to_owned(), Uuid::try_parse(text).ok()?)),
            }
        }
        Some(path)
    }

    /// What stands for `{secret}`; empty in a path without it.
    pub fn secret(&self) -> &str {
        self.secret.expose()
    }

    /// An id by its name in the path of the operation.
    pub fn get(&self, name: &str) -> Uuid {
        self.find(name).unwrap_or_else(|| panic!("the path of this operation has no {{{name}}}"))
    }

    pub fn find(&self, name: &str) -> Option<Uuid> {
        self.ids.iter().find(|(own, _)| own == name).map(|(_, id)| *id)
    }

    /// The last one, which names the record that is acted on.
    pub fn last(&self) -> Option<Uuid> {
        self.ids.last().map(|(_, id)| *id)
    }
}

/// The query parameters. Those that an operation does not know are ignored.
#[derive(Default)]
pub struct Query(HashMap<String, String>);

impl Query {
    /// Reads `name=value&…`; of a repeated name the last one counts.
    pub fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A switch, on when it is `true`. Not every operation with one has a refusal in the API file, so any other
    /// text is off, which is the careful side of each.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match u32::from_str(text) {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(name, format!("it must be a whole number from {least} to {most}"))),
        }
    }
}

/// A success.
pub struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    /// The record that was made or acted on, for the audit log; otherwise the path says it.
    pub target: Option<Uuid>,
}

impl Answer {
    /// 200 with a record, a list or a confirmation.
    pub fn ok(body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError::internal(&error))?;
        Ok(Self { status: StatusCode::OK, body, target: None })
    }

    /// Names the record that was acted on, where the path names another one.
    pub fn about(self, target: Uuid) -> Self {
        Self { target: Some(target), ..self }
    }

    /// 201 with the record that was made.
    pub fn created(target: Uuid, body: &impl Serialize) -> Result<Self, ApiError> {
        Ok(Self { status: StatusCode::CREATED, target: Some(target), ..Self::ok(body)? })
    }

    /// 204 without a body.
    pub fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Vec::new(), target: None }
    }

    /// 200 with a short confirmation for people.
    pub fn message(text: &str) -> Result<Self, ApiError> {
        Self::ok(&wire::Message::new(text))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        if self.status == StatusCode::NO_CONTENT {
            return self.status.into_response();
        }
        let json = HeaderValue::from_static("application/json");
        (self.status, [(header::CONTENT_TYPE, json)], self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> String {
        let error = parse::<wire::CreateApplication>(body.as_bytes()).expect_err(body);
        format!("{error:?}")
    }

    #[test]
    fn a_bad_body_names_the_field() {
        assert!(problem("{").contains("not JSON"));
        assert!(problem("[]").contains("must be a JSON object"));
        assert!(problem("null").contains("must be a JSON object"));
        let missing = r#"{"cluster_id": "x", "source": "dockerImage"}"#;
        assert!(problem(missing).contains("The field display_name is not valid"), "{}", problem(missing));
        let wrong = r#"{"display_name": 7, "cluster_id": "x", "source": "dockerImage"}"#;
        assert!(problem(wrong).contains("The field display_name is not valid"));
    }

    #[test]
    fn unknown_fields_and_parameters_are_ignored() {
        assert!(parse::<wire::ProjectInput>(br#"{"display_name": "a", "company_id": "b"}"#).is_ok());
        let query = Query::parse("limit=5&what=ever&empty=");
        assert_eq!(query.number("limit", 1, 100).unwrap(), Some(5));
        assert_eq!(query.text("empty"), None);
        for bad in ["limit=0", "limit=101", "limit=1000000000", "limit=-1", "limit=x"] {
            assert!(Query::parse(bad).number("limit", 1, 100).is_err(), "{bad}");
        }
    }
}
