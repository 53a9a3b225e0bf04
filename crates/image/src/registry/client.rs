//! Manifests and blobs of one place.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE, WWW_AUTHENTICATE,
};
use model::image::{Digest, Reference};
use reqwest::Response;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::answer::Answer;
use super::caller::{Authorization, Caller};
use super::challenge::{self, Challenge};
use super::clean;
use super::place::{Named, Place, host_and_port};
use super::redirect::Follow;
use super::refusal::Refusal;
use super::token::Tokens;
use super::transport::{self, Limit, Request, Transport};
use crate::{Cause, Config};

/// Largest manifest, index or configuration, in bytes.
const MAX_DOCUMENT: usize = 4 << 20;

/// Every type that is understood, and nothing else: without it some registries serve schema 1 or nothing.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json, \
                        application/vnd.docker.distribution.manifest.v2+json";

/// The client of every registry. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(super) transport: Transport,
    tokens: Tokens,
}

/// Which manifest is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    Tag(&'a str),
    Digest(&'a Digest),
}

/// A document whose digest is computed from its bytes.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub content_type: Option<String>,
    /// Whether it came for the caller's login, and not for everybody.
    pub with_login: bool,
}

/// A blob on its way.
#[derive(Debug)]
pub(crate) struct BlobStream {
    response: Response,
    /// Where in the blob the stream begins.
    pub offset: u64,
}

/// An answer, and what was sent for it.
struct Asked {
    response: Response,
    /// The token, when one was sent. With it the login was good, so a refusal is about the image.
    token: Option<Authorization>,
    /// Whether the login, or a token made of it, was sent.
    with_login: bool,
}

/// Why a blob does not come.
#[derive(Debug)]
pub(crate) enum BlobError {
    /// Another try may help: the connection broke.
    Broken(String),
    /// A part was asked for and something else came.
    WrongRange,
    Missing,
    Final(Cause),
}

impl Fetched {
    /// A document that no registry was asked for.
    pub fn here(bytes: Vec<u8>, digest: &Digest) -> Self {
        Self { bytes, digest: digest.clone(), content_type: None, with_login: false }
    }
}

impl Client {
    pub fn new(config: &Config) -> Result<Self, Cause> {
        let named = Named::new(&config.insecure_registries, &config.private_registries);
        let transport = Transport::new(named, config.timeouts).map_err(|error| {
            Cause::Unpack(format!("no https client can be made: {}", clean(&error.to_string())))
        })?;
        Ok(Self { transport, tokens: Tokens::default() })
    }

    /// Where a reference's image is.
    pub fn place(&self, reference: &Reference) -> Result<Place, Cause> {
        Place::new(reference, self.transport.named()).ok_or_else(|| Cause::Unreachable {
            registry: reference.host().to_owned(),
            reason: "its name makes no address".to_owned(),
        })
    }

    /// Begins a proof of access: what follows asks with the login itself, and not with a token that was given some
    /// minutes ago and outlives a login that is withdrawn.
    pub fn prove_anew(&self, place: &Place, caller: Caller<'_>) {
        if caller.login.is_some() {
            self.tokens.forget(place, caller);
        }
    }

