//! No room on the disk: the deployment says so, the old release serves, and nothing of the attempt stays.

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::harness::{Installation, Setting, can_run, rows};
use crate::sources::Registry;

/// A disk of 40 MB, unmounted at the end.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::Builder::new().prefix("darsena-small.").tempdir_in("/var/tmp").unwrap();
        mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some("size=40m")).unwrap();
        Self { folder }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(self.folder.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_fails_the_deployment_and_nothing_else() {
    if !can_run() {
        return;
    }
    let registry = Registry::start();
    let small = registry.push_hello("demo/hello:1", &[("HELLO_TEXT", "still here")]);
    let large = registry.push_large("demo/large:1", 64 << 20);
    let disk = SmallDisk::mount();
    {
        let data = tempfile::Builder::new().prefix("darsena-e2e.").tempdir_in(disk.folder.path()).unwrap();
        let darsena = Installation::start_in(
            data,
            Setting { insecure: vec![registry.address().to_owned()], ..Setting::default() },
        );
        darsena.run_ok(&["deploy", "shop", "--image", &small]);

        let words = darsena.run_failing(&["deploy", "shop", "--image", &large]);
        assert!(words.contains("the disk is full"), "{words}");
        assert!(darsena.get("shop.localhost", "/").1.contains("still here"));
        let deployments = darsena.json(&["deployments", "list", "shop"]);
        assert_eq!(rows(&deployments)[0]["failure"]["code"], "disk_full");

        // What the attempt had written is gone, so there is room again.
        darsena.run_ok(&["deploy", "shop", "--image", &small]);
    }
}
