//! Row P20, as far as it can be had without restarting the machine: processes, run folder, control groups and
//! firewall rules are gone, and only what is on the disk is left.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use engine::{ContainerSpec, Engine, LocalEngine, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, DEADLINE, say};

const CONTAINERS: usize = 20;

async fn start_all(engine: &LocalEngine, specs: &[ContainerSpec]) -> Vec<SocketAddr> {
    let begun = Instant::now();
    let all = specs.iter().map(|spec| async {
        engine.create(spec).await.unwrap();
        engine.start(&spec.id).await.unwrap()
    });
    let addresses = futures_util::future::join_all(all).await;
    say(&format!("{} containers made and started in {:?}", specs.len(), begun.elapsed()));
    addresses
}

fn assert_all_answer(addresses: &[SocketAddr]) {
    for address in addresses {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match TcpStream::connect_timeout(address, Duration::from_secs(5)) {
                Ok(mut stream) => {
                    let mut text = String::new();
                    stream.set_read_timeout(Some(DEADLINE)).unwrap();
                    stream.read_to_string(&mut text).unwrap();
                    assert!(text.starts_with("hello "), "{text:?}");
                    break;
                }
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a power cut leaves: the data folder.
async fn power_cut(bench: &Bench, specs: &[ContainerSpec]) {
    for spec in specs {
        for pid in bench.processes(&spec.id).into_iter().map(Pid::from_raw).chain(bench.supervisor(&spec.id))
        {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    bench.until("all interfaces are gone", || bench.interfaces().is_empty()).await;
    fs::remove_dir_all(&bench.config.run).unwrap();
    let table = format!("darsena_{}", bench.config.instance);
    Command::new("/usr/sbin/nft").args(["delete", "table", "inet", &table]).status().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_containers_come_back_after_a_power_cut() {
    let Some(bench) = Bench::open() else { return };
    let specs: Vec<_> = (0..CONTAINERS).map(|_| bench.spec(&["serve", "0.0.0.0:8080"])).collect();
    let addresses = start_all(&bench.engine, &specs).await;
    assert_all_answer(&addresses);
    power_cut(&bench, &specs).await;
    // An administrator's interface that happens to have the name of one of ours.
    let stale = format!("dar{}0", bench.config.instance);
    let link = ["link", "add", &stale, "type", "veth", "peer", "name", &format!("p{stale}")];
    assert!(Command::new("ip").args(link).status().unwrap().success());

    let engine = LocalEngine::open(bench.config.clone()).unwrap();
    assert_eq!(engine.list().await.unwrap().len(), CONTAINERS);
    for spec in &specs {
        assert_eq!(engine.status(&spec.id).await.unwrap(), Status::Absent);
    }
    engine.mend().await.unwrap();
    let mut addresses = start_all(&engine, &specs).await;
    assert_all_answer(&addresses);
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), CONTAINERS);
    // What they had printed before is still there.
    assert_eq!(bench.lines(&specs[0].id).await, ["listening on 0.0.0.0:8080"; 2]);
    bench.finish().await;
}

/// The run folder lies on a disk, so the restarted machine shows what was true before.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_folder_that_outlives_the_machine_does_no_harm() {
    let Some(bench) = Bench::open() else { return };
    let running = bench.spec(&["serve", "0.0.0.0:8080"]);
    let created = bench.spec(&["exit", "3"]);
    bench.start_until(&running, "listening").await;
    bench.engine.create(&created).await.unwrap();
    let kept = bench.config.run.with_extension("kept");
    let copy = Command::new("cp").arg("-a").arg(&bench.config.run).arg(&kept).status().unwrap();
    assert!(copy.success());
    power_cut(&bench, &[running.clone(), created.clone()]).await;
    fs::rename(&kept, &bench.config.run).unwrap();

    let engine = LocalEngine::open(bench.config.clone()).unwrap();
    assert!(matches!(engine.status(&running.id).await.unwrap(), Status::Exited(exit) if exit.code == 137));
    for spec in [&running, &created] {
        engine.create(spec).await.unwrap();
        engine.start(&spec.id).await.unwrap();
    }
    assert_eq!(engine.wait(&created.id).await.unwrap().code, 3);
    bench.finish().await;
}