    /// Gets a manifest or index. Its digest is computed; one that was asked for, and one that the registry
    /// claims, must be the same.
    pub async fn manifest(
        &self,
        place: &Place,
        what: What<'_>,
        caller: Caller<'_>,
    ) -> Result<Fetched, Cause> {
        let name = match what {
            What::Tag(tag) => tag,
            What::Digest(digest) => digest.as_str(),
        };
        let url = place.url(&format!("manifests/{name}"));
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(ACCEPTED))]);
        let asked = self.get(place, &url, headers, caller).await?;
        if !asked.response.status().is_success() {
            return Err(self.refused(place, what, caller, asked).await);
        }
        let Asked { response, with_login, .. } = asked;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let content_type = header(CONTENT_TYPE.as_str());
        let claimed = header("docker-content-digest").filter(|text| !text.is_empty());
        let bytes = transport::read_body(response, &place.registry, Limit::Refuse(MAX_DOCUMENT)).await?;
        let digest = digest_of(&bytes);
        let promised = match what {
            What::Digest(asked) => Some(asked.to_string()),
            What::Tag(_) => None,
        };
        // A digest of another algorithm cannot be compared; ours counts alone then.
        let claimed = claimed.filter(|text| !text.starts_with("sha512:") && !text.starts_with("sha384:"));
        for expected in [promised, claimed].into_iter().flatten() {
            check_digest("the manifest", &expected, &digest)?;
        }
        Ok(Fetched { bytes, digest, content_type, with_login })
    }

    /// Gets a small blob whole: a configuration.
    pub async fn small_blob(
        &self,
        place: &Place,
        digest: &Digest,
        size: u64,
        caller: Caller<'_>,
    ) -> Result<Fetched, Cause> {
        let asked = self.get(place, &place.url(&format!("blobs/{digest}")), identity(), caller).await?;
        if !asked.response.status().is_success() {
            return Err(match asked.response.status().as_u16() {
                404 => Cause::ConfigInvalid(format!("it is missing at {}", place.registry)),
                _ => self.refused(place, What::Digest(digest), caller, asked).await,
            });
        }
        let Asked { response, with_login, .. } = asked;
        let most = usize::try_from(size).unwrap_or(MAX_DOCUMENT).min(MAX_DOCUMENT);
        let bytes = transport::read_body(response, &place.registry, Limit::Cut(most + 1)).await?;
        if bytes.len() as u64 != size {
            let actual = if bytes.len() as u64 > size { "more".to_owned() } else { bytes.len().to_string() };
            let expected = format!("{size} bytes");
            return Err(Cause::DigestMismatch { what: "the configuration's size", expected, actual });
        }
        check_digest("the configuration", digest.as_str(), &digest_of(&bytes))?;
        Ok(Fetched { bytes, digest: digest.clone(), content_type: None, with_login })
    }

    /// Opens a blob from `offset` on. A registry that knows no ranges gives it from the start.
    pub async fn blob(
        &self,
        place: &Place,
        digest: &Digest,
        offset: u64,
        size: u64,
        caller: Caller<'_>,
    ) -> Result<BlobStream, BlobError> {
        let mut headers = identity();
        if offset > 0 {
            let range =
                HeaderValue::try_from(format!("bytes={offset}-")).map_err(|_| BlobError::WrongRange)?;
            headers.insert(RANGE, range);
        }
        let got = self.get(place, &place.url(&format!("blobs/{digest}")), headers, caller).await;
        let asked = got.map_err(|cause| match cause {
            Cause::Unreachable { reason, .. } => BlobError::Broken(reason),
            cause => BlobError::Final(cause),
        })?;
        match asked.response.status().as_u16() {
            200 => Ok(BlobStream { response: asked.response, offset: 0 }),
            206 if offset > 0 && is_range(asked.response.headers(), offset, size) => {
                Ok(BlobStream { response: asked.response, offset })
            }
            206 | 416 if offset > 0 => Err(BlobError::WrongRange),
            404 | 410 => Err(BlobError::Missing),
            _ => Err(BlobError::Final(self.refused(place, What::Digest(digest), caller, asked).await)),
        }
    }

    /// Asks, and answers a challenge once. A kept token may have run out, so the challenge that comes with it
    /// is answered anew, and no second one is.
    async fn get(
        &self,
        place: &Place,
        url: &Url,
        headers: HeaderMap,
        caller: Caller<'_>,
    ) -> Result<Asked, Cause> {
        self.may_log_in(place, caller).await?;
        let registry = &place.registry;
        let send = async |authorization: Option<&Authorization>| {
            let request =
                Request { registry, url, headers: &headers, authorization, follow: Follow::Anywhere };
            let response = self.transport.get(request).await?;
            // Another host's refusal says nothing of the login, which it did not get; nor is it answered.
            let (status, at) = (response.status().as_u16(), response.url());
            if matches!(status, 401 | 403) && at.origin() != url.origin() {
                let reason = format!("leads to {}, which answered {status}", clean(&host_and_port(at)));
                return Err(Cause::Registry { registry: registry.clone(), reason });
            }
            Ok(response)
        };
        let kept = self.tokens.get(place, caller);
        let response = send(kept.as_ref()).await?;
        if response.status().as_u16() != 401 {
            let with_login = kept.as_ref().is_some_and(|kept| kept.is_secret);
            return Ok(Asked { response, token: kept, with_login });
        }
        let challenge = challenge_of(&response, registry)?;
        drop(response);
        let authorization = self.tokens.obtain(&self.transport, place, &challenge, caller).await?;
        let response = send(Some(&authorization)).await?;
        let with_login = authorization.is_secret;
        Ok(Asked { response, token: authorization.is_bearer().then_some(authorization), with_login })
    }

    /// Refuses, before anything is sent, to use a login where it would travel in plain.
    pub(super) async fn may_log_in(&self, place: &Place, caller: Caller<'_>) -> Result<(), Cause> {
        match caller.login.is_none() || self.transport.may_carry_secret(place.base()).await {
            true => Ok(()),
            false => Err(Cause::CredentialInPlain { registry: place.registry.clone() }),
        }
    }

    /// What an answer that is no success means.
    async fn refused(&self, place: &Place, what: What<'_>, caller: Caller<'_>, asked: Asked) -> Cause {
        let Asked { response, token, .. } = asked;
        let redactor = caller.redactor().and(token.as_ref().and_then(Authorization::secret));
        let answer = Answer::read(response, &place.registry, &redactor).await;
        let registry = place.registry.clone();
        match (answer.status, caller.username()) {
            (401 | 403, Some(username)) => {
                let refusal = match token {
                    Some(_) => Refusal::of_token(&answer),
                    None => Refusal::of_login(&answer),
                };
                refusal.into_cause(&registry, &username, &answer)
            }
            (401, None) => Cause::Unauthorized { registry, reason: answer.reason() },
            (403, None) => Cause::AccessDenied { registry, username: None, words: answer.reason() },
            (404, _) => self.not_found(place, what, caller, &answer).await,
            _ => answer.into_cause(&registry),
        }
    }

    /// Registries say "manifest unknown" for an unknown image, too; the list of tags tells them apart.
    async fn not_found(&self, place: &Place, what: What<'_>, caller: Caller<'_>, answer: &Answer) -> Cause {
        let (registry, repository) = (place.registry.clone(), place.repository.clone());
        let tags = match &*answer.code {
            "NAME_UNKNOWN" => None,
            _ => self.tags(place, caller).await,
        };
        match (tags, what) {
            (None, _) => Cause::ImageNotFound { registry, repository },
            (Some(others), What::Tag(tag)) => {
                Cause::TagNotFound { registry, repository, tag: tag.to_owned(), others }
            }
            (Some(_), What::Digest(digest)) => {
                Cause::DigestNotFound { registry, repository, digest: digest.clone() }
            }
        }
    }

    /// Some tags of a repository, or `None` when the registry knows no such repository.
    async fn tags(&self, place: &Place, caller: Caller<'_>) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let mut url = place.url("tags/list");
        url.set_query(Some("n=10"));
        let Ok(Asked { response, .. }) = self.get(place, &url, HeaderMap::new(), caller).await else {
            return Some(Vec::new());
        };
        if response.status().as_u16() == 404 {
            return None;
        }
        let body =
            transport::read_body(response, &place.registry, Limit::Cut(64 << 10)).await.unwrap_or_default();
        let tags: Vec<String> =
            serde_json::from_slice::<Tags>(&body).ok().and_then(|list| list.tags).unwrap_or_default();
        Some(tags.iter().take(10).map(|tag| clean(tag)).collect())
    }
}

