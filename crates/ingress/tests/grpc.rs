//! Calls as gRPC makes them: HTTP/2 from the client to the application, with streams both ways and trailers.

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress::{Backend, BackendProtocol, Route, RouteTable};
use support::*;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Pieces = BoxBody<Bytes, Infallible>;

fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]))
}

/// A body that is sent piece by piece.
fn pieces() -> (UnboundedSender<Frame<Bytes>>, Pieces) {
    let (sender, receiver) = unbounded_channel();
    let frames =
        stream::unfold(receiver, |mut receiver| async { Some((Ok(receiver.recv().await?), receiver)) });
    (sender, BoxBody::new(StreamBody::new(Box::pin(frames).map(|frame: Result<_, Infallible>| frame))))
}

/// Answers each piece at once with the same piece, and the end with the client's trailer and a status.
async fn echo(request: Request<Incoming>) -> Response<Pieces> {
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.uri().authority().unwrap(), "a");
    assert_eq!(request.uri().path(), "/shop.Shop/Buy");
    assert_eq!(request.headers()["te"], "trailers");
    assert!(!request.headers().contains_key("host") && !request.headers().contains_key("connection"));
    assert_eq!(request.headers()["x-forwarded-for"], "127.0.0.1");
    let (answer, body) = pieces();
    let wants_trailer = request.headers().contains_key("trailer-follows");
    tokio::spawn(async move {
        let mut request = request.into_body();
        let mut status = if wants_trailer { "13" } else { "0" };
        while let Some(Ok(frame)) = request.frame().await {
            if let Some(trailers) = frame.trailers_ref() {
                status = if trailers["checksum"] == "7" { "0" } else { "13" };
            } else if answer.send(frame).is_err() {
                return;
            }
        }
        let _ = answer.send(trailers("grpc-status", status));
    });
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

