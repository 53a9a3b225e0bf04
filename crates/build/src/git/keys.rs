//! Deploy keys, and the keys of ssh servers.

use std::path::PathBuf;

use super::address::Server;
use super::call::Shop;
use super::clean::line;
use super::closet::Shown;
use super::error::Cause;
use super::running::{Bounds, Deadline, Ended, Program};
use super::secrets::Folder;
use crate::Secret;

/// How long either may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// Most that either prints, in bytes.
const MOST: usize = 256 * 1024;

/// A key pair for ssh.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// OpenSSH's own format.
    pub private_key: Secret,
    /// One line of `authorized_keys`: `ssh-ed25519 AAAA... comment`.
    pub public_key: String,
}

/// Makes a key pair (ssh-keygen(1)). Its comment is for people.
pub(super) async fn make(shop: &Shop, comment: &str) -> Result<KeyPair, Cause> {
    let folder = Folder::make(&shop.config.scratch)?;
    let key = folder.path().join("key");
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", &line(comment), "-f"]
        .map(Into::into)
        .into_iter()
        .chain([key.clone().into()]);
    let program = program("ssh-keygen", "/usr/bin/ssh-keygen", arguments.collect(), &folder);
    let (ended, _) = program.output(bounds(shop, &folder), MOST).await?;
    check(&ended, "ssh-keygen")?;
    let read =
        |path: PathBuf| std::fs::read_to_string(&path).map_err(|error| Cause::storage("read", path, error));
    let public_key = read(folder.path().join("key.pub"))?.trim_end().to_owned();
    Ok(KeyPair { private_key: Secret::new(read(key)?), public_key })
}

/// The keys that an ssh server shows (ssh-keyscan(1)), `ssh-ed25519 AAAA...`.
pub(super) async fn of_server(shop: &Shop, host: &str) -> Result<Vec<String>, Cause> {
    let server = Server::of_ssh(host, &shop.named).await?;
    let address = server.addresses.first().map(ToString::to_string).unwrap_or_default();
    let folder = Folder::make(&shop.config.scratch)?;
    let port = server.port.to_string();
    let arguments = ["-T", "15", "-p", &port, "-t", "ed25519,ecdsa,rsa", "--", &address];
    let program = program("ssh-keyscan", "/usr/bin/ssh-keyscan", arguments.map(Into::into).into(), &folder);
    let (ended, printed) = program.output(bounds(shop, &folder), MOST).await?;
    let keys = keys_of(&String::from_utf8_lossy(&printed));
    if keys.is_empty() {
        let reason = match line(&ended.words) {
            words if words.is_empty() => "it shows no host key, as an ssh server does".to_owned(),
            words => words,
        };
        return Err(Cause::Unreachable { server: host.to_owned(), reason });
    }
    Ok(keys)
}

/// The keys in lines `NAME TYPE KEY`, the strongest kind first.
fn keys_of(text: &str) -> Vec<String> {
    let kinds = ["ssh-ed25519", "ecdsa-sha2-nistp", "ssh-rsa"];
    let mut keys: Vec<(usize, String)> = Vec::new();
    for text in text.lines().filter(|text| !text.starts_with('#')) {
        let mut words = text.split_ascii_whitespace().skip(1);
        let (Some(kind), Some(key)) = (words.next(), words.next()) else { continue };
        let Some(rank) = kinds.iter().position(|known| kind.starts_with(known)) else { continue };
        keys.push((rank, format!("{kind} {key}")));
    }
    keys.sort();
    keys.dedup();
    keys.into_iter().map(|(_, key)| key).collect()
}

fn program(
    name: &'static str,
    path: &'static str,
    arguments: Vec<std::ffi::OsString>,
    folder: &Folder,
) -> Program {
    let environment =
        vec![("PATH", "/usr/bin:/bin".into()), ("HOME", folder.path().into()), ("LC_ALL", "C".into())];
    Program { name, path, arguments, environment, folder: folder.path().to_owned() }
}

fn bounds<'a>(shop: &'a Shop, folder: &Folder) -> Bounds<'a> {
    let config = &shop.config;
    let limits = &config.limits;
    let deadline = Deadline::after(PATIENCE);
    let shown = vec![Shown::Write(folder.path().to_owned())];
    Bounds { keeper: &config.program, file: limits.file, memory: limits.memory, shown, deadline, watch: None }
}

fn check(ended: &Ended, program: &'static str) -> Result<(), Cause> {
    match ended.code {
        0 => Ok(()),
        _ => Err(Cause::Failed { program, words: line(&ended.words) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_read_without_the_name_of_the_host() {
        let text = "# 127.0.0.1:22 SSH-2.0-OpenSSH_9.2\n[127.0.0.1]:22 ssh-rsa BBBB\n\
                    [127.0.0.1]:22 ssh-ed25519 AAAA\n[127.0.0.1]:22 ssh-ed25519 AAAA\n\
                    [127.0.0.1]:22 ssh-odd CCCC\nbroken\n";
        assert_eq!(keys_of(text), ["ssh-ed25519 AAAA", "ssh-rsa BBBB"]);
    }
}
