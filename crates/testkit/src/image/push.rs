//! Into a registry, over its upload API (OCI distribution-spec, "Push").

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response, StatusCode, Url};

use super::{Built, digest};

impl Built {
    /// Pushes blobs, manifests and the document itself under a tag. `registry` is `host:port`, plain http.
    pub async fn push(&self, registry: &str, repository: &str, tag: &str) -> Result<()> {
        let client = client()?;
        let base = format!("http://{registry}/v2/{repository}");
        for blob in &self.blobs {
            push_blob(&client, &base, blob).await?;
        }
        for (media_type, document) in &self.manifests {
            put_manifest(&client, &base, &digest(document), media_type, document).await?;
        }
        put_manifest(&client, &base, tag, &self.media_type, &self.document).await
    }

    /// As [`Built::push`], for callers without a runtime.
    pub fn push_blocking(&self, registry: &str, repository: &str, tag: &str) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.push(registry, repository, tag))
    }
}

async fn push_blob(client: &Client, base: &str, blob: &[u8]) -> Result<()> {
    let digest = digest(blob);
    let known = client.head(format!("{base}/blobs/{digest}")).send().await?;
    if known.status() == StatusCode::OK {
        return Ok(());
    }
    let started = client.post(format!("{base}/blobs/uploads/")).send().await?;
    let place = location(&expect(started, StatusCode::ACCEPTED, "starting an upload").await?)?;
    let sent = client.patch(place).body(blob.to_vec()).send().await?;
    let mut place = location(&expect(sent, StatusCode::ACCEPTED, "uploading").await?)?;
    place.query_pairs_mut().append_pair("digest", &digest);
    let finished = client.put(place).send().await?;
    expect(finished, StatusCode::CREATED, "finishing an upload").await.map(drop)
}

async fn put_manifest(
    client: &Client,
    base: &str,
    name: &str,
    media_type: &str,
    document: &[u8],
) -> Result<()> {
    let put = client.put(format!("{base}/manifests/{name}")).header("content-type", media_type);
    let answer = put.body(document.to_vec()).send().await?;
    expect(answer, StatusCode::CREATED, "putting a manifest").await.map(drop)
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

fn client() -> Result<Client> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(Client::builder().no_proxy().build()?)
}