/// A server of HTTP/2 alone; it counts its connections.
async fn grpc_backend() -> (SocketAddr, Arc<AtomicU64>) {
    raw_backend(|stream| async move {
        let service =
            hyper::service::service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = serving.serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

async fn client(here: &Here) -> SendRequest<Pieces> {
    let stream = TcpStream::connect(here.http).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn call(body: Pieces) -> Request<Pieces> {
    Request::post("http://a/shop.Shop/Buy")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}

async fn publish(here: &Here, id: &str, address: SocketAddr) {
    let backend = Backend { protocol: BackendProtocol::H2c, ..speaks_http1(id, address) };
    let route = Route { backends: vec![backend], ..serving(id, address) };
    here.publish(RouteTable { routes: [("a".to_owned(), route)].into(), ..RouteTable::default() }).await;
}

/// One message, one answer.
async fn unary(sender: &mut SendRequest<Pieces>, message: &'static str) {
    let (request, body) = pieces();
    request.send(Frame::data(Bytes::from(message))).unwrap();
    drop(request);
    let answer = soon(sender.send_request(call(body))).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let answer = soon(answer.into_body().collect()).await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), message);
}

#[tokio::test]
async fn many_unary_calls_share_one_connection_to_the_application() {
    let here = here().await;
    let (address, connections) = grpc_backend().await;
    publish(&here, "b1", address).await;
    let mut sender = client(&here).await;
    unary(&mut sender, "first").await;
    let calls = (0..20).map(|_| {
        let mut sender = sender.clone();
        async move { unary(&mut sender, "message").await }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);

    let (address, connections) = grpc_backend().await;
    publish(&here, "b2", address).await;
    unary(&mut sender, "after a switch").await;
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stream_goes_both_ways_at_once_and_its_trailers_pass() {
    let here = here().await;
    publish(&here, "b1", grpc_backend().await.0).await;
    let mut sender = client(&here).await;
    let (request, body) = pieces();
    let mut call = call(body);
    call.headers_mut().insert("trailer-follows", HeaderValue::from_static("yes"));
    let answer = soon(sender.send_request(call)).await.unwrap();
    let mut answer = answer.into_body();
    for message in ["one", "two", "three"] {
        request.send(Frame::data(Bytes::from(message))).unwrap();
        let frame = soon(answer.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), message, "before the next is sent");
    }
    assert_eq!(here.client.drain("b1", std::time::Duration::ZERO).await.unwrap().left, 1);
    request.send(trailers("checksum", "7")).unwrap();
    drop(request);
    let last = soon(answer.frame()).await.unwrap().unwrap();
    assert_eq!(last.trailers_ref().unwrap()["grpc-status"], "0");
    assert!(answer.is_end_stream() || soon(answer.frame()).await.is_none());
    drop(answer);
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
}

#[tokio::test]
async fn an_application_that_is_not_there_or_speaks_http1_is_told() {
    let here = here().await;
    for (address, expected) in [
        (nobody().await, &["refused"][..]),
        (
            canned("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await,
            &["closed", "bad-answer"][..],
        ),
    ] {
        publish(&here, "b1", address).await;
        let answer = here.get("a", "/").await;
        assert_eq!(status(&answer), 502);
        assert!(expected.contains(&reason(&answer).unwrap()), "{answer}");
        publish(&here, "none", nobody().await).await;
    }
}

#[tokio::test]
async fn an_application_that_ends_its_connection_politely_costs_no_call() {
    let here = here().await;
    let (end, ended) = tokio::sync::watch::channel(0);
    let (address, connections) = raw_backend(move |stream| {
        let mut ended = ended.clone();
        async move {
            ended.mark_unchanged();
            let service =
                hyper::service::service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                _ = serving.as_mut() => return,
                _ = ended.changed() => serving.as_mut().graceful_shutdown(),
            }
            let _ = serving.await;
        }
    })
    .await;
    publish(&here, "b1", address).await;
    let mut sender = client(&here).await;
    for number in 1..=20 {
        unary(&mut sender, "message").await;
        end.send(number).unwrap();
        unary(&mut sender, "while it ends").await;
    }
    assert!(connections.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn a_candidate_is_called_through_its_token() {
    let here = here().await;
    let (old, new) = (grpc_backend().await, grpc_backend().await);
    let h2c = |id: &str, address| Backend { protocol: BackendProtocol::H2c, ..speaks_http1(id, address) };
    let table = RouteTable {
        routes: [("a".to_owned(), Route { backends: vec![h2c("old", old.0)], ..serving("old", old.0) })]
            .into(),
        candidates: [("s3cret".to_owned(), h2c("new", new.0))].into(),
        ..RouteTable::default()
    };
    here.publish(table).await;
    let mut sender = client(&here).await;
    unary(&mut sender, "to the old one").await;
    assert_eq!(new.1.load(Ordering::SeqCst), 0);

    let (request, body) = pieces();
    request.send(Frame::data(Bytes::from("to the new one"))).unwrap();
    drop(request);
    let mut with_token = call(body);
    with_token.headers_mut().insert("darsena-candidate", HeaderValue::from_static("s3cret"));
    let answer = soon(sender.send_request(with_token)).await.unwrap();
    let answer = soon(answer.into_body().collect()).await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), "to the new one");
    assert_eq!((old.1.load(Ordering::SeqCst), new.1.load(Ordering::SeqCst)), (1, 1));
}

/// A server of HTTP/2 that answers whatever is asked, for requests that are no calls.
async fn plain_http2() -> SocketAddr {
    raw_backend(|stream| async move {
        let answer =
            |_| async { Ok::<_, Infallible>(Response::new(http_body_util::Full::new(Bytes::from("yes")))) };
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = serving.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)).await;
    })
    .await
    .0
}

#[tokio::test]
async fn the_control_planes_own_request_reaches_a_candidate_of_http2() {
    let here = here().await;
    let new = Backend { protocol: BackendProtocol::H2c, ..speaks_http1("new", plain_http2().await) };
    let candidates = [("s3cret".to_owned(), new)].into();
    here.publish(RouteTable { candidates, ..RouteTable::default() }).await;
    assert_eq!(here.client.request_through("a", Some("s3cret"), "/up", PATIENCE).await, Ok(200));
}

#[tokio::test]
async fn streams_beyond_a_hundred_get_another_connection() {
    let here = here().await;
    let (address, connections) = grpc_backend().await;
    publish(&here, "b1", address).await;
    // One client may have a hundred requests on a connection, too.
    let mut senders = [client(&here).await, client(&here).await];
    let mut open = Vec::new();
    for number in 0..120 {
        let (request, body) = pieces();
        request.send(Frame::data(Bytes::from("hello"))).unwrap();
        let answer = soon(senders[number % 2].send_request(call(body))).await.unwrap();
        let mut answer = answer.into_body();
        assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), "hello");
        open.push((request, answer));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    drop(open);
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
    unary(&mut senders[0], "the connections are still good").await;
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stream_that_is_silent_for_long_goes_on() {
    let here = here_in_a_hurry().await;
    // Many servers send no head before they have a message.
    let (address, _) = raw_backend(|stream| async move {
        let answer = |request: Request<Incoming>| async {
            let first = request.into_body().frame().await.unwrap().unwrap();
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(first.into_data().unwrap())))
        };
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = serving.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)).await;
    })
    .await;
    publish(&here, "b1", address).await;
    let mut sender = client(&here).await;
    let (request, body) = pieces();
    let answer = tokio::spawn(sender.send_request(call(body)));
    tokio::time::sleep(short().answer * 3).await;
    request.send(Frame::data(Bytes::from("at last"))).unwrap();
    let answer = soon(answer).await.unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "at last");
}

#[tokio::test]
async fn a_client_that_stops_in_a_body_that_is_no_stream_is_a_408() {
    let here = here_in_a_hurry().await;
    let (address, _) = raw_backend(|stream| async move {
        let answer = |request: Request<Incoming>| async {
            let body = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(
                body.map(|body| body.to_bytes()).unwrap_or_default(),
            )))
        };
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = serving.serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)).await;
    })
    .await;
    publish(&here, "b1", address).await;
    // One of HTTP/1 is no gRPC client, whatever it says.
    for kind in ["text/plain", "application/grpc"] {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: 10\r\n\r\n");
        let answer = here.raw(head).await;
        assert_eq!((status(&answer), reason(&answer)), (408, Some("request-timeout")));
    }
    let mut sender = client(&here).await;
    let (_request, body) = pieces();
    let mut upload = call(body);
    upload.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
    let answer = soon(sender.send_request(upload)).await.unwrap();
    assert_eq!(answer.status(), 408);
    assert_eq!(here.client.drain("b1", PATIENCE).await.unwrap().left, 0);
}
