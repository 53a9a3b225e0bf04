//! What a container cannot do, tried from inside as its root.

use std::collections::BTreeMap;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::bench::Bench;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const EACCES: i32 = 13;
const ETXTBSY: i32 = 26;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;

#[tokio::test(flavor = "multi_thread")]
async fn root_in_a_container_gets_nowhere() {
    let Some(mut bench) = Bench::open() else { return };
    bench.layer(|root| {
        mknod(
            &root.join("disk-from-image"),
            SFlag::S_IFBLK,
            Mode::from_bits_truncate(0o666),
            makedev(254, 0),
        )
        .unwrap();
    });
    let core_pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let (code, lines) = bench.run(&bench.spec(&["try"])).await;
    assert_eq!(code, 0);
    let found: BTreeMap<&str, &str> = lines.iter().filter_map(|line| line.rsplit_once(' ')).collect();
    let gives = |name: &str, expected: &[&str]| {
        let found = found.get(name).unwrap_or_else(|| panic!("{name} was not tried"));
        assert!(expected.contains(found), "{name} gave {found} instead of {expected:?}");
    };
    let errno = |name: &str, expected: &[i32]| {
        gives(
            name,
            &expected
                .iter()
                .map(i32::to_string)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
    };

    for name in [
        "mount",
        "umount",
        "unshare_user",
        "clone_user",
        "setns",
        "mknod",
        "af_alg",
        "af_vsock",
        "af_alg_high",
        "af_vsock_high",
        "af_packet",
        "raw_icmp",
        "io_uring_setup",
        "bpf",
        "keyctl",
        "add_key",
        "userfaultfd",
        "perf_event_open",
        "kexec_load",
        "init_module",
        "open_by_handle_at",
        "chroot",
        "pivot_root",
        "sethostname",
        "reboot",
        "settimeofday",
        "syslog",
        "fsopen",
        "setns_time",
    ] {
        errno(name, &[EPERM]);
    }
    errno("clone3", &[ENOSYS]);
    errno("netlink", &[0]);
    for name in ["core_pattern", "sys", "hosts"] {
        errno(name, &[EROFS, EACCES, EPERM]);
    }
    // Not every kernel has this one.
    errno("sysrq", &[EROFS, EACCES, EPERM, ENOENT]);
    // One of the two exists, depending on the version of control groups.
    for name in ["cgroup_procs", "cgroup_procs_v1"] {
        errno(name, &[EROFS, EACCES, ENOENT]);
    }
    errno("own_program", &[ETXTBSY]);
    // Masked, or not in this kernel at all.
    for name in ["kcore", "keys", "timer_list"] {
        match found.get(name) {
            Some(_) => errno(name, &[ENOENT]),
            None => gives(&format!("{name} read"), &["0"]),
        }
    }
    gives("firmware", &["0"]);
    errno("image_device", &[EACCES, EPERM, ENXIO]);
    gives("init_exe", &["/probe"]);
    for device in ["null", "zero", "full", "random", "urandom", "tty", "ptmx"] {
        gives(&format!("device /dev/{device}"), &["true"]);
    }
    gives("write_null", &["0"]);
    for path in ["/dev/kmsg", "/dev/mem", "/dev/sda", "/dev/vda"] {
        gives(&format!("absent {path}"), &["true"]);
    }
    gives("ipv6_route", &["false"]);
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), core_pattern);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_the_ones_listed() {
    let Some(bench) = Bench::open() else { return };
    let (_, lines) = bench.run(&bench.spec(&["look"])).await;
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10.
    let rights = "00000000000004fb";
    for line in [
        format!("CapPrm: {rights}"),
        format!("CapEff: {rights}"),
        format!("CapBnd: {rights}"),
        "CapInh: 0000000000000000".to_owned(),
        "CapAmb: 0000000000000000".to_owned(),
        "NoNewPrivs: 1".to_owned(),
        "Seccomp: 2".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line} is missing in {lines:#?}");
    }
    // The namespace of control groups hides where the container is.
    let groups = lines.iter().find(|line| line.starts_with("namespaces")).unwrap();
    assert!(!groups.contains("darsena"), "{groups}");

    let mut other = bench.spec(&["look"]);
    other.user = "4711:4712".into();
    let (_, lines) = bench.run(&other).await;
    for line in ["CapPrm: 0000000000000000", "CapEff: 0000000000000000", "Uid: 4711 4711 4711 4711"] {
        assert!(lines.iter().any(|found| found == line), "{line} is missing in {lines:#?}");
    }
    bench.finish().await;
}
