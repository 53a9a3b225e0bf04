//! `git http-backend`, asked as a web server asks it (RFC 3875).

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// Has a request answered. The program ends with the response.
pub(super) async fn answer(root: &Path, request: Request) -> Result<Response> {
    let mut child = command(root, &request).spawn().context("starting git http-backend (package git)")?;
    let mut stdin = child.stdin.take().context("it has an input")?;
    let mut body = request.into_body().into_data_stream();
    tokio::spawn(async move {
        while let Some(Ok(part)) = body.next().await {
            if stdin.write_all(&part).await.is_err() {
                return;
            }
        }
    });
    let stdout = BufReader::new(child.stdout.take().context("it has an output")?);
    response(child, stdout).await
}

fn command(root: &Path, request: &Request) -> Command {
    let header = |name: HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut command = Command::new("/usr/bin/git");
    command
        .arg("http-backend")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header(HeaderName::from_static("git-protocol")))
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", header(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", header(header::CONTENT_ENCODING))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let length = header(header::CONTENT_LENGTH);
    if !length.is_empty() {
        command.env("CONTENT_LENGTH", length);
    }
    command
}

async fn response(child: Child, mut stdout: BufReader<ChildStdout>) -> Result<Response> {
    let mut response = Response::new(Body::empty());
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            bail!("git http-backend ended without an answer");
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(": ") else { break };
        if name.eq_ignore_ascii_case("status") {
            *response.status_mut() = StatusCode::from_bytes(&value.as_bytes()[..3])?;
        } else {
            response.headers_mut().append(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
        }
    }
    *response.body_mut() =
        Body::from_stream(futures_util::stream::unfold((child, stdout), |(child, mut out)| {
            let mut part = vec![0; 64 * 1024];
            async move {
                match out.read(&mut part).await {
                    Ok(0) => None,
                    Ok(count) => {
                        part.truncate(count);
                        Some((Ok(Bytes::from(part)), (child, out)))
                    }
                    Err(error) => Some((Err(error), (child, out))),
                }
            }
        }));
    Ok(response)
}
