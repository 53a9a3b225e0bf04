//! What takes long when a new release takes over: it is finished by the release that began it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::harness::{Installation, PATIENCE, eventually, ok};
use crate::sources::running_shop;

/// How long the answers take: the switch comes in their middle.
const LONG_MS: u32 = 6_000;

#[test]
fn what_takes_long_is_finished_by_the_release_that_began_it() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let http = darsena.http;
    let old = darsena.request("shop.localhost", "/").1.unwrap();

    let begin = |head: &str, body: &str| begin(&darsena, head, body);
    let slow = begin(&format!("GET /slow/{LONG_MS} HTTP/1.1\r\nconnection: close\r\n"), "");
    let download = begin(&format!("GET /download/1024/{LONG_MS} HTTP/1.1\r\nconnection: close\r\n"), "");
    let events = LONG_MS / 100;
    let stream = begin(&format!("GET /events/{events}/100 HTTP/1.1\r\nconnection: close\r\n"), "");
    let upload = begin("POST /upload HTTP/1.1\r\ncontent-length: 20\r\nconnection: close\r\n", "the first,");
    let mut echo = Echo::begin(&darsena, &old);
    let mut kept = Kept::begin(http);
    assert_eq!(kept.ask("/before"), old);

    // One redeployment drains until the last of these has ended.
    let deploy = darsena.spawn(&["deploy", "shop"]);
    eventually("the new release serves", || darsena.request("shop.localhost", "/").1.unwrap() != old);
    assert_ne!(kept.ask("/after"), old, "a kept connection follows the switch");
    echo.say("still the old one");

    let long = [("a slow answer", slow), ("a download", download), ("server-sent events", stream)];
    let answers: Vec<_> = thread::scope(|scope| {
        let reading = long.map(|(what, stream)| scope.spawn(move || (what, finish(stream))));
        reading.into_iter().map(|reading| reading.join().unwrap()).collect()
    });
    for (what, answer) in &answers {
        assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {answer:.200}");
        assert!(
            answer.contains(&format!("x-release: {old}\r\n")),
            "{what} came from the old one: {answer:.300}"
        );
    }
    assert!(answers[0].1.ends_with(&format!("/slow/{LONG_MS}\n")), "{}", answers[0].1);
    let (_, downloaded) = answers[1].1.split_once("\r\n\r\n").unwrap();
    assert_eq!(downloaded.len(), 1024 * 1024, "a whole download");
    let last = format!("data: {}\n\n", events - 1);
    assert!(
        answers[2].1.contains(&last) && answers[2].1.ends_with("0\r\n\r\n"),
        "all events came: {}",
        answers[2].1
    );

    (&upload).write_all(b"the second").unwrap();
    let answer = finish(upload);
    assert!(answer.contains(&format!("x-release: {old}\r\n")) && answer.ends_with("/upload\n"), "{answer}");

    echo.say("until the client ends it");
    drop(echo);
    let output = deploy.wait_with_output().unwrap();
    ok(&output);
    eventually("the old container is gone", || darsena.container_pids().len() == 1);
}

/// Sends the beginning of a request. When this returns it has reached the application.
fn begin(darsena: &Installation, head: &str, body: &str) -> TcpStream {
    let stream = TcpStream::connect(darsena.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(&stream, "{head}host: shop.localhost\r\n\r\n{body}").unwrap();
    let path = head.split(' ').nth(1).unwrap();
    eventually(&format!("{path} has come"), || darsena.run_ok(&["logs", "shop"]).contains(path));
    stream
}

fn finish(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A connection that changed its protocol, as a websocket does.
struct Echo(BufReader<TcpStream>);

impl Echo {
    fn begin(darsena: &Installation, release: &str) -> Self {
        let stream = begin(darsena, "GET /echo HTTP/1.1\r\nconnection: upgrade\r\nupgrade: echo\r\n", "");
        let mut reader = BufReader::new(stream);
        let head = read_head(&mut reader);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains(release), "{head}");
        Self(reader)
    }

    fn say(&mut self, words: &str) {
        writeln!(self.0.get_mut(), "{words}").unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), words);
    }
}

/// A kept connection.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn begin(http: SocketAddr) -> Self {
        let stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The release that answers.
    fn ask(&mut self, path: &str) -> String {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nhost: shop.localhost\r\n\r\n").unwrap();
        let head = read_head(&mut self.0);
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length = value("content-length:").and_then(|length| length.parse().ok()).unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        assert_eq!(String::from_utf8(body).unwrap().trim(), path);
        value("x-release:").unwrap().to_owned()
    }
}

fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the connection ended: {head}");
    }
    head
}
