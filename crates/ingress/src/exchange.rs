//! One request on a connection of its own, for callers that want the answer's head only.

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends the request and gives the head of the answer. The body is not read; the connection ends here.
pub(crate) async fn status_of(
    io: TokioIo<TcpStream>,
    request: Request<Empty<Bytes>>,
) -> Result<Parts, hyper::Error> {
    let (mut sender, connection) = http1::handshake(io).await?;
    let answer = async move { sender.send_request(request).await };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection reports its own end through the answer.
        _ = &mut connection => answer.await,
    }
    .map(|response| response.into_parts().0)
}
