//! Whether a login is good, without pulling anything: what `docker login` asks.

use http::HeaderMap;
use reqwest::Response;

use super::answer::Answer;
use super::caller::{Authorization, Caller};
use super::client::{Client, challenge_of};
use super::place::Place;
use super::redirect::Follow;
use super::refusal::Refusal;
use super::token::{self, Scope};
use super::transport::{Request, Transport};
use crate::{Cause, Verdict};

impl Client {
    /// Asks a registry what it thinks of the caller's login. A rate limit is told at once.
    pub async fn verify(&self, host: &str, caller: Caller<'_>) -> Result<Verdict, Cause> {
        let transport = self.transport.impatient();
        let place = Place::of_registry(host, transport.named()).ok_or_else(|| Cause::Unreachable {
            registry: super::clean(host),
            reason: "its name is none of a registry".to_owned(),
        })?;
        self.may_log_in(&place, caller).await?;
        match try_login(&transport, &place, caller).await {
            Ok(verdict) => Ok(verdict),
            Err(cause) => verdict_of(cause),
        }
    }
}

async fn try_login(transport: &Transport, place: &Place, caller: Caller<'_>) -> Result<Verdict, Cause> {
    let first = version(transport, place, None).await?;
    let (authorization, is_token) = match first.status().as_u16() {
        401 => {
            let challenge = challenge_of(&first, &place.registry)?;
            match &*challenge.scheme {
                "bearer" => (token::ask(transport, place, &challenge, caller, Scope::Nothing).await?.0, true),
                _ => (token::basic(place, caller)?, false),
            }
        }
        // It lets everybody in here, and may still refuse a login that is wrong.
        200..=299 => (token::basic(place, caller)?, false),
        status => return Err(no_registry(place, status)),
    };
    let response = version(transport, place, Some(&authorization)).await?;
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(Verdict::Accepted);
    }
    if !matches!(status, 401 | 403) {
        return Err(no_registry(place, status));
    }
    let says_scope = response
        .headers()
        .get("www-authenticate")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.contains("insufficient_scope"));
    let redactor = caller.redactor().and(authorization.secret());
    let answer = Answer::read(response, &place.registry, &redactor).await;
    let refusal = match (is_token, status) {
        _ if says_scope => Refusal::ScopeMissing,
        // The login was good for a token, which is good for nothing.
        (true, 403) => Refusal::of_token(&answer),
        _ => Refusal::of_login(&answer),
    };
    Err(refusal.into_cause(&place.registry, &caller.username().unwrap_or_default(), &answer))
}

async fn version(
    transport: &Transport,
    place: &Place,
    authorization: Option<&Authorization>,
) -> Result<Response, Cause> {
    let (registry, url) = (&*place.registry, place.version_url());
    let request =
        Request { registry, url: &url, headers: &HeaderMap::new(), authorization, follow: Follow::Home };
    transport.get(request).await
}

fn no_registry(place: &Place, status: u16) -> Cause {
    Cause::Registry {
        registry: place.registry.clone(),
        reason: format!("answered {status} when it was asked whether it is a registry"),
    }
}

/// A refusal of the login is an answer, not a failure.
fn verdict_of(cause: Cause) -> Result<Verdict, Cause> {
    match cause {
        Cause::CredentialRejected { registry, words, .. } => {
            Ok(Verdict::Rejected { words: format!("{registry} refused the user name or token: {words}") })
        }
        Cause::CredentialExpired { registry, words, .. } => {
            Ok(Verdict::Rejected { words: format!("{registry} says that the token has expired: {words}") })
        }
        Cause::CredentialScopeMissing { registry, words, .. }
        | Cause::AccessDenied { registry, words, .. } => {
            let words = format!("{registry} knows the user name and token, but they may not pull: {words}");
            Ok(Verdict::ScopeMissing { words })
        }
        other => Err(other),
    }
}
