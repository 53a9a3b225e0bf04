//! ssh with the settings of one call and none of the machine's (ssh_config(5)).

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::address::Server;
use super::error::Cause;
use super::secrets::Folder;
use crate::Secret;

pub(super) const PROGRAM: &str = "/usr/bin/ssh";

const CONFIG: &str = "ssh_config";
/// The name that host keys are pinned under, whatever the address.
const PINNED: &str = "pinned";

/// Leaves settings, key and pinned host keys in the folder of a call.
pub(super) fn leave(
    folder: &Folder,
    server: &Server,
    private_key: &Secret,
    host_keys: &[String],
) -> Result<(), Cause> {
    let mut text = private_key.expose().to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let text = zeroize::Zeroizing::new(text);
    let key = folder.write("key", &text)?;
    let known: String = host_keys
        .iter()
        .filter(|key| !key.contains(['\n', '\r']))
        .map(|key| format!("{PINNED} {key}\n"))
        .collect();
    let known = folder.write("known_hosts", &known)?;
    folder.write(CONFIG, &config(server, &key, &known)).map(drop)
}

/// The role: becomes ssh.
#[expect(clippy::print_stderr, reason = "git shows what its ssh says")]
pub(super) fn run(folder: &Path, arguments: &[OsString]) -> ExitCode {
    let error = Command::new(PROGRAM).arg("-F").arg(folder.join(CONFIG)).args(arguments).exec();
    let _ = std::io::stderr().flush();
    eprintln!("cannot run {PROGRAM}: {error}");
    ExitCode::FAILURE
}

/// The first value of a setting counts in ssh, but what git gives as arguments would come before: it gives the port,
/// the account and the protocol's version.
fn config(server: &Server, key: &Path, known: &Path) -> String {
    let address = server.addresses.first().map(ToString::to_string).unwrap_or_default();
    let (key, known) = (key.display(), known.display());
    format!(
        "Host *\n\
         HostName {address}\n\
         HostKeyAlias {PINNED}\n\
         UserKnownHostsFile \"{known}\"\n\
         GlobalKnownHostsFile /dev/null\n\
         StrictHostKeyChecking yes\n\
         UpdateHostKeys no\n\
         VerifyHostKeyDNS no\n\
         CheckHostIP no\n\
         CanonicalizeHostname no\n\
         IdentityFile \"{key}\"\n\
         IdentitiesOnly yes\n\
         IdentityAgent none\n\
         AddKeysToAgent no\n\
         PreferredAuthentications publickey\n\
         BatchMode yes\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         ProxyCommand none\n\
         ProxyJump none\n\
         PermitLocalCommand no\n\
         ControlMaster no\n\
         ControlPath none\n\
         ForwardAgent no\n\
         ForwardX11 no\n\
         ClearAllForwardings yes\n\
         RequestTTY no\n\
         EscapeChar none\n\
         ConnectTimeout 20\n\
         ServerAliveInterval 15\n\
         ServerAliveCountMax 4\n\
         LogLevel ERROR\n"
    )
}
