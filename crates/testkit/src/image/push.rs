//! Into a registry, over its upload API (OCI distribution-spec, "Push").

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::{Built, digest};

/// A registry to push to, and as whom.
#[derive(Clone, Debug)]
pub struct Remote {
    base: String,
    authority: Option<PathBuf>,
    login: Option<(String, String)>,
}

impl Remote {
    /// `host:port`, over plain http.
    pub fn http(host: &str) -> Self {
        Self { base: format!("http://{host}"), authority: None, login: None }
    }

    /// `host:port`, over TLS with a certificate of this authority (PEM).
    pub fn https(host: &str, authority: &Path) -> Self {
        Self { base: format!("https://{host}"), authority: Some(authority.to_owned()), login: None }
    }

    /// With a login: `Basic`, or a token for it, as the registry asks.
    #[must_use]
    pub fn login(mut self, user: &str, secret: &str) -> Self {
        self.login = Some((user.to_owned(), secret.to_owned()));
        self
    }
}

impl Built {
    /// Pushes blobs, manifests and the document itself under a tag. `registry` is `host:port`, plain http.
    pub async fn push(&self, registry: &str, repository: &str, tag: &str) -> Result<()> {
        self.push_to(&Remote::http(registry), repository, tag).await
    }

    /// As [`Built::push`], for callers without a runtime.
    pub fn push_blocking(&self, registry: &str, repository: &str, tag: &str) -> Result<()> {
        self.push_to_blocking(&Remote::http(registry), repository, tag)
    }

    /// As [`Built::push`], over TLS or with a login.
    pub async fn push_to(&self, remote: &Remote, repository: &str, tag: &str) -> Result<()> {
        let push = Push::begin(remote, repository).await?;
        for blob in &self.blobs {
            push.blob(blob).await?;
        }
        for (media_type, document) in &self.manifests {
            push.manifest(&digest(document), media_type, document).await?;
        }
        push.manifest(tag, &self.media_type, &self.document).await
    }

    /// As [`Built::push_to`], for callers without a runtime.
    pub fn push_to_blocking(&self, remote: &Remote, repository: &str, tag: &str) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.push_to(remote, repository, tag))
    }
}

/// A push under way.
struct Push {
    client: Client,
    /// `https://host:port/v2/repository`.
    base: String,
    /// Headers are the same for every request.
    authorization: Option<String>,
}

impl Push {
    async fn begin(remote: &Remote, repository: &str) -> Result<Self> {
        let client = client(remote.authority.as_deref())?;
        let authorization = authorization(&client, remote, repository).await?;
        Ok(Self { client, base: format!("{}/v2/{repository}", remote.base), authorization })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let request = match &self.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        Ok(request.send().await?)
    }

    async fn blob(&self, blob: &[u8]) -> Result<()> {
        let digest = digest(blob);
        let known = self.send(self.client.head(format!("{}/blobs/{digest}", self.base))).await?;
        if known.status() == StatusCode::OK {
            return Ok(());
        }
        let started = self.send(self.client.post(format!("{}/blobs/uploads/", self.base))).await?;
        let place = location(&expect(started, StatusCode::ACCEPTED, "starting an upload").await?)?;
        let sent = self.send(self.client.patch(place).body(blob.to_vec())).await?;
        let mut place = location(&expect(sent, StatusCode::ACCEPTED, "uploading").await?)?;
        place.query_pairs_mut().append_pair("digest", &digest);
        let finished = self.send(self.client.put(place)).await?;
        expect(finished, StatusCode::CREATED, "finishing an upload").await.map(drop)
    }

    async fn manifest(&self, name: &str, media_type: &str, document: &[u8]) -> Result<()> {
        let put =
            self.client.put(format!("{}/manifests/{name}", self.base)).header("content-type", media_type);
        let answer = self.send(put.body(document.to_vec())).await?;
        expect(answer, StatusCode::CREATED, "putting a manifest").await.map(drop)
    }
}

/// What the registry wants to see: nothing, the login, or a token for it.
async fn authorization(client: &Client, remote: &Remote, repository: &str) -> Result<Option<String>> {
    use base64::Engine as _;
    let Some((user, secret)) = &remote.login else { return Ok(None) };
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
    let basic = format!("Basic {pair}");
    let asked = client.get(format!("{}/v2/", remote.base)).send().await?;
    let challenge = asked.headers().get("www-authenticate").map(|value| value.to_str()).transpose()?;
    let Some(parameters) = challenge.and_then(|challenge| challenge.strip_prefix("Bearer ")) else {
        return Ok(Some(basic));
    };
    let parameter = |name: &str| {
        let value = parameters.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let mut realm: Url = parameter("realm").context("a challenge without a realm")?.parse()?;
    realm
        .query_pairs_mut()
        .append_pair("service", &parameter("service").unwrap_or_default())
        .append_pair("scope", &format!("repository:{repository}:pull,push"));
    let answer = client.get(realm).header("authorization", basic).send().await?;
    let answer = expect(answer, StatusCode::OK, "asking for a token").await?;
    let answer: Value = answer.json().await?;
    let token = answer["token"].as_str().or(answer["access_token"].as_str()).context("no token")?;
    Ok(Some(format!("Bearer {token}")))
}

async fn expect(response: Response, wanted: StatusCode, doing: &str) -> Result<Response> {
    let status = response.status();
    if status == wanted {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    anyhow::bail!("{doing}: the registry answered {status}: {text}")
}

fn location(response: &Response) -> Result<Url> {
    let text =
        response.headers().get("location").context("the registry names no place for the upload")?.to_str()?;
    let place = response.url().join(text)?;
    ensure!(place.has_host(), "the registry names no place for the upload");
    Ok(place)
}

fn client(authority: Option<&Path>) -> Result<Client> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A connection for each request: a busy registry closes one now and then just when the next request is sent.
    let builder = Client::builder().no_proxy().pool_max_idle_per_host(0);
    let builder = match authority {
        Some(authority) => builder.tls_certs_only([Certificate::from_pem(&fs::read(authority)?)?]),
        None => builder,
    };
    Ok(builder.build()?)
}
