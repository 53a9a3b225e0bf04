//! Tokens: asked for once, kept for their life, for one company, one login, one registry and one repository
//! (Docker's "Token Authentication Specification").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use model::CompanyId;
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::answer::Answer;
use super::caller::{Authorization, Caller};
use super::challenge::Challenge;
use super::clean;
use super::place::{Place, host_and_port};
use super::realm::{may_receive_login, realm_url};
use super::redirect::Follow;
use super::refusal::Refusal;
use super::transport::{self, Limit, Request, Transport};
use crate::Cause;

/// Largest answer of a token server, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Life of a token that does not say; none is said to live shorter (Docker's specification, "expires_in"). One
/// that does is renewed when it is refused.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// For whom a token is: company, hash of the login, registry, repository.
type Key = (CompanyId, Option<[u8; 32]>, String, String);

/// The tokens of this process.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    known: Arc<Mutex<HashMap<Key, Kept>>>,
}

struct Kept {
    authorization: Authorization,
    until: Instant,
}

/// What a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Pulling from the place's repository.
    Pull,
    /// Nothing: only whether the login is good.
    Nothing,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<Value>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// A header that is still good.
    pub fn get(&self, place: &Place, caller: Caller<'_>) -> Option<Authorization> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.get(&key(place, caller))?;
        (kept.until > Instant::now()).then(|| kept.authorization.clone())
    }

    /// Forgets it, so that the next request asks with the login itself.
    pub fn forget(&self, place: &Place, caller: Caller<'_>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(place, caller));
    }

    fn keep(&self, place: &Place, caller: Caller<'_>, authorization: &Authorization, life: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, kept| kept.until > now);
        // Left a little before its end, so that it does not run out on the way.
        let until = now + life.saturating_sub(life / 10);
        known.insert(key(place, caller), Kept { authorization: authorization.clone(), until });
    }

    /// Answers a challenge for pulling: the header with which to ask again.
    pub async fn obtain(
        &self,
        transport: &Transport,
        place: &Place,
        challenge: &Challenge,
        caller: Caller<'_>,
    ) -> Result<Authorization, Cause> {
        if challenge.scheme != "bearer" {
            return basic(place, caller);
        }
        let (authorization, life) = ask(transport, place, challenge, caller, Scope::Pull).await?;
        failpoint::reach("S2");
        self.keep(place, caller, &authorization, life);
        Ok(authorization)
    }
}

/// The login itself, for a registry that wants it.
pub(super) fn basic(place: &Place, caller: Caller<'_>) -> Result<Authorization, Cause> {
    let registry = place.registry.clone();
    let Some(login) = caller.login else {
        let reason = "it asks for a user name and a password".to_owned();
        return Err(Cause::Unauthorized { registry, reason });
    };
    Authorization::basic(login).ok_or_else(|| Cause::Registry {
        registry,
        reason: "cannot be sent this user name: it holds a colon".to_owned(),
    })
}

/// Asks the realm for a token. Only what is needed is asked for, whatever the challenge names: a token can be
/// used by whoever gets to see it.
pub(super) async fn ask(
    transport: &Transport,
    place: &Place,
    challenge: &Challenge,
    caller: Caller<'_>,
    scope: Scope,
) -> Result<(Authorization, Duration), Cause> {
    let registry = &place.registry;
    let failed = |reason: String| Cause::Registry { registry: registry.clone(), reason };
    let realm = challenge.get("realm").unwrap_or_default();
    let mut url = realm_url(realm, place.base(), transport.named()).map_err(failed)?;
    if caller.login.is_some() && !may_receive_login(place.base(), &url) {
        let realm = clean(&host_and_port(&url));
        return Err(Cause::CredentialElsewhere { registry: registry.clone(), realm });
    }
    set_query(&mut url, place, challenge, scope);
    let authorization = caller.login.map(|_| basic(place, caller)).transpose()?;
    let request = Request {
        registry,
        url: &url,
        headers: &HeaderMap::new(),
        authorization: authorization.as_ref(),
        follow: Follow::Home,
    };
    let response = transport.get(request).await?;
    if !response.status().is_success() {
        return Err(refused(response, place, caller).await);
    }
    let body = transport::read_body(response, registry, Limit::Refuse(MAX_ANSWER)).await?;
    read_token(&body, caller.login.is_some()).map_err(|reason| failed(reason.to_owned()))
}

fn set_query(url: &mut Url, place: &Place, challenge: &Challenge, scope: Scope) {
    let mut query = url.query_pairs_mut();
    if let Some(service) = challenge.get("service") {
        query.append_pair("service", service);
    }
    if scope == Scope::Pull {
        query.append_pair("scope", &format!("repository:{}:pull", place.repository));
    }
}

