//! The runtime's configuration, `config.json` (OCI runtime-spec, config.md and config-linux.md): a pure
//! function of what is to run and what this machine is like.
//!
//! It is written as the JSON document that it is, so that it can be read beside the specification; a test
//! holds it against the specification's types.

mod seccomp;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::ContainerSpec;

/// The user that the command runs as, as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    pub home: String,
}

/// What the configuration depends on besides the [`ContainerSpec`].
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub identity: Identity,
    /// Environment as it is to be, see [`super::shim`].
    pub env: Vec<(String, String)>,
    pub rootfs: PathBuf,
    /// Folder with `hosts`, `hostname` and `resolv.conf`.
    pub etc: PathBuf,
    pub network_namespace: PathBuf,
    /// Without a leading slash.
    pub cgroup: String,
    pub host: Host,
}

/// What this machine can do, as far as it shapes a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Highest number of open files that this process may give away.
    pub open_files_max: u64,
    /// Highest amount of locked memory that this process may give away, in bytes.
    pub locked_memory_max: u64,
    pub cgroup_v2: bool,
    /// The supervisor's own `oom_score_adj`, -1000 to 1000.
    pub oom_score: i32,
    /// Swap can be limited (on version 1 a boot option decides).
    pub limits_swap: bool,
}

/// What root in a container may do. Less than the common default: no MKNOD, NET_RAW, AUDIT_WRITE, SETFCAP,
/// SETPCAP, SYS_CHROOT.
const CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
];

/// Files of the kernel that say too much about the machine.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Character devices that a container may use: path, major, minor (Documentation/admin-guide/devices.txt).
const DEVICES: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];

const OPEN_FILES: u64 = 65_536;
const LOCKED_MEMORY: u64 = 64 << 10;
/// Applications are killed before the platform when the machine runs out of memory: `oom_score_adj` of a container
/// (proc_pid_oom_score_adj(5)), and how much it is above the supervisor's at least.
const OOM_SCORE: i32 = 500;
const OOM_SCORE_ABOVE: i32 = 100;
const OOM_SCORE_MAX: i32 = 1000;
/// Length of the window in which `cpu_millis` are counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// The document for [`RunFolder::bundle`](crate::folders::RunFolder::bundle).
pub(crate) fn document(spec: &ContainerSpec, around: &Surroundings) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "hostname": spec.hostname,
        "root": { "path": around.rootfs, "readonly": false },
        "process": process(spec, around),
        "mounts": mounts(around),
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "cgroup" }, { "type": "network", "path": around.network_namespace },
            ],
            "cgroupsPath": format!("/{}", around.cgroup),
            "resources": resources(spec, &around.host),
            "maskedPaths": masked(),
            "readonlyPaths": READ_ONLY,
            "seccomp": seccomp::profile(),
        },
    })
}

fn process(spec: &ContainerSpec, around: &Surroundings) -> Value {
    let identity = &around.identity;
    let env: Vec<_> = around.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cwd = if spec.cwd.is_empty() { "/" } else { spec.cwd.as_str() };
    let limit = |kind: &str, value: u64| json!({ "type": kind, "hard": value, "soft": value });
    // Only root starts with capabilities; another user could get them back only through a set-user-id
    // program, which no_new_privs makes impossible.
    let effective: &[&str] = if identity.uid == 0 { &CAPABILITIES } else { &[] };
    json!({
        "terminal": false,
        "user": { "uid": identity.uid, "gid": identity.gid, "additionalGids": identity.additional_gids },
        "args": spec.args,
        "env": env,
        "cwd": cwd,
        "capabilities": { "bounding": CAPABILITIES, "permitted": effective, "effective": effective },
        "rlimits": [
            limit("RLIMIT_NOFILE", OPEN_FILES.min(around.host.open_files_max)),
            limit("RLIMIT_CORE", 0),
            limit("RLIMIT_MEMLOCK", LOCKED_MEMORY.min(around.host.locked_memory_max)),
        ],
        "noNewPrivileges": true,
        "oomScoreAdj": oom_score(around.host.oom_score),
    })
}

/// Above that of whoever holds the container.
fn oom_score(supervisor: i32) -> i32 {
    OOM_SCORE.max(supervisor + OOM_SCORE_ABOVE).min(OOM_SCORE_MAX)
}

fn mounts(around: &Surroundings) -> Vec<Value> {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let file = |name: &str| {
        json!({
            "destination": format!("/etc/{name}"),
            "type": "bind",
            "source": around.etc.join(name),
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        })
    };
    let terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", &terminals),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        file("hosts"),
        file("hostname"),
        file("resolv.conf"),
    ]
}

fn resources(spec: &ContainerSpec, host: &Host) -> Value {
    let memory = u64::from(spec.limits.memory_mb) << 20;
    let cpu_millis = u64::from(spec.limits.cpu_millis);
    let mut devices = vec![json!({ "allow": false, "access": "rwm" })];
    devices.extend(DEVICES.map(
        |(major, minor)| json!({ "allow": true, "type": "c", "major": major, "minor": minor, "access": "rw" }),
    ));
    let mut resources = json!({
        "devices": devices,
        "memory": { "limit": memory },
        // The kernel's least quota is 1 ms; shares are relative, 1024 for a whole core.
        "cpu": {
            "shares": (cpu_millis * 1024 / 1000).max(2),
            "quota": (cpu_millis * CPU_PERIOD / 1000).max(1000),
            "period": CPU_PERIOD,
        },
        "pids": { "limit": spec.limits.pids },
    });
    if host.limits_swap {
        resources["memory"]["swap"] = json!(memory);
    }
    if host.cgroup_v2 {
        resources["unified"] = json!({ "memory.oom.group": "1" });
    }
    resources
}

