//! Images and settings that cannot run: the words say which file, nothing outside the image is touched, nothing
//! stays behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use engine::{ContainerSpec, Engine, EngineError, Status};
use model::FailureCode;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::bench::Bench;

async fn check(bench: &Bench, spec: &ContainerSpec, code: FailureCode, words: &str) {
    let error = match bench.engine.create(spec).await {
        Err(error @ EngineError::Refused(_)) => error,
        other => panic!("{words:?}: {other:?}"),
    };
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error} does not say {words:?}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error}");
    assert_eq!(bench.engine.status(&spec.id).await.unwrap(), Status::Absent);
    assert!(!bench.data_folder(&spec.id).exists(), "{error}");
}

fn executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Row I22.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_run_is_named_with_the_reason() {
    let Some(mut bench) = Bench::open() else { return };
    let probe = fs::read(bench.config.layers.join("00".repeat(32)).join("fs/probe")).unwrap();
    bench.layer(|root| {
        fs::create_dir(root.join("bin")).unwrap();
        fs::write(root.join("bin/plain"), "#!/probe\n").unwrap();
        fs::set_permissions(root.join("bin/plain"), fs::Permissions::from_mode(0o644)).unwrap();
        executable(&root.join("bin/windows"), b"#!/probe\r\necho\r\n");
        executable(&root.join("bin/python"), b"#!/usr/bin/python3 -u\n");
        executable(&root.join("bin/text"), b"hello\n");
        executable(&root.join("bin/empty"), b"");
        let mut arm = probe.clone();
        arm[18] = 183;
        executable(&root.join("bin/arm"), &arm);
        fs::copy("/bin/true", root.join("bin/dynamic")).unwrap();
        fs::create_dir(root.join("bin/folder")).unwrap();
        symlink("/etc/../bin/text", root.join("bin/link")).unwrap();
    });
    let cases: [(&[&str], &str); 14] = [
        (&[], "names no command"),
        (&[""], "names no command"),
        (&["/bin/missing"], "/bin/missing is not in the image"),
        (&["./missing"], "./missing is not in the image"),
        (&["missing"], "\"missing\" is not in the image's PATH"),
        (&["/bin/plain"], "/bin/plain cannot be run: it is not marked as executable"),
        (&["plain"], "/bin/plain cannot be run: it is not marked as executable"),
        (&["/bin/windows"], "/bin/windows has Windows line ends"),
        (&["/bin/python"], "needs /usr/bin/python3, which is not in the image"),
        (&["/bin/text"], "/bin/text is neither a program nor a script"),
        (&["/bin/empty"], "/bin/empty is neither a program nor a script"),
        (&["/bin/arm"], "/bin/arm is a program for 64-bit ARM, and this machine is x86-64"),
        (&["dynamic"], "/bin/dynamic needs /lib64/ld-linux-x86-64.so.2, which is not in the image"),
        (&["/bin/folder"], "/bin/folder cannot be run: it is no regular file"),
    ];
    for (args, words) in cases {
        let mut spec = bench.spec(&[]);
        spec.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        check(&bench, &spec, FailureCode::CommandNotFound, words).await;
    }
    let mut spec = bench.spec(&[]);
    spec.args = vec!["/bin/link".into()];
    check(&bench, &spec, FailureCode::CommandNotFound, "/bin/link is neither").await;
    bench.finish().await;
}

/// Rows I19 and I20.
#[tokio::test(flavor = "multi_thread")]
async fn users_are_looked_up_in_the_image_and_nowhere_else() {
    let Some(mut bench) = Bench::open() else { return };
    for user in ["missing", "4294967295", "4294967296", "-1", "00", "app:missing", "app:"] {
        let mut spec = bench.spec(&["look"]);
        spec.user = user.into();
        check(&bench, &spec, FailureCode::ConfigInvalid, "cannot be").await;
    }
    let passwd = bench.layer(|root| fs::create_dir(root.join("etc")).unwrap()).join("etc/passwd");
    let make_special =
        |kind: SFlag, device| mknod(&passwd, kind, Mode::from_bits_truncate(0o644), device).unwrap();
    let hostile: [(&str, &dyn Fn()); 5] = [
        ("it is no regular file", &|| make_special(SFlag::S_IFIFO, 0)),
        ("/etc/passwd", &|| make_special(SFlag::S_IFCHR, makedev(1, 5))),
        ("it is a folder", &|| fs::create_dir(&passwd).unwrap()),
        ("larger than 10 MiB", &|| fs::File::create(&passwd).unwrap().set_len(1 << 30).unwrap()),
        ("/etc/passwd", &|| symlink("/proc/self/fd/0", &passwd).unwrap()),
    ];
    for (words, make) in hostile.iter().take(4) {
        make();
        let mut spec = bench.spec(&["look"]);
        spec.user = "app".into();
        check(&bench, &spec, FailureCode::ConfigInvalid, words).await;
        if passwd.is_dir() { fs::remove_dir(&passwd).unwrap() } else { fs::remove_file(&passwd).unwrap() }
    }
    // Absolute links lead to files of the image: the host's own users are not known in it.
    hostile[4].1();
    let mut spec = bench.spec(&["look"]);
    spec.user = "app".into();
    check(&bench, &spec, FailureCode::ConfigInvalid, "/etc/passwd does not list it").await;
    bench.finish().await;
}