/// What it means that there is no token. Nothing is tried without the login then: that would pull in silence
/// what somebody chose a credential for.
async fn refused(response: Response, place: &Place, caller: Caller<'_>) -> Cause {
    let registry = &place.registry;
    let answer = Answer::read(response, registry, &caller.redactor()).await;
    match (answer.status, caller.username()) {
        (401 | 403, Some(username)) => Refusal::of_login(&answer).into_cause(registry, &username, &answer),
        (401 | 403, None) => Cause::Unauthorized { registry: registry.clone(), reason: answer.reason() },
        _ => Cause::Registry {
            registry: registry.clone(),
            reason: format!("could not give a token: {}", answer.reason()),
        },
    }
}

/// The token in an answer, and how long it lives.
fn read_token(body: &[u8], is_secret: bool) -> Result<(Authorization, Duration), &'static str> {
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|_| "gave a token answer that is no JSON")?;
    let tokens = [answer.token, answer.access_token];
    let token = tokens.into_iter().flatten().find(|token| !token.is_empty());
    let header = token.and_then(|token| Authorization::bearer(&token, is_secret));
    let header = header.ok_or("gave a token answer without a token")?;
    let seconds = answer.expires_in.and_then(|value| value.as_u64().or_else(|| Some(value.as_f64()? as u64)));
    let life = seconds.map_or(SHORTEST_LIFE, Duration::from_secs).clamp(SHORTEST_LIFE, LONGEST_LIFE);
    Ok((header, life))
}

fn key(place: &Place, caller: Caller<'_>) -> Key {
    (caller.owner, caller.login_hash(), place.base().to_string(), place.repository.clone())
}

#[cfg(test)]
mod tests {
    use model::image::Reference;

    use super::*;
    use crate::Login;
    use crate::registry::place::Named;

    #[test]
    fn a_token_answer_is_read_in_the_order_of_the_specification() {
        let read = |text: &str| {
            let read = read_token(text.as_bytes(), true);
            read.map(|(header, life)| (header.secret().unwrap(), life.as_secs()))
        };
        let token = |token: &str, life| Ok((token.to_owned(), life));
        assert_eq!(read(r#"{"token":"a","expires_in":300}"#), token("a", 300));
        assert_eq!(read(r#"{"access_token":"b","expires_in":300}"#), token("b", 300));
        assert_eq!(read(r#"{"token":"a","access_token":"b"}"#), token("a", 60));
        assert_eq!(read(r#"{"token":"","access_token":"b"}"#), token("b", 60));
        for (life, seconds) in
            [("-1", 60), ("0", 60), ("59.5", 60), ("1000000000000", 3600), ("1e300", 3600), ("\"soon\"", 60)]
        {
            assert_eq!(
                read(&format!(r#"{{"token":"a","expires_in":{life}}}"#)),
                token("a", seconds),
                "{life}"
            );
        }
        let ahead = r#"{"token":"a","issued_at":"2099-01-01T00:00:00Z","expires_in":300}"#;
        assert_eq!(read(ahead), token("a", 300), "clocks are not compared");
        assert!(read("{}").unwrap_err().contains("without a token"));
        assert!(read(r#"{"token":"a\nb"}"#).unwrap_err().contains("without a token"));
        assert!(read("<html>").unwrap_err().contains("no JSON"));
    }

    #[test]
    fn a_token_serves_one_company_login_and_repository() {
        let named = Named::default();
        let place = |text: &str| Place::new(&Reference::parse(text).unwrap(), &named).unwrap();
        let (ada, other) = (Login::new("ada", "1"), Login::new("ada", "2"));
        let (owner, neighbour) = (CompanyId::new(), CompanyId::new());
        let caller = Caller { login: Some(&ada), owner };
        let tokens = Tokens::default();
        let header = Authorization::bearer("t", true).unwrap();
        tokens.keep(&place("ghcr.io/o/a"), caller, &header, LONGEST_LIFE);

        assert!(tokens.get(&place("ghcr.io/o/a:2"), caller).is_some());
        tokens.forget(&place("ghcr.io/o/b"), caller);
        for (name, caller) in [
            ("ghcr.io/o/b", caller),
            ("ghcr.io:444/o/a", caller),
            ("quay.io/o/a", caller),
            ("ghcr.io/o/a", Caller { login: None, owner }),
            ("ghcr.io/o/a", Caller { login: Some(&other), owner }),
            ("ghcr.io/o/a", Caller { login: Some(&ada), owner: neighbour }),
        ] {
            assert!(tokens.get(&place(name), caller).is_none(), "{name} {caller:?}");
        }
        tokens.forget(&place("ghcr.io/o/a"), caller);
        assert!(tokens.get(&place("ghcr.io/o/a"), caller).is_none());
    }
}
