//! Who can reach whom.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use engine::Engine;

use crate::bench::Bench;

fn greeting(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_reaches_a_container_and_nobody_else_does() {
    let Some(bench) = Bench::open() else { return };
    let server = bench.spec(&["serve", "0.0.0.0:8080"]);
    let address = bench.start_until(&server, "listening").await;
    assert!(greeting(address).starts_with("hello 10."));

    // The host listens on every address, and a container must not reach it on any.
    let host = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let SocketAddr::V4(server) = address else { panic!("{address} is of version 4") };
    let others_gateway = Ipv4Addr::from(u32::from(*server.ip()) - 1);
    let own_gateway = Ipv4Addr::from(u32::from(others_gateway) + 4);
    let targets = [
        server.to_string(),
        format!("{own_gateway}:{port}"),
        format!("{others_gateway}:{port}"),
        format!("{}:{port}", uplink_address()),
        format!("127.0.0.1:{port}"),
        "169.254.169.254:80".to_owned(),
        "[fe80::1]:80".to_owned(),
        format!("[::1]:{port}"),
    ];
    let words: Vec<&str> = ["connect"].into_iter().chain(targets.iter().map(String::as_str)).collect();
    let client = bench.spec(&words);
    let (_, lines) = bench.run(&client).await;
    assert_eq!(lines.len(), targets.len(), "{lines:#?}");
    for line in &lines {
        assert!(line.contains(" failed "), "{line}");
    }
    bench.finish().await;
}

fn uplink_address() -> std::net::IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.200:9").unwrap();
    socket.local_addr().unwrap().ip()
}

/// The world outside is a network namespace with an address of the range for measurements (RFC 2544).
#[tokio::test(flavor = "multi_thread")]
async fn a_container_reaches_the_world_outside() {
    let Some(bench) = Bench::open() else { return };
    let outside = Outside::open(&bench.config.instance);
    let server = format!("{}.2:7000", outside.network);
    let (_, lines) = bench.run(&bench.spec(&["reach", &server])).await;
    // The answer names the peer that it sees: the host, not the container.
    assert_eq!(lines, [format!("{server} answered hello {}.1", outside.network)]);
    drop(outside);
    bench.finish().await;
}

struct Outside {
    /// The first three numbers of its addresses, another one for every test process.
    network: String,
    /// Holds the namespace.
    server: std::process::Child,
}

impl Outside {
    fn open(instance: &str) -> Self {
        let network = format!("198.18.{}", std::process::id() % 256);
        let mut server = Command::new("unshare")
            .arg("--net")
            .arg(crate::bench::probe())
            .args(["serve", "0.0.0.0:7000"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Its first word says that it listens, so that its namespace is there.
        let mut word = [0; 9];
        server.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        let pid = server.id();
        let run = |words: &str| {
            let words: Vec<_> = words.split(' ').collect();
            let status = Command::new(words[0]).args(&words[1..]).status().unwrap();
            assert!(status.success(), "{words:?}");
        };
        run(&format!("ip link add w{instance} type veth peer name inside netns {pid}"));
        run(&format!("ip addr add {network}.1/24 dev w{instance}"));
        run(&format!("ip link set w{instance} up"));
        run(&format!("nsenter --target {pid} --net ip addr add {network}.2/24 dev inside"));
        run(&format!("nsenter --target {pid} --net ip link set inside up"));
        Self { network, server }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Row P22: the hint that a person needs most often.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_listens_on_is_told() {
    let Some(bench) = Bench::open() else { return };
    let server = bench.spec(&["serve", "127.0.0.1:3000"]);
    let address = bench.start_until(&server, "listening").await;
    assert_eq!(bench.engine.listening(&server.id).await.unwrap(), ["127.0.0.1:3000".parse().unwrap()]);
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_err());
    bench.engine.stop(&server.id, Duration::ZERO).await.unwrap();
    assert_eq!(bench.engine.listening(&server.id).await.unwrap(), []);
    bench.finish().await;
}

/// Row P26.
#[tokio::test(flavor = "multi_thread")]
async fn firewall_rules_that_were_removed_come_back() {
    let Some(bench) = Bench::open() else { return };
    bench.engine.create(&bench.spec(&["look"])).await.unwrap();
    let table = format!("darsena_{}", bench.config.instance);
    let nft =
        |verb: &str| Command::new("/usr/sbin/nft").args([verb, "table", "inet", &table]).output().unwrap();
    assert!(nft("delete").status.success());
    bench.engine.mend().await.unwrap();
    let rules = nft("list");
    assert!(rules.status.success() && String::from_utf8(rules.stdout).unwrap().contains("masquerade"));
    bench.finish().await;
}
