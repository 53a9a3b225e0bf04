//! Guests: processes in a user and a network namespace of their own that are no containers.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Engine, Guest, LocalEngine};
use model::{DeploymentId, Limits};

use crate::bench::{Bench, DEADLINE, probe};

const LIMITS: Limits = Limits { memory_mb: 64, cpu_millis: 500, pids: 40 };

/// A process that waits to be told, then does what a probe does. As of a build, its network belongs to a user namespace
/// that is not the host's, and its first process has a child already. Dropped, it is killed.
struct Room {
    child: Child,
    output: BufReader<ChildStdout>,
    id: DeploymentId,
}

impl Room {
    fn open(words: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(probe())
            .args(["when-told"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let room = Self { child, output, id: DeploymentId::new() };
        room.until_closed();
        room
    }

    /// Until the program has its namespaces: before that it stands in the host's network.
    fn until_closed(&self) {
        let deadline = Instant::now() + DEADLINE;
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let is_program = |pid: &str| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("when-told\0"))
                && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == probe())
        };
        while !fs::read_to_string(&children).unwrap_or_default().split_whitespace().any(is_program) {
            assert!(Instant::now() < deadline, "it does not begin");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn guest(&self) -> Guest {
        Guest { id: self.id, pid: self.child.id(), limits: LIMITS }
    }

    fn tell(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"\n").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for its end; gives whether it ended well.
    fn ended_well(&mut self) -> bool {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// All that it prints until its end.
    fn lines(&mut self) -> Vec<String> {
        self.tell();
        let lines = self.output.by_ref().lines().map(Result::unwrap).collect();
        self.ended_well();
        lines
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its processes, as one hierarchy counts them.
fn processes(bench: &Bench, id: DeploymentId) -> usize {
    let group = format!("darsena-{}/build-{}", bench.config.instance, id.uuid().simple());
    let read = |root: &str| fs::read_to_string(format!("/sys/fs/cgroup/{root}{group}/cgroup.procs"));
    read("pids/").or_else(|_| read("")).map_or(0, |text| text.lines().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_wants_too_much_memory_is_killed_and_it_is_said_why() {
    let Some(bench) = Bench::open() else { return };
    let mut hungry = Room::open(&["eat", "400"]);
    bench.engine.admit(&hungry.guest()).await.unwrap();
    assert_eq!(processes(&bench, hungry.id), 2, "its child came along");
    assert_eq!(hungry.lines(), Vec::<String>::new());
    assert!(bench.engine.dismiss(hungry.id).await.unwrap());
    assert!(!bench.engine.dismiss(hungry.id).await.unwrap(), "nothing is known of it any more");

    let mut modest = Room::open(&["eat", "20"]);
    // Also when it is admitted again.
    for _ in 0..2 {
        bench.engine.admit(&modest.guest()).await.unwrap();
    }
    assert_eq!(modest.lines(), ["ate 20"]);
    assert!(!bench.engine.dismiss(modest.id).await.unwrap());
    assert_eq!(bench.interfaces(), Vec::<String>::new());
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_of_a_guest_is_bounded_and_gone() {
    let Some(bench) = Bench::open() else { return };
    let mut room = Room::open(&["bomb"]);
    bench.engine.admit(&room.guest()).await.unwrap();
    room.tell();
    assert_eq!(room.line(), "armed");
    bench.until("it forks", || processes(&bench, room.id) > 20).await;
    assert!(processes(&bench, room.id) <= 40);
    assert!(!bench.engine.dismiss(room.id).await.unwrap());
    assert!(!room.ended_well());
    assert_eq!(processes(&bench, room.id), 0);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_has_a_network_like_a_containers() {
    let Some(bench) = Bench::open() else { return };
    let server = bench.spec(&["serve", "0.0.0.0:8080"]);
    let SocketAddr::V4(address) = bench.start_until(&server, "listening").await else { unreachable!() };
    let mut serving = Room::open(&["serve", "0.0.0.0:80"]);
    bench.engine.admit(&serving.guest()).await.unwrap();
    serving.tell();
    assert_eq!(serving.line(), "listening on 0.0.0.0:80");
    assert_eq!(bench.interfaces().len(), 2);

    // Connections are given out in their order.
    let next = |number: u32| Ipv4Addr::from(u32::from(*address.ip()) + 4 * number);
    let gateway = |address: Ipv4Addr| Ipv4Addr::from(u32::from(address) - 1);
    let host = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let targets = [
        address.to_string(),
        format!("{}:80", next(1)),
        format!("{}:{port}", gateway(next(2))),
        format!("{}:{port}", gateway(*address.ip())),
        format!("127.0.0.1:{port}"),
        "169.254.169.254:80".to_owned(),
        "[fe80::1]:80".to_owned(),
    ];
    let words: Vec<&str> = ["connect"].into_iter().chain(targets.iter().map(String::as_str)).collect();
    let mut client = Room::open(&words);
    bench.engine.admit(&client.guest()).await.unwrap();
    assert_eq!(bench.interfaces().len(), 3);
    let lines = client.lines();
    assert_eq!(lines.len(), targets.len(), "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" failed ")), "{lines:#?}");
    // The host reaches it, as it does a container: so that address was the right one to try.
    let answer = std::net::TcpStream::connect_timeout(&SocketAddr::from((next(1), 80)), DEADLINE);
    assert!(answer.is_ok(), "{answer:?}");

    let port_start = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let mut looking = Room::open(&["cat", "/proc/net/route", "/proc/net/dev", port_start]);
    bench.engine.admit(&looking.guest()).await.unwrap();
    let text = looking.lines().join("\n");
    let default_route = format!("eth0\t00000000\t{:08X}", u32::from(gateway(next(3))).swap_bytes());
    assert!(text.contains(&default_route), "{text}");
    assert!(text.ends_with(&format!("{port_start}: 0")), "{text}");
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stands_in_the_hosts_network_is_no_guest() {
    let Some(bench) = Bench::open() else { return };
    let mut child = Command::new(probe()).arg("sleep").spawn().unwrap();
    let id = DeploymentId::new();
    let refused = bench.engine.admit(&Guest { id, pid: child.id(), limits: LIMITS }).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(refused.unwrap_err().to_string().contains("it has the host's network"));
    let gone = bench.engine.admit(&Guest { id, pid: child.id(), limits: LIMITS }).await;
    assert!(gone.is_err());
    assert!(!bench.engine.dismiss(id).await.unwrap());
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_an_engine_that_is_gone_are_left_over() {
    let Some(bench) = Bench::open() else { return };
    let mut rooms = [Room::open(&["sleep"]), Room::open(&["sleep"])];
    for room in &rooms {
        bench.engine.admit(&room.guest()).await.unwrap();
    }
    bench.engine.mend().await.unwrap();
    assert!(rooms.iter().all(|room| processes(&bench, room.id) == 2), "they are its own");

    // The next one: a deployment that goes on admits a new process in the place of the old one.
    let next = LocalEngine::open(bench.config.clone()).unwrap();
    let again = Room::open(&["sleep"]);
    let guest = Guest { id: rooms[0].id, ..again.guest() };
    next.admit(&guest).await.unwrap();
    assert!(!rooms[0].ended_well());
    next.mend().await.unwrap();
    assert!(!rooms[1].ended_well());
    assert_eq!((processes(&bench, rooms[0].id), processes(&bench, rooms[1].id)), (2, 0));
    assert_eq!(bench.interfaces().len(), 1);
    next.down().await.unwrap();
    drop(again);
    bench.finish().await;
}

/// Row P1: the engine's process is gone after every few milliseconds of admitting; the next one removes what is there.
#[tokio::test(flavor = "multi_thread")]
async fn admitting_can_be_interrupted_anywhere() {
    let Some(bench) = Bench::open() else { return };
    for step in 0..12 {
        let room = Room::open(&["sleep"]);
        let first =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (config, guest) = (bench.config.clone(), room.guest());
        first.spawn(async move { LocalEngine::open(config).unwrap().admit(&guest).await });
        tokio::time::sleep(Duration::from_millis(step * 3)).await;
        first.shutdown_background();

        // What the first one began goes on for a moment on threads of its own, which a killed process would not have.
        let second = LocalEngine::open(bench.config.clone()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        if step % 2 == 0 {
            let again = Room::open(&["sleep"]);
            let guest = Guest { id: room.id, ..again.guest() };
            while let Err(error) = second.admit(&guest).await {
                assert!(Instant::now() < deadline, "{error}");
            }
            second.dismiss(room.id).await.unwrap();
        }
        second.mend().await.unwrap();
        while processes(&bench, room.id) > 0 {
            assert!(Instant::now() < deadline, "it is still there");
            second.mend().await.unwrap();
        }
    }
    bench.finish().await;
}
