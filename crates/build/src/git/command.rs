//! How git is run: with nothing of the machine's settings, and nothing that a repository or server could turn to
//! something else (git-config(1)).

use std::ffi::OsString;
use std::path::Path;

use model::git::Scheme;

pub(super) const GIT: &str = "/usr/bin/git";

/// Old mistakes in commits and trees that harm nobody and stand in many repositories (git-fsck(1), "FSCK MESSAGES").
const HARMLESS: [&str; 8] = [
    "badDate",
    "badEmail",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "zeroPaddedFilemode",
];

/// Settings that stand whatever is asked.
const SETTINGS: [&str; 37] = [
    "advice.detachedHead=false",
    "color.ui=false",
    "core.askPass=",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.bigFileThreshold=16m",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.logAllRefUpdates=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.sparseCheckout=false",
    "core.symlinks=true",
    // Nothing asks for a login but our own program.
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    // What comes stays one file, which the kernel holds to its largest size.
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.followRedirects=false",
    // A server that falls silent is given up after a minute.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "http.proxy=",
    "http.saveCookies=false",
    "http.sslVerify=true",
    "i18n.logOutputEncoding=UTF-8",
    "index.threads=1",
    "init.defaultBranch=main",
    "log.showSignature=false",
    "maintenance.auto=false",
    "pack.threads=1",
    "protocol.allow=never",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
    "transfer.credentialsInUrl=die",
    "transfer.fsckObjects=true",
];

/// Options before git's subcommand.
pub(super) fn options(
    scheme: Option<Scheme>,
    resolve: Option<&str>,
    authorities: Option<&Path>,
) -> Vec<OsString> {
    let mut settings: Vec<OsString> = SETTINGS.iter().map(OsString::from).collect();
    settings.extend(HARMLESS.iter().map(|name| format!("fetch.fsck.{name}=ignore").into()));
    settings.extend(scheme.map(|scheme| format!("protocol.{}.allow=always", word(scheme)).into()));
    settings.extend(resolve.map(|resolve| format!("http.curloptResolve={resolve}").into()));
    settings.extend(authorities.map(|file| {
        let mut setting = OsString::from("http.sslCAInfo=");
        setting.push(file);
        setting
    }));
    settings.into_iter().flat_map(|setting| [OsString::from("-c"), setting]).collect()
}

/// All of git's environment. It holds no secret: programs that git starts inherit it.
pub(super) fn environment(
    scheme: Option<Scheme>,
    folder: &Path,
    askpass: &Path,
    ssh: &Path,
) -> Vec<(&'static str, OsString)> {
    vec![
        ("PATH", "/usr/bin:/bin".into()),
        ("HOME", folder.into()),
        ("LC_ALL", "C".into()),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
        ("GIT_ATTR_NOSYSTEM", "1".into()),
        ("GIT_TERMINAL_PROMPT", "0".into()),
        ("GIT_OPTIONAL_LOCKS", "0".into()),
        ("GIT_ALLOW_PROTOCOL", scheme.map_or("none", word).into()),
        ("GIT_ASKPASS", askpass.into()),
        ("GIT_SSH", ssh.into()),
        ("GIT_SSH_VARIANT", "ssh".into()),
    ]
}

pub(super) fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Ssh => "ssh",
    }
}
