//! What the unpack process can reach while it works.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::image::{Entry, Tar, sign};

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
    let deadline = Instant::now() + Duration::from_secs(60);
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

/// Archives with bytes changed at random are unpacked or refused: the process always reports, and nothing
/// outside its folder changes.
#[test]
fn mutated_archives_never_get_out_or_crash() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let to = outside.path().to_str().unwrap();
    let tar = Tar::new()
        .dir("a", 0o755)
        .symlink("a/link", to)
        .file("a/link/secret", "changed", 0o666)
        .hardlink("a/hard", "a/link/secret")
        .file("a/../up", "x", 0o644)
        .file("a/.wh.b", "", 0o644)
        .file("a/.wh..wh..opq", "", 0o644)
        .entry(Entry::new(b'0', "pax").data("data").xattr("user.x", "y").pax("mtime", "1.5"))
        .file(&format!("{}/f", "long".repeat(40)), "x", 0o644)
        .entry(Entry::new(b'6', "pipe"))
        .finish();
    let whole = unpack(&tar);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stdout));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut unpacked = 0;
    for round in 0..300 {
        let mut mutated = tar.clone();
        for _ in 0..=random.below(2) {
            mutate(&mut mutated, &mut random);
        }
        let output = unpack(&mutated);
        let report = String::from_utf8_lossy(&output.stdout);
        unpacked += usize::from(output.status.success());
        let is_report = report.starts_with("{\"unpacked\"") || report.starts_with("{\"refused\"");
        assert!(
            is_report,
            "round {round}: {:?} {report} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!report.contains("internal"), "round {round}: {report}");
        assert_eq!(fs::read(&secret).unwrap(), b"secret", "round {round}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "round {round}");
    }
    assert!(
        (50..250).contains(&unpacked),
        "{unpacked} of 300 were unpacked: the changes are too rough or too mild"
    );
}

/// Changes one thing: a byte, a header field with its checksum made right, or the order of two blocks.
fn mutate(tar: &mut [u8], random: &mut Random) {
    let blocks = tar.len() / 512;
    let block = random.below(blocks) * 512;
    match random.below(4) {
        0 => tar[block + random.below(512)] = random.byte(),
        1 => {
            let other = random.below(blocks) * 512;
            for index in 0..512 {
                tar.swap(block + index, other + index);
            }
        }
        _ => {
            let header: &mut [u8; 512] = (&mut tar[block..block + 512]).try_into().unwrap();
            // Name, numbers, type or link.
            let field = [0..100, 100..148, 156..157, 157..257][random.below(4)].clone();
            header[field.start + random.below(field.len())] = random.byte();
            sign(header);
        }
    }
}

fn unpack(tar: &[u8]) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    for name in ["fs", "trash"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_image-unpack"))
        .arg(folder.path())
        .args(["1000000", "1000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may refuse before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(tar);
    child.wait_with_output().unwrap()
}

/// Numbers that are the same each time (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Any byte, those that mean something in a tar more often.
    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0/. 01234567xLKg.\xff\x80";
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next().to_le_bytes()[0] }
    }
}