impl BlobStream {
    /// The next piece; `None` at the end of what the connection gives, which may be before the blob's.
    pub async fn next(&mut self, registry: &str) -> Result<Option<Bytes>, String> {
        self.response.chunk().await.map_err(|error| match transport::broken_body(registry, &error) {
            Cause::Unreachable { reason, .. } => reason,
            other => other.to_string(),
        })
    }
}

/// The way to log in that an answer 401 offers.
pub(super) fn challenge_of(response: &Response, registry: &str) -> Result<Challenge, Cause> {
    let offered = response.headers().get_all(WWW_AUTHENTICATE).iter();
    challenge::choose(offered.filter_map(|value| value.to_str().ok())).ok_or_else(|| Cause::Unauthorized {
        registry: registry.to_owned(),
        reason: "it offers no way to log in".to_owned(),
    })
}

/// The sha256 of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

fn check_digest(what: &'static str, expected: &str, actual: &Digest) -> Result<(), Cause> {
    if expected == actual.as_str() {
        return Ok(());
    }
    Err(Cause::DigestMismatch { what, expected: clean(expected), actual: actual.to_string() })
}

/// Bytes as they are: a digest is of those.
fn identity() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}

/// `Content-Range: bytes <offset>-<last>/<size>`, exactly what is missing.
fn is_range(headers: &HeaderMap, offset: u64, size: u64) -> bool {
    let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let whole = format!("bytes {offset}-{}/{size}", size.saturating_sub(1));
    text == whole || text == format!("bytes {offset}-{}/*", size.saturating_sub(1))
}
