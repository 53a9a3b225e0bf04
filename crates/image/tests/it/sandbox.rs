//! What the unpack process can reach while it works.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::image::Tar;

use crate::support::is_root;

/// Kills the process also when a test fails.
struct Unpack(Child);

impl Drop for Unpack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_unpack_process_is_closed_in() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["fs", "trash"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let mut unpack = Unpack(
        Command::new(env!("CARGO_BIN_EXE_image-unpack"))
            .arg(folder.path())
            .args(["1000000", "1000"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    // One file, then it waits for more.
    let tar = Tar::new().file("first", "x", 0o644).unfinished();
    unpack.0.stdin.as_mut().unwrap().write_all(&tar).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !folder.path().join("fs/first").exists() {
        assert!(Instant::now() < deadline, "the first file is written");
        std::thread::sleep(Duration::from_millis(5));
    }

    let process = format!("/proc/{}", unpack.0.id());
    let root = fs::read_link(format!("{process}/root")).unwrap();
    assert_eq!(root, folder.path().canonicalize().unwrap());
    for namespace in ["net", "mnt", "ipc"] {
        let (theirs, ours) = (format!("{process}/ns/{namespace}"), format!("/proc/self/ns/{namespace}"));
        assert_ne!(fs::read_link(theirs).unwrap(), fs::read_link(ours).unwrap(), "{namespace}");
    }
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP: bits 0, 1, 3, 4, 31.
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(field(set), "000000008000001b", "{set}");
    }
    assert_eq!(field("CapAmb:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Threads:"), "1");
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max address space") && line.contains("1073741824")));
    let open = fs::read_dir(format!("{process}/fd")).unwrap().count();
    assert!(open <= 8, "{open} open files");
}