/// Row I21.
#[tokio::test(flavor = "multi_thread")]
async fn the_working_folder_is_beneath_the_root() {
    let Some(mut bench) = Bench::open() else { return };
    let outside = tempfile::tempdir().unwrap();
    bench.layer(|root| {
        fs::write(root.join("file"), "").unwrap();
        symlink("/proc/self/fd/7", root.join("fd")).unwrap();
        symlink("../../../..", root.join("up")).unwrap();
        symlink(outside.path(), root.join("out")).unwrap();
        symlink("/tmp", root.join("to-tmp")).unwrap();
    });
    for (cwd, words) in [
        ("relative", "no absolute path"),
        ("/proc/self/fd/7", "kernel's own folders"),
        ("/sys", "kernel's own folders"),
        ("/a/../../b", "holds \"..\""),
        ("/file", "cannot be used"),
        ("/file/inner", "cannot be used"),
        ("/fd", "cannot be used"),
        ("/up/proc/x", "kernel's own folders"),
        ("/out", "cannot be used"),
    ] {
        let mut spec = bench.spec(&["look"]);
        spec.cwd = cwd.into();
        check(&bench, &spec, FailureCode::ConfigInvalid, words).await;
    }
    for (cwd, place) in [("/new/deep", "/new/deep"), ("/up/made", "/made"), ("/to-tmp/x", "/tmp/x")] {
        let mut spec = bench.spec(&["look"]);
        spec.cwd = cwd.into();
        let (_, lines) = bench.run(&spec).await;
        assert!(lines.contains(&format!("cwd {place}")), "{lines:?}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!Path::new("/made").exists());
    bench.finish().await;
}

/// Row I64.
#[tokio::test(flavor = "multi_thread")]
async fn links_in_place_of_mount_points_lead_nowhere() {
    let Some(mut bench) = Bench::open() else { return };
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("hosts"), "untouched").unwrap();
    let core_pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    bench.layer(|root| {
        fs::create_dir(root.join("etc")).unwrap();
        symlink(outside.path().join("hosts"), root.join("etc/hosts")).unwrap();
        symlink("/proc/sys/kernel/core_pattern", root.join("etc/resolv.conf")).unwrap();
        symlink("/dev/null", root.join("etc/hostname")).unwrap();
        fs::create_dir(root.join("dev")).unwrap();
        symlink("/proc/sys/kernel/core_pattern", root.join("dev/null")).unwrap();
        symlink(outside.path(), root.join("dev/pts")).unwrap();
    });
    let (code, lines) =
        bench.run(&bench.spec(&["cat", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])).await;
    assert_eq!(code, 0);
    assert!(lines.iter().any(|line| line.ends_with("\tweb")), "{lines:?}");
    assert!(lines.contains(&"/etc/hostname: web".to_owned()), "{lines:?}");
    assert_eq!(fs::read_to_string(outside.path().join("hosts")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), core_pattern);

    for folder in ["dev", "proc", "sys"] {
        let mut hostile = Bench::open().unwrap();
        hostile.layer(|root| symlink("/tmp", root.join(folder)).unwrap());
        let words = format!("/{folder} cannot be used: it is not a folder");
        check(&hostile, &hostile.spec(&["look"]), FailureCode::ConfigInvalid, &words).await;
        hostile.finish().await;
    }
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_no_process_can_have_are_refused() {
    let Some(bench) = Bench::open() else { return };
    let code = FailureCode::ConfigInvalid;
    let with = |change: &dyn Fn(&mut ContainerSpec)| {
        let mut spec = bench.spec(&["look"]);
        change(&mut spec);
        spec
    };
    check(&bench, &with(&|spec| spec.env.push(("A=B".into(), "secret".into()))), code, "A=B").await;
    check(&bench, &with(&|spec| spec.env.push((String::new(), "x".into()))), code, "has no name").await;
    check(&bench, &with(&|spec| spec.env.push(("A".into(), "\0".into()))), code, "NUL").await;
    check(&bench, &with(&|spec| spec.env.push(("A".into(), "x".repeat(1 << 20)))), code, "128 KiB").await;
    check(&bench, &with(&|spec| spec.args.push("\0".into())), code, "NUL").await;
    check(&bench, &with(&|spec| spec.stop_signal = 999), code, "999 is no signal").await;
    check(&bench, &with(&|spec| spec.limits.memory_mb = 0), code, "memory").await;
    check(&bench, &with(&|spec| spec.rootfs.layers.clear()), code, "no layers").await;
    bench.finish().await;
}
