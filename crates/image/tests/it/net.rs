//! The network that tests about public addresses share: its names, its servers, and what nobody may contact.

use std::net::SocketAddr;

use testkit::image::{Built, Image, Layer, Tar};
use testkit::lab::Lab;
use testkit::registry::{Bad, Fault, Reply, Seen};
use testkit::sink::Sink;
use testkit::tls::TestCa;

pub const REGISTRY: &str = "11.0.0.1:443";
pub const AUTH: &str = "11.0.0.2:443";
pub const STORAGE: &str = "11.0.0.3:443";
pub const FOREIGN: &str = "11.0.0.4:443";

pub fn image() -> Built {
    Image::new().layer(Layer::gzip(Tar::new().file("hello", "x", 0o755))).build()
}

/// The names that the tests use, and a test authority that is trusted.
pub fn lab(ca: &TestCa) -> Lab {
    Lab::new()
        .name("registry.example.org", "11.0.0.1")
        .name("auth.example.org", "11.0.0.2")
        .name("cdn.registry.example.org", "11.0.0.3")
        .name("storage.example.com", "11.0.0.3")
        .name("auth.example.net", "11.0.0.4")
        .name("inside.example.org", "10.0.0.1")
        .name("moving.example.org", "11.0.0.5")
        .address("169.254.169.254")
        .trust(ca.path())
}

pub fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

pub async fn tls(ca: &TestCa, name: &str, address: &str) -> Bad {
    let certificate = ca.certificate(&[name]).unwrap();
    let server = Bad::start_tls(name, at(address), &certificate).await.unwrap();
    server.serve("app", &image(), Fault::None);
    server
}

/// What must never be contacted, on every address and port that the tests lead to.
pub async fn sinks() -> Vec<Sink> {
    let mut sinks = Vec::new();
    for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1"] {
        for port in [80, 443] {
            sinks.push(Sink::start_at(at(&format!("{address}:{port}"))).await.unwrap());
        }
    }
    sinks.push(Sink::start_at(at("[::1]:443")).await.unwrap());
    sinks
}

#[track_caller]
pub fn nobody_was_there(sinks: &[Sink], context: &str) {
    for sink in sinks {
        assert!(sink.contacts().is_empty(), "{context} led to {}", sink.host());
    }
}

pub fn secrets(seen: &[Seen]) -> Vec<&Seen> {
    seen.iter().filter(|seen| seen.authorization().is_some()).collect()
}

/// Lets in who has a token of `realm`.
pub fn token_gate(server: &Bad, realm: &str) {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    server.script(move |seen| {
        let is_in = seen.authorization() == Some("Bearer good");
        (!is_in).then(|| Reply::challenge(&challenge))
    });
}
