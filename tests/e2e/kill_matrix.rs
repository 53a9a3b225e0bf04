//! The control plane is killed at each named moment of a deployment, while people use the application.
//!
//! After each kill it is started again, and then: one release serves, the deployment came to an end, nothing is
//! left over, and no request failed or was answered by anything but the old or the new release.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::registry::Good;
use testkit::tls::TestCa;
use testkit::tokens::{Style, TokenServer};

use crate::census;
use crate::harness::{Installation, Setting, can_run, eventually, rows};
use crate::load::{Load, Report};
use crate::report::{rounds, say};
use crate::sources;

const REPOSITORY: &str = "team/shop";
/// Large enough that a layer comes in several pieces.
const LAYER: usize = 2 << 20;
/// Requests a second while control planes are killed.
const RATE: u32 = 100;
/// Within so much, from the start of the next control plane on, all must be well.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
/// Kills at each point in the long run.
const KILLS: usize = 20;

#[test]
fn killed_once_at_each_point_of_a_deployment() {
    let Some(mut matrix) = Matrix::start(1) else { return };
    for point in failpoint::POINTS {
        matrix.kill_at(point, Shim::GoesOnFirst);
    }
    matrix.finish();
}

/// Each start carries the same deployment one point further. Once the switch is committed it is not done again, so
/// the point right behind it does not come a second time.
#[test]
fn one_deployment_survives_a_kill_at_every_point() {
    let Some(mut matrix) = Matrix::start(1) else { return };
    let points: Vec<_> = failpoint::POINTS.into_iter().filter(|point| *point != "S14").collect();
    matrix.images += 1;
    push(&matrix.registry, matrix.images);
    let mut file = matrix.arm(points[0]);
    let mut deploy = matrix.darsena.spawn(&["deploy", "shop", "--no-wait"]);
    for (index, point) in points.iter().enumerate() {
        matrix.wait_and_kill(point, &file);
        fs::remove_file(&file).unwrap();
        if let Some(next) = points.get(index + 1) {
            file = matrix.arm(next);
        }
        matrix.darsena.serve();
    }
    deploy.wait().unwrap();
    let now = matrix.recovered("every point");
    matrix.check("every point", now);
    matrix.finish();
}

/// The points at which the number of containers matters.
#[test]
fn killed_once_at_points_of_a_deployment_of_three_instances() {
    let Some(mut matrix) = Matrix::start(3) else { return };
    for point in ["S8", "S10", "S11", "S12", "S13", "S14a", "S14", "S15", "S16"] {
        matrix.kill_at(point, Shim::GoesOnFirst);
    }
    matrix.finish();
}

#[test]
#[ignore = "long; run by `make soak`"]
fn killed_many_times_at_each_point_of_a_deployment() {
    kill_many_times(rounds(KILLS), 1);
}

#[test]
#[ignore = "long; run by `make soak`"]
fn killed_some_times_at_each_point_of_a_deployment_of_three_instances() {
    kill_many_times(rounds(KILLS / 5), 3);
}

fn kill_many_times(kills: usize, instances: usize) {
    let Some(mut matrix) = Matrix::start(instances) else { return };
    say(&format!("{instances} instances\npoint  kills  slowest recovery  failed requests  left over"));
    for point in failpoint::POINTS {
        let before = matrix.load.so_far().failed;
        let mut slowest = Duration::ZERO;
        for kill in 0..kills {
            let shim = if kill % 2 == 0 { Shim::GoesOnFirst } else { Shim::IsHeldLonger };
            slowest = slowest.max(matrix.kill_at(point, shim));
        }
        let failed = matrix.load.so_far().failed - before;
        // What is left over ends the test where it is found.
        say(&format!("{point:5}  {kills:5}  {:13} ms  {failed:15}  {:9}", slowest.as_millis(), 0));
        assert!(slowest <= RECOVERED_WITHIN, "{point}: {} ms", slowest.as_millis());
    }
    say(&matrix.finish().to_string());
}

/// Whether a supervisor or unpacker that stands at the point goes on before the next control plane starts, or
/// stands there while that one recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shim {
    GoesOnFirst,
    IsHeldLonger,
}

struct Matrix {
    load: Load,
    darsena: Installation,
    registry: Good,
    points: tempfile::TempDir,
    instances: usize,
    /// The release that serves.
    serving: String,
    images: u64,
    _tokens: TokenServer,
    _ca: TestCa,
}

