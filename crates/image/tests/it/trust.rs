//! Row G15: with whom there is no secure connection, nothing is spoken of.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::FailureCode as Code;
use testkit::image::{Image, Layer, Tar};
use testkit::lab::Lab;
use testkit::registry::{Bad, Fault, Reply};
use testkit::sink::Sink;
use testkit::tls::{Flaw, TestCa};

use crate::support::{Bench, ada, company, fails, is_root, not_run};

/// A program that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lab(ca: &TestCa) -> Lab {
    Lab::new().name("registry.example.org", "11.0.0.1").address("10.0.0.1").trust(ca.path())
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A pull and a check, each with a login, end with these words.
async fn refused(port: u16, says: &str) {
    let (bench, host) = (Bench::new(&[]), format!("registry.example.org:{port}"));
    let pulled = bench.resolve_as_ada(&format!("{host}/app:1")).await;
    fails(pulled, Code::RegistryTlsInvalid, says);
    let checked = bench.store.verify(&host, &ada(), company()).await;
    fails(checked, Code::RegistryTlsInvalid, says);
}

#[test]
fn g15_certificates_that_prove_nothing() {
    if !is_root() {
        return;
    }
    let (ca, unknown) = (TestCa::new().unwrap(), TestCa::new().unwrap());
    lab(&ca).run(async move |_| {
        let plain = Sink::start_at(at("11.0.0.1:80")).await.unwrap();
        let own = &["registry.example.org"][..];
        for (port, certificate, says) in [
            (5001, ca.flawed(own, Flaw::SelfSigned), "nobody that this server trusts"),
            (5002, unknown.certificate(own), "nobody that this server trusts"),
            (5003, ca.flawed(own, Flaw::Expired), "has expired"),
            (5004, ca.certificate(&["other.example.org"]), "for another name"),
        ] {
            let address = SocketAddr::from(([11, 0, 0, 1], port));
            let server =
                Bad::start_tls("registry.example.org", address, &certificate.unwrap()).await.unwrap();
            refused(port, says).await;
            assert!(server.seen().is_empty(), "{says}");
        }
        assert!(plain.contacts().is_empty(), "nobody falls back to http");
    });
}

#[test]
fn g15_a_server_without_tls_or_with_an_old_one() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let plain = Sink::start_at(at("11.0.0.1:80")).await.unwrap();
        let server = Bad::start_at(at("11.0.0.1:443")).await.unwrap();
        refused(443, "does not speak TLS").await;
        assert!(server.seen().is_empty());

        if !std::path::Path::new("/usr/bin/openssl").exists() {
            return not_run("the package openssl");
        }
        let pair = ca.certificate(&["registry.example.org"]).unwrap();
        const OLD: &str = "11.0.0.1:5001";
        let old = Command::new("/usr/bin/openssl")
            .args(["s_server", "-quiet", "-accept", OLD, "-tls1", "-cipher", "DEFAULT@SECLEVEL=0"])
            .arg("-cert")
            .arg(&pair.certificate)
            .arg("-key")
            .arg(&pair.key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let _old = Running(old.unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(OLD).await.is_err() {
            assert!(Instant::now() < deadline, "openssl does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        refused(5001, "no version of TLS from 1.2 on").await;
        assert!(plain.contacts().is_empty());
    });
}

#[test]
fn g15_a_redirect_to_plain_http_is_not_followed() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let plain = Sink::start_at(at("11.0.0.1:80")).await.unwrap();
        let certificate = ca.certificate(&["registry.example.org"]).unwrap();
        let server = Bad::start_tls("registry.example.org", at("11.0.0.1:443"), &certificate).await.unwrap();
        server.script(|seen| Some(Reply::redirect(&format!("http://registry.example.org{}", seen.path))));
        let bench = Bench::new(&[]);
        let result = bench.resolve_as_ada("registry.example.org/app:1").await;
        fails(result, Code::RegistryError, "over plain http");
        let result = bench.store.verify("registry.example.org", &ada(), company()).await;
        fails(result, Code::RegistryError, "over plain http");
        assert!(plain.contacts().is_empty());
    });
}

/// An administrator's registry at a private address, over https.
#[test]
fn a_named_registry_at_a_private_address_is_asked_over_https() {
    if !is_root() {
        return;
    }
    let ca = TestCa::new().unwrap();
    lab(&ca).run(async move |_| {
        let certificate = ca.certificate(&["10.0.0.1", "127.0.0.1"]).unwrap();
        for address in ["10.0.0.1:443", "127.0.0.1:5443"] {
            let server = Bad::start_tls("10.0.0.1", at(address), &certificate).await.unwrap();
            server.serve(
                "app",
                &Image::new().layer(Layer::gzip(Tar::new().file("a", "b", 0o644))).build(),
                Fault::None,
            );
            let host = address.trim_end_matches(":443");
            let name = format!("{host}/app:1");
            fails(Bench::new(&[]).pull(&name).await, Code::RegistryUnreachable, "--private-registry");
            let bench = Bench::with(&[], |config| config.private_registries = vec![host.to_owned()]);
            bench.pull_as(&name, Some(&ada()), company()).await.unwrap();
        }
    });
}
