//! Two connections that have become one: after an upgrade, bytes pass both ways as they come.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// How long a client may go on once the application has ended its side. It may still be sending, but nobody answers
/// any more; without an end a client that keeps its side open would keep the application's request in flight.
pub(crate) const AFTER_THE_LAST_WORD: Duration = Duration::from_secs(3);

/// Copies until both sides have ended, or one breaks. The end of one side is passed on to the other; `after` that of the
/// application the client's side ends, too.
pub(crate) async fn run<C, A>(client: C, application: A, after: Duration) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite,
    A: AsyncRead + AsyncWrite,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_application, to_application) = tokio::io::split(application);
    let mut up = std::pin::pin!(pass(from_client, to_application));
    let mut down = std::pin::pin!(pass(from_application, to_client));
    tokio::select! {
        ended = up.as_mut() => {
            ended?;
            down.await
        }
        ended = down.as_mut() => {
            ended?;
            tokio::time::timeout(after, up).await.unwrap_or(Ok(()))
        }
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const AFTER: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn a_client_that_keeps_its_side_open_does_not_keep_the_tunnel() {
        let ((mut client, one), (two, mut application)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let tunnel = tokio::spawn(run(one, two, AFTER));
        client.write_all(b"question").await.unwrap();
        let mut question = [0; 8];
        application.read_exact(&mut question).await.unwrap();
        application.write_all(b"answer").await.unwrap();
        application.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&question, answer.as_str()), (b"question", "answer"));
        tunnel.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_has_said_all_may_wait_for_the_answer() {
        let ((mut client, one), (two, mut application)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let tunnel = tokio::spawn(run(one, two, AFTER));
        client.shutdown().await.unwrap();
        assert_eq!(application.read(&mut [0]).await.unwrap(), 0);
        tokio::time::sleep(10 * AFTER).await;
        application.write_all(b"answer").await.unwrap();
        drop(application);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        tunnel.await.unwrap().unwrap();
    }
}