impl Matrix {
    /// An application that serves, from a registry that asks for a token: each deployment gets a new one, because
    /// it proves the access anew.
    fn start(instances: usize) -> Option<Self> {
        if !can_run() {
            return None;
        }
        let ca = TestCa::new().unwrap();
        let tokens = TokenServer::start(Style::Hub, &ca).unwrap();
        let registry = Good::with_tokens(&tokens, &ca).unwrap();
        tokens.user("ci", "push-secret").may_push("ci", REPOSITORY);
        tokens.user("bot", "pull-secret").may_pull("bot", REPOSITORY);
        let points = tempfile::tempdir().unwrap();
        let darsena = Installation::start_with(Setting {
            private: vec![registry.host(), tokens.host()],
            authority: Some(ca.path()),
            log: "debug,h2=info".to_owned(),
            failpoints: Some(points.path().to_owned()),
            ..Setting::default()
        });
        let host = registry.host();
        let create = ["registries", "create", "team", "--registry", "custom", "--host", &host];
        let login = ["--username", "bot", "--token-stdin"];
        crate::harness::ok(&darsena.run_with_input(&[&create[..], &login].concat(), "pull-secret\n"));
        push(&registry, 0);
        let image = format!("{host}/{REPOSITORY}:latest");
        darsena.run_ok(&["deploy", "shop", "--image", &image, "--credential", "team"]);
        if instances > 1 {
            darsena.set_instances("shop", instances);
            darsena.run_ok(&["deploy", "shop"]);
        }
        let serving = darsena.request("shop.localhost", "/first").1.unwrap();
        let load = Load::start(darsena.http, &["shop"], RATE);
        Some(Self {
            load,
            darsena,
            registry,
            points,
            instances,
            serving,
            images: 0,
            _tokens: tokens,
            _ca: ca,
        })
    }

    /// Deploys a new image, kills the control plane at the point, starts it again. Gives the time from there until
    /// all was well.
    fn kill_at(&mut self, point: &str, shim: Shim) -> Duration {
        self.images += 1;
        push(&self.registry, self.images);
        let file = self.arm(point);
        // It may be left without an answer.
        let mut deploy = self.darsena.spawn(&["deploy", "shop", "--no-wait"]);
        self.wait_and_kill(point, &file);
        deploy.wait().unwrap();

        let began = Instant::now();
        match shim {
            Shim::GoesOnFirst => {
                fs::remove_file(&file).unwrap();
                self.darsena.serve();
            }
            Shim::IsHeldLonger => {
                self.darsena.serve();
                fs::remove_file(&file).unwrap();
            }
        }
        let now = self.recovered(point);
        let took = began.elapsed();
        self.check(point, now);
        took
    }

    fn wait_and_kill(&mut self, point: &str, file: &Path) {
        eventually(&format!("somebody is at {point}"), || !fs::read_to_string(file).unwrap().is_empty());
        self.darsena.kill_serve();
    }

    /// Waits until all deployments have ended and one release runs and serves; gives that.
    fn recovered(&self, point: &str) -> String {
        eventually(&format!("killed at {point}, the deployment ends"), || {
            rows(&self.darsena.json(&["deployments", "list", "shop"]))
                .iter()
                .all(|row| row["finished_at"].is_string())
        });
        eventually(&format!("killed at {point}, one release runs"), || {
            self.darsena.container_pids().len() == self.instances
        });
        let (status, release, _) = self.darsena.request("shop.localhost", "/after-the-kill");
        assert_eq!(status, 200, "killed at {point}\n{}", self.darsena.log());
        release.unwrap()
    }

    /// One deployment, one release, nothing left over, nobody but the two releases answered.
    fn check(&mut self, point: &str, now: String) {
        let newest = rows(&self.darsena.json(&["deployments", "list", "shop"]))[0].clone();
        assert_eq!(newest["status"], "success", "killed at {point}, it is carried on: {newest}");
        assert_ne!(now, self.serving, "killed at {point}: the new release serves");
        let both = BTreeSet::from([self.serving.clone(), now.clone()]);
        let answered = self.load.releases("shop");
        assert!(answered.is_subset(&both), "killed at {point}: {answered:?} answered, not only {both:?}");
        self.serving = now;

        let left = census::wait_for(&self.darsena, self.instances);
        assert!(left.is_empty(), "killed at {point}:\n{}\n{}", left.join("\n"), self.darsena.log());
        let so_far = self.load.so_far();
        assert_eq!(so_far.failed, 0, "killed at {point}: {so_far}\n{}", self.darsena.log());
    }

    fn arm(&self, point: &str) -> PathBuf {
        let file = self.points.path().join(point);
        fs::write(&file, "").unwrap();
        file
    }

    fn finish(self) -> Report {
        let report = self.load.stop();
        report.assert_flawless();
        assert_eq!(report.sent_again, 0, "no kept connection was closed: {report}");
        drop(self.darsena);
        report
    }
}

/// Another image under the same tag.
fn push(registry: &Good, number: u64) {
    let remote = registry.remote().login("ci", "push-secret");
    sources::hello_with_noise(number, LAYER).push_to_blocking(&remote, REPOSITORY, "latest").unwrap();
}
