//! Two connections that have become one: after an upgrade, bytes pass both ways as they come.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// How long a tunnel goes on once one side has ended. Without an end it would keep the application's request in flight.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// After the application's end, in all. The client may still be sending, but nobody answers any more.
    pub with_client: Duration,
    /// After the client's end, without a byte of the application, which may have a long answer to give. Up to twice as
    /// long.
    pub with_application: Duration,
}

/// Of tunnels through the ingress.
pub(crate) const PATIENCE: Patience =
    Patience { with_client: Duration::from_secs(3), with_application: Duration::from_secs(60) };

/// Copies until both sides have ended, or one breaks. The end of one side is passed on to the other, for which there is
/// some patience then.
pub(crate) async fn run<C, A>(client: C, application: A, patience: Patience) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite,
    A: AsyncRead + AsyncWrite,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_application, to_application) = tokio::io::split(application);
    let moved = Moved::default();
    let mut up = std::pin::pin!(pass(from_client, to_application));
    let mut down = std::pin::pin!(pass(moved.watch(from_application), to_client));
    tokio::select! {
        ended = up.as_mut() => {
            ended?;
            loop {
                moved.forget();
                match tokio::time::timeout(patience.with_application, down.as_mut()).await {
                    Ok(ended) => return ended,
                    Err(_) if moved.has_moved() => {}
                    Err(_) => return Ok(()),
                }
            }
        }
        ended = down.as_mut() => {
            ended?;
            tokio::time::timeout(patience.with_client, up).await.unwrap_or(Ok(()))
        }
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Whether bytes came.
#[derive(Default)]
struct Moved(AtomicBool);

impl Moved {
    fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn has_moved(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn watch<R>(&self, from: R) -> Watched<'_, R> {
        Watched { from, moved: self }
    }
}

/// Notes whether bytes come.
struct Watched<'a, R> {
    from: R,
    moved: &'a Moved,
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.from).poll_read(cx, out))?;
        self.moved.0.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    /// With that one is not waited for in these tests.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_client_that_keeps_its_side_open_does_not_keep_the_tunnel() {
        let ((mut client, one), (two, mut application)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let tunnel = tokio::spawn(run(one, two, Patience { with_client: SHORT, with_application: LONG }));
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
        let tunnel = tokio::spawn(run(one, two, Patience { with_client: SHORT, with_application: LONG }));
        client.shutdown().await.unwrap();
        assert_eq!(application.read(&mut [0]).await.unwrap(), 0);
        tokio::time::sleep(10 * SHORT).await;
        application.write_all(b"answer").await.unwrap();
        drop(application);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        tunnel.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_application_that_says_no_more_does_not_keep_the_tunnel() {
        let ((mut client, one), (two, mut application)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let tunnel = tokio::spawn(run(one, two, Patience { with_client: LONG, with_application: SHORT }));
        client.shutdown().await.unwrap();
        assert_eq!(application.read(&mut [0]).await.unwrap(), 0);
        application.write_all(b"answer").await.unwrap();
        let mut answer = String::new();
        // It keeps its side open.
        let reading = client.read_to_string(&mut answer);
        tokio::time::timeout(LONG / 2, reading).await.expect("the tunnel has no end").unwrap();
        assert_eq!(answer, "answer");
        tunnel.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_long_answer_with_pauses_passes_after_the_clients_end() {
        let pause = Duration::from_secs(1);
        let ((mut client, one), (two, mut application)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let tunnel = tokio::spawn(run(one, two, Patience { with_client: LONG, with_application: 4 * pause }));
        client.shutdown().await.unwrap();
        for _ in 0..7 {
            tokio::time::sleep(pause).await;
            application.write_all(b"x").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        }
        drop(application);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        tunnel.await.unwrap().unwrap();
    }
}
