//! More than the control plane dies in the middle of a deployment, or it dies while a failed one is undone.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::census;
use crate::everything::kill_everything;
use crate::harness::{Installation, Setting, can_run, eventually, request, rows};
use crate::sources::Registry;

/// An application that serves, in an installation whose deployments can be held.
struct Held {
    darsena: Installation,
    points: tempfile::TempDir,
    _registry: Registry,
}

impl Held {
    fn start() -> Option<Self> {
        if !can_run() {
            return None;
        }
        let (registry, points) = (Registry::start(), tempfile::tempdir().unwrap());
        let image = registry.push_hello("demo/hello:1", &[]);
        let darsena = Installation::start_with(Setting {
            insecure: vec![registry.address().to_owned()],
            failpoints: Some(points.path().to_owned()),
            ..Setting::default()
        });
        darsena.run_ok(&["deploy", "shop", "--image", &image]);
        Some(Self { darsena, points, _registry: registry })
    }

    /// Deploys, and returns when somebody stands at the point, whose file this gives.
    fn deploy_up_to(&self, point: &str, with: &[&str]) -> PathBuf {
        let file = self.points.path().join(point);
        fs::write(&file, "").unwrap();
        self.darsena.run_ok(&[&["deploy", "shop", "--no-wait"], with].concat());
        eventually(&format!("somebody is at {point}"), || !fs::read_to_string(&file).unwrap().is_empty());
        file
    }

    fn newest(&self) -> Value {
        rows(&self.darsena.json(&["deployments", "list", "shop"]))[0].clone()
    }

    /// Waits until the newest deployment has ended and one container answers and nothing is left over.
    fn settled(&self, point: &str) -> String {
        eventually(&format!("{point}: the deployment ends"), || self.newest()["finished_at"].is_string());
        eventually(&format!("{point}: somebody serves"), || {
            matches!(request(self.darsena.http, "shop.localhost", "/"), Ok((200, _, _)))
        });
        let left = census::wait_for(&self.darsena, 1);
        assert!(left.is_empty(), "{point}: {}\n{}", left.join("\n"), self.darsena.log());
        self.darsena.request("shop.localhost", "/").1.unwrap()
    }
}

#[test]
fn an_ingress_that_dies_in_the_middle_of_a_deployment_does_not_fail_it() {
    let Some(held) = Held::start() else { return };
    let mut serving = held.settled("before");
    for point in ["S13", "S14a", "S15"] {
        let file = held.deploy_up_to(point, &[]);
        kill(Pid::from_raw(held.darsena.ingress_pid() as i32), Signal::SIGKILL).unwrap();
        fs::remove_file(file).unwrap();
        let now = held.settled(point);
        assert_eq!(held.newest()["status"], "success", "{point}");
        assert_ne!(now, serving, "{point}: the new release serves");
        serving = now;
    }
}

#[test]
fn everything_killed_in_the_middle_of_a_deployment_leaves_one_release() {
    let Some(mut held) = Held::start() else { return };
    for point in ["S10", "S12", "S14a", "S15", "S16"] {
        let file = held.deploy_up_to(point, &[]);
        kill_everything(&mut held.darsena);
        fs::remove_file(file).unwrap();
        held.darsena.serve();
        held.settled(point);
        let newest = held.newest();
        let serving = held.darsena.json(&["apps", "show", "shop"])["serving_deployment_id"].clone();
        let is_new = serving == newest["id"];
        assert_eq!(is_new, newest["status"] == "success", "{point}: {newest} and {serving} serves");
    }
}

#[test]
fn a_failed_deployment_that_is_killed_while_it_is_undone_ends_with_its_cause() {
    let Some(mut held) = Held::start() else { return };
    let serving = held.settled("before");
    let file = held.deploy_up_to("S16", &["--env", "HELLO_EXIT=3"]);
    held.darsena.kill_serve();
    fs::remove_file(file).unwrap();
    held.darsena.serve();
    assert_eq!(held.settled("S16"), serving, "the old release serves");
    let newest = held.newest();
    assert_eq!(newest["status"], "failed");
    assert_eq!(newest["failure"]["exit_code"], 3, "{newest}");
}
