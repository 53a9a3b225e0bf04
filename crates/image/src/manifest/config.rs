//! The image configuration (OCI image-spec, config.md): read, bounded, made safe to use.

use std::collections::BTreeMap;
use std::str::FromStr;

use model::image::{DiffId, ExposedPort, ImageConfig, Platform};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::null_as_default;
use super::{json, signal};
use crate::Cause;
use crate::registry::clean;

/// The kernel's limit for one string of a process (`MAX_ARG_STRLEN`).
const MAX_STRING: usize = 128 << 10;
/// What arguments and environment of an image may add up to; half of the usual `ARG_MAX`.
const MAX_STRINGS: usize = 1 << 20;
const MAX_ENTRIES: usize = 10_000;
const MAX_LABELS: usize = 64 << 10;

/// What a configuration says, checked.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub platform: Platform,
    /// One for each layer, bottom layer first.
    pub diff_ids: Vec<DiffId>,
    pub image: ImageConfig,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
    created: Option<String>,
    rootfs: Option<RawRootFs>,
    #[serde(default, deserialize_with = "null_as_default")]
    config: RawProcess,
}

#[derive(Deserialize)]
struct RawRootFs {
    #[serde(default, deserialize_with = "null_as_default")]
    diff_ids: Vec<DiffId>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawProcess {
    #[serde(default, deserialize_with = "null_as_default")]
    user: String,
    #[serde(default, deserialize_with = "null_as_default")]
    exposed_ports: BTreeMap<String, Box<RawValue>>,
    #[serde(default, deserialize_with = "null_as_default")]
    env: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    cmd: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    working_dir: String,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_as_default")]
    stop_signal: String,
}

/// Reads the configuration of a manifest with `layer_count` layers. Whether the platform is this machine's is
/// left to the caller, who can say what else there is.
pub(crate) fn read_config(bytes: &[u8], layer_count: usize) -> Result<Configuration, Cause> {
    let raw: Raw = json::parse(bytes).map_err(Cause::ConfigInvalid)?;
    if raw.architecture.is_empty() || raw.os.is_empty() {
        return Err(invalid("it names no operating system or architecture"));
    }
    let diff_ids = raw.rootfs.map(|rootfs| rootfs.diff_ids).unwrap_or_default();
    if diff_ids.len() != layer_count {
        return Err(invalid(&format!("it lists {} layers, the manifest {layer_count}", diff_ids.len())));
    }
    let platform = Platform {
        os: clean(&raw.os),
        architecture: clean(&raw.architecture),
        variant: raw.variant.as_deref().map(clean).filter(|variant| !variant.is_empty()),
    };
    let created = raw.created.filter(|text| jiff::Timestamp::from_str(text).is_ok());
    Ok(Configuration { platform, diff_ids, image: raw.config.check(created)? })
}

impl RawProcess {
    fn check(self, created: Option<String>) -> Result<ImageConfig, Cause> {
        check_strings("environment", &self.env)?;
        check_strings("entry point", &self.entrypoint)?;
        check_strings("command", &self.cmd)?;
        if self.entrypoint.iter().chain(&self.cmd).any(|argument| argument.contains('\0')) {
            return Err(invalid("an argument of its command holds a NUL character"));
        }
        if self.user.len() > 256 || self.user.chars().any(char::is_control) {
            return Err(invalid("its user is no user name"));
        }
        Ok(ImageConfig {
            env: environment(self.env),
            entrypoint: self.entrypoint,
            cmd: self.cmd,
            user: self.user,
            working_dir: working_dir(&self.working_dir)?,
            exposed_ports: ports(self.exposed_ports.keys()),
            stop_signal: signal::parse(&self.stop_signal),
            labels: labels(self.labels),
            created,
        })
    }
}

fn check_strings(what: &str, strings: &[String]) -> Result<(), Cause> {
    if strings.len() > MAX_ENTRIES {
        return Err(invalid(&format!(
            "its {what} has {} entries; the limit is {MAX_ENTRIES}",
            strings.len()
        )));
    }
    if strings.iter().any(|string| string.len() >= MAX_STRING) {
        return Err(invalid(&format!("an entry of its {what} is longer than the limit, {MAX_STRING} bytes")));
    }
    let total: usize = strings.iter().map(|string| string.len() + 1).sum();
    if total > MAX_STRINGS {
        return Err(invalid(&format!("its {what} has {total} bytes; the limit is {MAX_STRINGS}")));
    }
    Ok(())
}

/// `NAME=value` pairs. What has no name, or holds what no variable can, is left out, as Docker does. A name
/// that comes again replaces the first.
fn environment(entries: Vec<String>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for entry in entries {
        let Some((name, value)) = entry.split_once('=') else { continue };
        let is_valid = !name.is_empty() && !name.chars().any(char::is_control) && !value.contains('\0');
        if !is_valid {
            continue;
        }
        match places.get(name) {
            Some(place) => value.clone_into(&mut variables[*place].1),
            None => {
                places.insert(name.to_owned(), variables.len());
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    variables
}

/// An absolute path without `.` and `..`. Folders of the kernel are no place to work in: a handle there can
/// lead out of the container.
fn working_dir(text: &str) -> Result<String, Cause> {
    if text.is_empty() {
        return Ok("/".to_owned());
    }
    if !text.starts_with('/') || text.len() > 4096 || text.chars().any(char::is_control) {
        return Err(invalid("its working directory is no absolute path"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if matches!(parts.first(), Some(&("proc" | "sys"))) {
        return Err(invalid("its working directory is a folder of the kernel"));
    }
    Ok(format!("/{}", parts.join("/")))
}

/// `80`, `80/tcp`, `53/udp`; what is no port is left out.
fn ports<'a>(declared: impl Iterator<Item = &'a String>) -> Vec<ExposedPort> {
    let mut ports: Vec<ExposedPort> = declared
        .filter_map(|text| {
            let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let port = number.parse().ok().filter(|port| *port != 0)?;
            let is_known = matches!(protocol, "tcp" | "udp" | "sctp");
            is_known.then(|| ExposedPort { port, protocol: protocol.to_owned() })
        })
        .take(MAX_ENTRIES)
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Labels are for people; from too many the first ones are kept.
fn labels(labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut total = 0;
    labels
        .into_iter()
        .take_while(|(name, value)| {
            total += name.len() + value.len();
            total <= MAX_LABELS
        })
        .collect()
}

fn invalid(reason: &str) -> Cause {
    Cause::ConfigInvalid(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(config: &str) -> Result<ImageConfig, String> {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09Z",
                "rootfs":{{"type":"layers","diff_ids":["{DIFF}"]}},"config":{config}}}"#
        );
        read_config(text.as_bytes(), 1).map(|read| read.image).map_err(|error| error.to_string())
    }

    #[test]
    fn a_configuration_says_what_to_start() {
        let config = read(
            r#"{"User":"app:grp","Env":["PATH=/bin","A=1","=x","NOEQ","","B\n=1","N=a\u0000b","A=2=3"],
                "Entrypoint":["/e"],"Cmd":null,"WorkingDir":"/a/./b/../c/",
                "ExposedPorts":{"8080/tcp":{},"80":{},"53/udp":{},"99999/tcp":{},"text":{},"0/tcp":{}},
                "StopSignal":"SIGQUIT","Labels":{"a":"b"}}"#,
        )
        .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(config.env, [pair("PATH", "/bin"), pair("A", "2=3")]);
        assert_eq!(config.entrypoint, ["/e"]);
        assert_eq!(config.cmd, Vec::<String>::new());
        assert_eq!(config.working_dir, "/a/c");
        let ports: Vec<(u16, &str)> = config.exposed_ports.iter().map(|p| (p.port, &*p.protocol)).collect();
        assert_eq!(ports, [(53, "udp"), (80, "tcp"), (8080, "tcp")]);
        assert_eq!(config.stop_signal, Some(3));
        assert_eq!(config.created.as_deref(), Some("2024-05-06T07:08:09Z"));
        assert_eq!(read("null").unwrap().working_dir, "/");
        assert_eq!(read(r#"{"StopSignal":"; id"}"#).unwrap().stop_signal, None);
    }

    #[test]
    fn limits_and_nonsense_are_refused_by_name() {
        let many = serde_json::to_string(&vec!["A=1"; 100_000]).unwrap();
        let long = serde_json::to_string(&[format!("A={}", "x".repeat(2 << 20))]).unwrap();
        for (config, with) in [
            (format!(r#"{{"Env":{many}}}"#), "limit is 10000"),
            (format!(r#"{{"Env":{long}}}"#), "131072"),
            (r#"{"WorkingDir":"relative"}"#.to_owned(), "absolute"),
            (r#"{"WorkingDir":"/proc/self/fd/7"}"#.to_owned(), "kernel"),
            (r#"{"WorkingDir":"/a/../proc/1/cwd"}"#.to_owned(), "kernel"),
            (r#"{"Cmd":["a\u0000b"]}"#.to_owned(), "NUL"),
            (r#"{"User":"a\nb"}"#.to_owned(), "user"),
            (r#"{"Env":"A=1"}"#.to_owned(), "sequence"),
        ] {
            let error = read(&config).expect_err(with);
            assert!(error.contains(with), "{error}");
        }
        let big = format!(r#"{{"Labels":{{"a":"b","big":"{}"}}}}"#, "x".repeat(10 << 20));
        assert_eq!(read(&big).unwrap().labels.len(), 1);
    }

    #[test]
    fn the_platform_and_the_layers_must_be_told() {
        for (text, with) in [
            (r#"{"os":"linux","rootfs":{"diff_ids":[]}}"#.to_owned(), "architecture"),
            (
                format!(
                    r#"{{"os":"linux","architecture":"amd64","rootfs":{{"diff_ids":["{DIFF}","{DIFF}"]}}}}"#
                ),
                "2 layers",
            ),
            (r#"{"os":"linux","architecture":"amd64"}"#.to_owned(), "0 layers"),
            ("{}".to_owned(), "operating system"),
            (r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["x"]}}"#.to_owned(), "sha256"),
        ] {
            let error = read_config(text.as_bytes(), 1).expect_err(with).to_string();
            assert!(error.contains(with), "{error}");
        }
        for created in ["0000", "9999-99-99", "yesterday"] {
            let text = format!(
                r#"{{"os":"linux","architecture":"amd64","created":"{created}","rootfs":{{"diff_ids":["{DIFF}"]}}}}"#
            );
            assert_eq!(read_config(text.as_bytes(), 1).unwrap().image.created, None);
        }
    }
}