/// The list, and the counters of thermal throttling of every processor, which tell neighbours' load.
///
/// The processors are those that the machine has, not those that this process may use.
fn masked() -> Vec<String> {
    let processors = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut throttle: Vec<_> = processors
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.exists())
        .filter_map(|path| path.into_os_string().into_string().ok())
        .collect();
    throttle.sort();
    MASKED.map(str::to_owned).into_iter().chain(throttle).collect()
}

#[cfg(test)]
mod tests {
    use model::image::RootFs;
    use model::{AppId, CompanyId, ContainerId, DeploymentId, Limits};
    use oci_spec::runtime::Spec;

    use super::*;

    fn example(uid: u32, host: Host) -> Value {
        let spec = ContainerSpec {
            id: ContainerId::of(DeploymentId::new(), 0),
            company: CompanyId::new(),
            app: AppId::new(),
            hostname: "web".into(),
            rootfs: RootFs::default(),
            args: vec!["/serve".into()],
            env: Vec::new(),
            user: String::new(),
            cwd: String::new(),
            stop_signal: 15,
            limits: Limits { memory_mb: 512, cpu_millis: 500, pids: 512 },
            port: 8080,
        };
        let around = Surroundings {
            identity: Identity { uid, gid: 7, additional_gids: vec![8], home: "/".into() },
            env: vec![("PORT".into(), "8080".into())],
            rootfs: "/run/x/rootfs".into(),
            etc: "/run/x/etc".into(),
            network_namespace: "/proc/7/ns/net".into(),
            cgroup: "darsena-0123abcd/x".into(),
            host,
        };
        document(&spec, &around)
    }

    const V1: Host = Host {
        open_files_max: 20_000,
        locked_memory_max: 1 << 30,
        cgroup_v2: false,
        oom_score: -500,
        limits_swap: false,
    };
    const V2: Host = Host {
        open_files_max: 1 << 20,
        locked_memory_max: 4096,
        cgroup_v2: true,
        oom_score: 450,
        limits_swap: true,
    };

    /// A misspelled or misplaced key would be lost on the way through the types.
    #[test]
    fn the_document_is_one_of_the_specification() {
        for host in [V1, V2] {
            let document = example(0, host);
            let typed: Spec = serde_json::from_value(document.clone()).unwrap();
            let back = serde_json::to_value(typed).unwrap();
            assert_holds(&back, &document, "");
        }
    }

    /// Every value of `expected` is in `actual`.
    fn assert_holds(actual: &Value, expected: &Value, path: &str) {
        match (actual, expected) {
            (Value::Object(actual), Value::Object(expected)) => {
                for (key, value) in expected {
                    let found = actual.get(key).unwrap_or_else(|| panic!("{path}/{key} was lost"));
                    assert_holds(found, value, &format!("{path}/{key}"));
                }
            }
            (Value::Array(actual), Value::Array(expected)) if path.contains("/capabilities/") => {
                assert_eq!(actual.len(), expected.len(), "{path}");
            }
            (Value::Array(actual), Value::Array(expected)) => {
                assert_eq!(actual.len(), expected.len(), "{path}");
                for (index, value) in expected.iter().enumerate() {
                    assert_holds(&actual[index], value, &format!("{path}/{index}"));
                }
            }
            _ => assert_eq!(actual, expected, "{path}"),
        }
    }

    #[test]
    fn only_root_starts_with_capabilities() {
        let capabilities = |uid| example(uid, V1)["process"]["capabilities"].clone();
        assert_eq!(capabilities(0)["effective"].as_array().unwrap().len(), 8);
        for set in ["effective", "permitted"] {
            assert_eq!(capabilities(1000)[set], json!([]));
        }
        assert_eq!(capabilities(1000)["inheritable"], Value::Null);
    }

    /// Row P13 of the list of faults.
    #[test]
    fn applications_are_killed_before_their_supervisor() {
        assert_eq!(example(0, V1)["process"]["oomScoreAdj"], 500);
        assert_eq!(example(0, V2)["process"]["oomScoreAdj"], 550);
        assert_eq!(oom_score(1000), 1000);
    }

    #[test]
    fn limits_fit_the_machine() {
        let v1 = example(0, V1);
        assert_eq!(v1["process"]["rlimits"][0]["hard"], 20_000);
        assert_eq!(v1["process"]["rlimits"][2]["hard"], 65_536);
        assert_eq!(v1["linux"]["resources"]["memory"], json!({ "limit": 512 << 20 }));
        assert_eq!(v1["linux"]["resources"]["cpu"]["quota"], 50_000);

        let v2 = example(0, V2);
        assert_eq!(v2["process"]["rlimits"][0]["hard"], 65_536);
        assert_eq!(v2["process"]["rlimits"][2]["hard"], 4096);
        assert_eq!(v2["linux"]["resources"]["memory"]["swap"], 512 << 20);
        assert_eq!(v2["linux"]["resources"]["unified"]["memory.oom.group"], "1");
    }
}
