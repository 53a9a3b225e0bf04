//! Tokens: asked for once, kept for their life, for one registry, one repository and one login (Docker's
//! "Token Authentication Specification").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http::HeaderMap;
use http::header::HeaderValue;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::answer::{Answer, clean};
use super::challenge::Challenge;
use super::place::{Named, Place};
use super::transport::{self, Limit, Transport};
use crate::{Cause, Login};

/// Largest answer of a token server, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Life of a token that does not say; and the longest that one is kept.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// For whom a token is: registry, repository, and a hash of the login.
type Key = (String, String, Option<[u8; 32]>);

/// The tokens of this process.
#[derive(Clone, Default)]
pub(super) struct Tokens {
    known: Arc<Mutex<HashMap<Key, Kept>>>,
}

struct Kept {
    authorization: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<i64>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// A header that is still good.
    pub fn get(&self, place: &Place, login: Option<&Login>) -> Option<HeaderValue> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.get(&key(place, login))?;
        (kept.until > Instant::now()).then(|| kept.authorization.clone())
    }

    fn keep(&self, place: &Place, login: Option<&Login>, authorization: &HeaderValue, life: Duration) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, kept| kept.until > now);
        // Left a little before its end, so that it does not run out on the way.
        let until = now + life.saturating_sub(life / 10);
        known.insert(key(place, login), Kept { authorization: authorization.clone(), until });
    }

    /// Answers a challenge: the header with which to ask again.
    pub async fn obtain(
        &self,
        transport: &Transport,
        place: &Place,
        challenge: &Challenge,
        login: Option<&Login>,
    ) -> Result<HeaderValue, Cause> {
        match (&*challenge.scheme, login) {
            ("bearer", login) => {
                let (authorization, life) = ask(transport, place, challenge, login).await?;
                self.keep(place, login, &authorization, life);
                Ok(authorization)
            }
            (_, Some(login)) => Ok(basic(login)),
            (_, None) => Err(Cause::Unauthorized {
                registry: place.registry.clone(),
                reason: "it asks for a user name and a password".to_owned(),
            }),
        }
    }
}

/// Asks the realm for a token.
async fn ask(
    transport: &Transport,
    place: &Place,
    challenge: &Challenge,
    login: Option<&Login>,
) -> Result<(HeaderValue, Duration), Cause> {
    let registry = &place.registry;
    let failed = |reason: String| Cause::Registry { registry: registry.clone(), reason };
    let realm = challenge.get("realm").unwrap_or_default();
    let mut url = realm_url(realm, transport.named()).map_err(failed)?;
    if login.is_some() && !may_receive_login(place.base(), &url) {
        let realm = clean(url.host_str().unwrap_or_default());
        return Err(Cause::CredentialElsewhere { registry: registry.clone(), realm });
    }
    let own_scope = format!("repository:{}:pull", place.repository);
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = challenge.get("service") {
            query.append_pair("service", service);
        }
        query.append_pair("scope", challenge.get("scope").unwrap_or(&own_scope));
    }
    let authorization = login.map(basic);
    let response = transport.get(registry, &url, &HeaderMap::new(), authorization.as_ref()).await?;
    let status = response.status();
    if !status.is_success() {
        let answer = Answer::read(response, registry).await;
        return Err(match (status.as_u16(), login) {
            (401 | 403, Some(login)) => {
                Cause::CredentialRejected { registry: registry.clone(), username: clean(&login.username) }
            }
            (401 | 403, None) => Cause::Unauthorized { registry: registry.clone(), reason: answer.reason() },
            _ => failed(format!("could not give a token: {}", answer.reason())),
        });
    }
    let body = transport::read_body(response, registry, Limit::Refuse(MAX_ANSWER)).await?;
    let answer: TokenAnswer = serde_json::from_slice(&body)
        .map_err(|_| failed("gave a token answer that is no JSON".to_owned()))?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let header = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let mut header = header.ok_or_else(|| failed("gave a token answer without a token".to_owned()))?;
    header.set_sensitive(true);
    let life = match answer.expires_in {
        None => DEFAULT_LIFE,
        Some(seconds) => Duration::from_secs(seconds.max(0).unsigned_abs()).min(LONGEST_LIFE),
    };
    Ok((header, life))
}

