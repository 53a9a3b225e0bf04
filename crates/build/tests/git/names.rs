//! Names that lead to several addresses, in a network of the test's own.

use std::net::SocketAddr;

use build::git::Git;
use model::{FailureCode, Revision};
use testkit::git::{GitServer, Repositories};
use testkit::lab::Lab;
use testkit::sink::Sink;
use testkit::tls::TestCa;

use crate::support::{Bench, is_root, token};

const PUBLIC: &str = "5.6.7.8";
const NAME: &str = "git.example.com";

/// The server's name has a private address beside its own: only its own is connected to. And it may move to a private
/// one, which is then refused.
#[test]
fn a_name_leads_to_public_addresses_alone() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    let lab = Lab::new().name(NAME, "127.0.0.1").name(NAME, PUBLIC).trust(ca.path());
    lab.run(async move |hosts| {
        let repositories = Repositories::new().unwrap();
        repositories.make("acme/shop").unwrap().commit(&[("a.txt", "a")], "first").unwrap();
        let address: SocketAddr = format!("{PUBLIC}:0").parse().unwrap();
        let server = GitServer::with_tls_at(&repositories, &ca, NAME, address).unwrap();
        server.protect("acme/shop", "bot", "secret");
        let sink = Sink::start_at(SocketAddr::from(([127, 0, 0, 1], server.address().port()))).await.unwrap();
        let bench = Bench::new(|_| {});
        let remote = token(&server.url("acme/shop"), "bot", "secret");
        bench.checkout(&remote, "").await.unwrap();
        assert_eq!(bench.read("a.txt"), "a");

        hosts.move_to(NAME, "127.0.0.1").unwrap();
        let git: &Git = &bench.git;
        let error = git.find(&remote, &Revision::Default).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::GitUnreachable, "{error}");
        assert!(error.to_string().contains("private address (127.0.0.1)"), "{error}");
        assert!(sink.contacts().is_empty());
    });
}
