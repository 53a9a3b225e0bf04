//! The public address: takes connections, as many as there are places.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Reason};
use crate::connection;
use crate::proxy::Proxy;

/// Pause after a failed accept: it failed for want of files or memory, which another try at once would not find.
const PAUSE: Duration = Duration::from_millis(50);

/// So many refused clients are told so at a time, and given so long to read it. Others are cut off without a word.
const REFUSALS: usize = 64;
const REFUSAL: Duration = Duration::from_secs(1);

/// Takes connections until told to stop or to leave. Those taken go on by themselves and end soon after a stop; after
/// a leave they end as soon as that costs nobody a request.
pub(crate) async fn listen(listener: TcpListener, proxy: Arc<Proxy>, stop: CancellationToken) {
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
            () = proxy.leaving.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => match proxy.places.enter(peer.ip()) {
                Ok(place) => {
                    let serving = connection::serve(stream, peer, place, proxy.clone(), stop.clone());
                    proxy.tasks.spawn(serving);
                }
                Err(reason) => {
                    proxy.complain_of_crowd(reason, peer.ip());
                    if let Ok(permit) = refusals.clone().try_acquire_owned() {
                        tokio::spawn(async move {
                            let _ = tokio::time::timeout(REFUSAL, refuse(stream, reason)).await;
                            drop(permit);
                        });
                    }
                }
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Says why and waits until the client has read it: to close at once would reset the connection, and the words with it.
async fn refuse(mut stream: TcpStream, reason: Reason) -> std::io::Result<()> {
    stream.write_all(&answer::to_connection(reason)).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