/// The address of a realm. It is https at a name, unless the administrator named its host and port.
fn realm_url(realm: &str, named: &Named) -> Result<Url, String> {
    let refused = |why: &str| format!("asks for a token at {}, {why}", clean(realm));
    let url = Url::parse(realm).map_err(|_| refused("which is no address"))?;
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return Err(refused("which is no address of a token server"));
    }
    if named.has(&url) && matches!(url.scheme(), "http" | "https") {
        return Ok(url);
    }
    match (url.scheme(), url.host()) {
        ("https", Some(Host::Domain(name))) if name != "localhost" => Ok(url),
        ("https", _) => Err(refused("which is not a public host name")),
        _ => Err(refused("which is not https")),
    }
}

/// Whether a login for the registry may go to a realm: the same host, or one of the same registrable domain
/// over https. Addresses have no domain, and neither have suffixes under which anybody can register.
fn may_receive_login(registry: &Url, realm: &Url) -> bool {
    if registry.origin() == realm.origin() {
        return true;
    }
    if realm.scheme() != "https" {
        return false;
    }
    if registry.host_str() == realm.host_str() {
        return true;
    }
    let domain = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_owned();
            let known = psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known());
            if known { psl::domain_str(&name).map(str::to_owned) } else { None }
        }
        _ => None,
    };
    domain(registry).is_some_and(|own| domain(realm).as_ref() == Some(&own))
}

fn basic(login: &Login) -> HeaderValue {
    let pair =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", login.username, login.secret()));
    let mut value =
        HeaderValue::try_from(format!("Basic {pair}")).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn key(place: &Place, login: Option<&Login>) -> Key {
    let hash = login.map(|login| {
        let pair = format!("{}\0{}", login.username, login.secret());
        Sha256::digest(pair).into()
    });
    (place.base().to_string(), place.repository.clone(), hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_https_at_a_name_or_a_named_registry() {
        let named = Named::new(&["127.0.0.1:5000".to_owned()]);
        for realm in
            ["https://auth.docker.io/token", "http://127.0.0.1:5000/token", "https://gitlab.com/jwt/auth"]
        {
            assert!(realm_url(realm, &named).is_ok(), "{realm}");
        }
        for realm in [
            "http://auth.example/token",
            "http://127.0.0.1:5001/token",
            "ftp://auth.example/token",
            "file:///etc/passwd",
            "https://127.0.0.1/token",
            "https://169.254.169.254/token",
            "https://[::1]/token",
            "https://0.0.0.0/token",
            "https://10.0.0.1/token",
            "https://2130706433/token",
            "https://localhost/token",
            "https://user:pass@auth.example/token",
            "token",
            "",
        ] {
            assert!(realm_url(realm, &named).is_err(), "{realm}");
        }
    }

    #[test]
    fn a_login_stays_with_its_registrable_domain() {
        let may = |registry: &str, realm: &str| {
            may_receive_login(&Url::parse(registry).unwrap(), &Url::parse(realm).unwrap())
        };
        assert!(may("https://registry-1.docker.io/", "https://auth.docker.io/token"));
        assert!(may("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"));
        assert!(may("https://ghcr.io/", "https://ghcr.io/token"));
        assert!(may("http://127.0.0.1:5000/", "http://127.0.0.1:5000/token"));
        assert!(may("https://registry.lan/", "https://registry.lan:5001/token"));

        assert!(!may("https://ghcr.io/", "https://ghcr.io.evil.example/token"));
        assert!(!may("https://ghcr.io/", "http://ghcr.io/token"));
        assert!(!may("https://evil.github.io/", "https://victim.github.io/token"));
        assert!(!may("https://a.co.uk/", "https://b.co.uk/token"));
        assert!(!may("https://10.0.0.1/", "https://11.0.0.1/token"));
        assert!(!may("https://registry.lan/", "https://auth.lan/token"));
        assert!(!may("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"));
    }
}
