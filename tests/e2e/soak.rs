//! The long ones, run by `make soak`: the control plane killed at many moments of a deployment, under traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{eventually, request, rows};
use crate::sources::running_shop;

/// How often the control plane is killed; `SOAK_KILLS` sets another number.
const KILLS: u64 = 100;
/// A deployment of the sample takes less than this, so kills spread over all of its steps.
const DEPLOYMENT: Duration = Duration::from_millis(250);

/// Kills `serve` at a moment of a deployment that moves on a little each time, starts it again and looks: the
/// deployment came to an end, one container runs, and no request failed meanwhile.
#[test]
#[ignore = "long; run by `make soak`"]
fn killed_at_every_moment_of_a_deployment() {
    let Some((_registry, _, mut darsena)) = running_shop() else { return };
    let kills = std::env::var("SOAK_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);

    let stop = Arc::new(AtomicBool::new(false));
    let (asked, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let client = {
        let (stop, asked, failed, http) =
            (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&failed), darsena.http);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let path = format!("/{number}");
                match request(http, "shop.localhost", &path) {
                    Ok((200, _, body)) if body.trim() == path => {}
                    _ => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                thread::sleep(Duration::from_millis(2));
            }
        })
    };

    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        darsena.run_ok(&["deploy", "shop", "--no-wait"]);
        thread::sleep(DEPLOYMENT.mul_f64(kill as f64 / kills as f64));
        darsena.kill_serve();
        let restarted = Instant::now();
        darsena.serve();
        eventually("the deployment ends", || {
            let deployments = darsena.json(&["deployments", "list", "shop"]);
            rows(&deployments).iter().all(|row| row["finished_at"].is_string())
        });
        eventually("one container runs", || darsena.container_pids().len() == 1);
        slowest = slowest.max(restarted.elapsed());
        let (status, _, _) = darsena.request("shop.localhost", "/");
        assert_eq!(status, 200, "after kill {kill}");
    }
    stop.store(true, Ordering::Relaxed);
    client.join().unwrap();
    let (asked, failed) = (asked.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    report(&format!(
        "{kills} kills, {asked} requests, {failed} failed, slowest recovery {} ms",
        slowest.as_millis()
    ));
    assert_eq!(failed, 0, "of {asked} requests");
}

#[expect(clippy::print_stderr, reason = "the figure is what the run is for")]
fn report(figure: &str) {
    eprintln!("{figure}");
}
