//! Each process of an installation is killed, alone and all at once; applications come back by themselves, or with
//! the next start.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::census::{self, command_lines};
use crate::harness::{Installation, can_run, eventually, request};
use crate::load::Load;
use crate::report::{rounds, say};
use crate::sources::{Registry, running_shop};

#[test]
fn a_killed_ingress_is_back_at_once_and_refuses_nobody() {
    kill_the_ingress(3);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn an_ingress_killed_again_and_again_refuses_nobody() {
    kill_the_ingress(rounds(100));
}

/// What was under way is lost, and nothing else: the control plane holds the public socket, so people wait.
fn kill_the_ingress(kills: usize) {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let pids = darsena.container_pids();
    let load = Load::start(darsena.http, &["shop"], 200);
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        let before = load.so_far();
        eventually("people ask", || load.so_far().ok > before.ok + 50);
        let since = Instant::now();
        signal(darsena.ingress_pid() as i32, Signal::SIGKILL);
        eventually("another ingress serves", || {
            matches!(request(darsena.http, "shop.localhost", "/"), Ok((200, _, _)))
        });
        longest = longest.max(since.elapsed());
        assert_eq!(darsena.container_pids(), pids, "after kill {kill} the container went on");
    }
    let before = load.so_far();
    eventually("people ask again", || load.so_far().ok > before.ok + 50);
    let report = load.stop();
    say(&format!("{kills} killed ingresses: back after {} ms at most; {report}", longest.as_millis()));
    assert_eq!(report.refused, 0, "{report}");
    assert!(longest < Duration::from_secs(20), "it took {} ms", longest.as_millis());
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn an_application_whose_supervisor_is_killed_is_started_again() {
    let Some((_registry, _, darsena)) = running_shop() else { return };
    let pids = darsena.container_pids();
    let since = Instant::now();
    kill(Pid::from_raw(supervisors(&darsena)[0]), Signal::SIGKILL).unwrap();
    eventually("another container serves", || {
        darsena.container_pids() != pids
            && matches!(request(darsena.http, "shop.localhost", "/"), Ok((200, _, _)))
    });
    say(&format!("killed supervisor: the application was back after {} ms", since.elapsed().as_millis()));
    let left = census::wait_for(&darsena, 1);
    assert!(left.is_empty(), "{}\n{}", left.join("\n"), darsena.log());
}

#[test]
fn everything_killed_at_once_comes_back_with_the_next_start() {
    comes_back(4, AfterTheKill::Nothing);
}

#[test]
fn a_restart_of_the_machine_brings_all_applications_back_without_the_registry() {
    comes_back(6, AfterTheKill::RunFolderIsGone);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn a_restart_of_the_machine_brings_twenty_applications_back() {
    comes_back(20, AfterTheKill::RunFolderIsGone);
}

/// What else happens before the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterTheKill {
    Nothing,
    /// `/run` is empty after a restart of the machine.
    RunFolderIsGone,
}

fn comes_back(count: usize, after: AfterTheKill) {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let image = registry.push_hello("demo/hello:1", &[]);
    let mut darsena = Installation::start(&[registry.address()]);
    let names: Vec<_> = (0..count).map(|number| format!("shop-{number}")).collect();
    for name in &names {
        darsena.run_ok(&["deploy", name, "--image", &image]);
    }
    drop(registry);

    kill_everything(&mut darsena);
    if after == AfterTheKill::RunFolderIsGone {
        std::fs::remove_dir_all(darsena.run_folder()).unwrap();
    }
    let since = Instant::now();
    darsena.serve();
    for name in &names {
        eventually(&format!("{name} serves again"), || {
            matches!(request(darsena.http, &format!("{name}.localhost"), "/"), Ok((200, _, _)))
        });
    }
    let took = since.elapsed();
    say(&format!("{count} applications were back after {} ms ({after:?})", took.as_millis()));
    assert!(took < Duration::from_secs(30), "{count} applications took {} ms", took.as_millis());
    let left = census::wait_for(&darsena, count);
    assert!(left.is_empty(), "{}\n{}", left.join("\n"), darsena.log());
}

/// Kills every process of the installation before any of them can look after another.
pub fn kill_everything(darsena: &mut Installation) {
    let mut pids: Vec<_> = darsena.container_pids().iter().map(|pid| *pid as i32).collect();
    pids.extend(supervisors(darsena));
    pids.push(darsena.ingress_pid() as i32);
    pids.push(darsena.serve_pid() as i32);
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for pid in &pids {
            // A container's first process ignores a stop, which is no harm.
            let _ = kill(Pid::from_raw(*pid), signal);
        }
    }
    darsena.kill_serve();
    eventually("nothing runs any more", || {
        darsena.container_pids().is_empty() && supervisors(darsena).is_empty()
    });
}

fn supervisors(darsena: &Installation) -> Vec<i32> {
    let run = darsena.run_folder();
    let is_one = |words: &[String]| {
        words.get(1).is_some_and(|role| role == "shim")
            && words.last().is_some_and(|path| std::path::Path::new(path).starts_with(&run))
    };
    command_lines().into_iter().filter(|(_, words)| is_one(words)).map(|(pid, _)| pid as i32).collect()
}
