//! The server on a real socket.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::server::Server;

async fn ask(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    answer
}

#[tokio::test]
async fn it_answers_notes_the_address_and_stops_when_told() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(api::serve(listener, server.state.clone(), async move {
        let _ = stopped.await;
    }));

    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = ask(&mut stream, "GET /v3/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let write = format!(
        "POST /v3/projects HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-forwarded-for: 9.9.9.9\r\n\
         content-length: 20\r\nconnection: close\r\n\r\n{{\"display_name\":\"a\"}}",
        server.owner
    );
    let answer = ask(&mut stream, &write).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let me = server.get("/api-keys/me").await.expect(200);
    let company = me["company_id"].as_str().unwrap().parse().unwrap();
    let listed = server.store.company(company).audit(store::Page { limit: 1, offset: 0 }).await.unwrap();
    assert_eq!(listed.rows[0].ip.as_deref(), Some("127.0.0.1"), "the connection's address, not the header's");

    // An idle connection does not hold the end up.
    let idle = TcpStream::connect(address).await.unwrap();
    let before = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(before.elapsed() < Duration::from_secs(4), "it took {:?}", before.elapsed());
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
