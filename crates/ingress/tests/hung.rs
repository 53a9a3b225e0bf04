//! An ingress process that is there and says nothing.

mod support;

use std::time::Duration;

use ingress::{Client, IngressError};
use rustix::process::{Signal, kill_process};
use support::place::{Place, pid};
use support::until;
use tokio::net::UnixStream;

/// It is asked twice, for ten seconds each.
async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), what).await.expect("it took too long")
}

/// A process that holds folder and control socket and answers nothing.
async fn hanging(place: &Place) -> std::process::Child {
    let ingress::Launch { program, .. } = place.launch();
    let ingress::ProcessConfig { http, control, state } = &place.config;
    let mut command = std::process::Command::new(program);
    command.args(["hang", "--http", &http.to_string(), "--control"]).arg(control).arg("--state").arg(state);
    let child = command.spawn().unwrap();
    until("it listens", async || UnixStream::connect(control).await.is_ok()).await;
    child
}

#[tokio::test]
async fn one_that_was_stopped_goes_on() {
    let place = Place::new();
    let client = place.client().await;
    let before = client.hello().await.unwrap();
    kill_process(pid(before.pid), Signal::STOP).unwrap();
    assert!(!patiently(client.ensure()).await.unwrap(), "it is the same");
    assert_eq!(client.hello().await.unwrap(), before);
}

#[tokio::test]
async fn one_that_hangs_is_replaced() {
    let place = Place::new();
    let mut hung = hanging(&place).await;
    let client = patiently(Client::connect_or_spawn(place.launch(), place.config.clone())).await.unwrap();
    hung.wait().unwrap();
    let hello = client.hello().await.unwrap();
    assert_ne!(hello.pid, hung.id());
    assert_eq!(place.processes(), [pid(hello.pid)]);
}

#[tokio::test]
async fn one_that_hangs_is_ended_too() {
    let place = Place::new();
    let mut hung = hanging(&place).await;
    let client = Client::new(place.launch(), place.config.clone());
    assert!(matches!(patiently(client.shutdown()).await, Err(IngressError::NotRunning { .. })));
    hung.wait().unwrap();
    assert!(place.processes().is_empty());
}
