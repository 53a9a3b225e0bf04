//! P10 of the fault list: the disk of the database is full, really. What is there can be read and removed, everything
//! else is refused in words, and works again by itself when there is room.
//!
//! The disk is a tmpfs in a mount namespace of the test's own, in a process of its own: however that ends, nothing of
//! it stays.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use store::Store;

use crate::server::{Server, text};

const DISK: &str = "DARSENA_TEST_DISK";

#[test]
fn a_full_disk_is_said_and_what_is_there_can_be_read_and_removed() {
    if fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).ok() != Some(0) {
        not_run();
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::on_a_disk_of_its_own", "--nocapture"])
        .env(DISK, disk.path())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("test result: ok. 1 passed"), "{said}");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "the disk was the child's own");
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests is told")]
fn not_run() {
    println!("not run: needs root");
}

/// Does something only as the child of the test above.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_of_its_own() {
    let Some(disk) = std::env::var_os(DISK) else { return };
    let disk = Path::new(&disk);
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(disk).status();
    assert!(mounted.unwrap().success());
    let server = Server::on(disk).await;
    fill_read_remove_recover(&server, disk).await;

    // The file is whole, and opens where there is no room.
    fill(&disk.join("filler"));
    let Server { data, store, state, api, platform, .. } = server;
    drop((store, state, api, platform));
    drop(Store::open(data.path()).unwrap());
    drop(data);
}

async fn fill_read_remove_recover(server: &Server, disk: &Path) {
    let shop = text(&server.app("shop").await["id"]);
    let other = text(&server.app("other").await["id"]);
    let path = format!("/applications/{shop}");
    for number in 0..20 {
        let var = json!({"key": format!("K{number}"), "value": "v".repeat(30_000)});
        server.post(&format!("{path}/env-vars"), var).await.expect(201);
        server.call("POST", &format!("{path}/deployments"), None).await.expect(200);
    }
    let filler = disk.join("filler");
    fill(&filler);

    // The log of the database still has some room in itself; then there is none.
    let mut written = 20;
    let refused = loop {
        let var = json!({"key": format!("M{written}"), "value": "v".repeat(30_000)});
        let answer = server.post(&format!("{path}/env-vars"), var).await;
        match answer.status {
            201 if written < 5_000 => written += 1,
            _ => break answer,
        }
    };
    assert_eq!(refused.refused(507), "disk_full");
    let big = json!({"entrypoint": "x".repeat(1000), "name": "n"});
    let processes = server.get(&format!("{path}/processes")).await.expect(200);
    let process = format!("{path}/processes/{}", text(&processes["data"][0]["id"]));
    for _ in 0..20 {
        // Small ones may fit for a while; none is a fault of the server.
        let answer = server.patch(&process, big.clone()).await;
        assert!(matches!(answer.status, 200 | 507), "{answer:?}");
        let answer = server.call("POST", &format!("{path}/deployments"), None).await;
        assert!(matches!(answer.status, 200 | 507), "{answer:?}");
    }

    let listed = server.get(&format!("{path}/env-vars?limit=100")).await.expect(200);
    assert_eq!(listed["total"], json!(written), "what was acknowledged is there, and nothing else");
    for readable in ["/applications", "/api-keys/me", "/projects", &path, &format!("{path}/deployments")] {
        server.get(readable).await.expect(200);
    }
    for row in listed["data"].as_array().unwrap().iter().take(3) {
        server.call("DELETE", &format!("{path}/env-vars/{}", text(&row["id"])), None).await.expect(200);
    }
    server.call("DELETE", &path, None).await.expect(200);
    server.get(&path).await.expect(404);
    server.call("POST", &format!("/applications/{other}/suspend"), None).await.expect(200);

    fs::remove_file(&filler).unwrap();
    let var = json!({"key": "AFTER", "value": "v".repeat(30_000)});
    server.post(&format!("/applications/{other}/env-vars"), var).await.expect(201);
    server.app("later").await;
}

/// Takes every byte that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 20, 4 << 10, 1] {
        let zeros = vec![0; size];
        while file.write(&zeros).is_ok_and(|count| count > 0) {}
    }
}
