//! What containers may reach, as one nftables table of our own. It is static: containers are told apart by the
//! names of their interfaces, so it is loaded once and needs no care when containers come and go.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::network::interface_prefix;
use super::subnet::{SUBNET_PREFIX, Subnet};
use crate::EngineError;
use crate::error::Doing;

/// `nft` answers in milliseconds; a longer wait means that something is broken.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn table(instance: &str) -> String {
    format!("darsena_{instance}")
}

/// Puts our table in place, or back in place; atomic, and no other table is touched.
pub(super) async fn load(nft: &Path, instance: &str, subnet: Subnet) -> Result<(), EngineError> {
    run(nft, &ruleset(instance, subnet)).await
}

/// Removes our table; an absent one is fine.
pub(super) async fn unload(nft: &Path, instance: &str) -> Result<(), EngineError> {
    let table = table(instance);
    run(nft, &format!("table inet {table}\ndelete table inet {table}\n")).await
}

/// Whether the kernel can be asked at all; changes nothing.
pub(super) async fn check(nft: &Path) -> Result<(), EngineError> {
    run(nft, "list tables\n").await
}

/// The rules (nft(8)). Declaring the table first makes the deletion valid when there was none.
///
/// A verdict `accept` ends only this table's say: the administrator's own tables still count. Replies are let
/// through, so the host, and the ingress on it, can connect to containers. The link-local range holds cloud
/// metadata services. Our interfaces are `dar*` for every installation on the machine, so containers of
/// another one are out of reach too.
fn ruleset(instance: &str, subnet: Subnet) -> String {
    let table = table(instance);
    let ours = interface_prefix(instance);
    let first = subnet.first;
    format!(
        r#"table inet {table}
delete table inet {table}
table inet {table} {{
    chain forward {{
        type filter hook forward priority filter - 5; policy accept;
        iifname "{ours}*" jump leaving
        oifname "{ours}*" jump entering
    }}
    chain leaving {{
        meta nfproto ipv6 drop
        ct state invalid drop
        ct state established,related accept
        oifname "dar*" drop
        ip daddr {{ 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 }} drop
        ip saddr != {first}/{SUBNET_PREFIX} drop
    }}
    chain entering {{
        ct state established,related accept
        drop
    }}
    chain input {{
        type filter hook input priority filter - 5; policy accept;
        iifname != "{ours}*" return
        meta nfproto ipv6 drop
        ct state established,related accept
        drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {first}/{SUBNET_PREFIX} oifname != "{ours}*" masquerade
    }}
}}
"#
    )
}

async fn run(nft: &Path, rules: &str) -> Result<(), EngineError> {
    let doing = || "setting up the firewall with nft".to_owned();
    let mut child = Command::new(nft)
        .args(["-f", "-"])
        .env_clear()
        .current_dir("/")
        // A Ctrl-C at the terminal is for the control plane alone.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .doing(doing)?;
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(rules.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(PATIENCE, work).await {
        Ok(output) => output.doing(doing)?,
        Err(_) => return Err(EngineError::host(doing(), "it did not end in time")),
    };
    match output.status.success() {
        true => Ok(()),
        false => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(EngineError::host(doing(), words.lines().next().unwrap_or("it failed without a word")))
        }
    }
}

/// The program, where the system keeps such programs.
pub(super) fn find_nft() -> Option<PathBuf> {
    super::host::find_program("nft")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_table_is_named() {
        let rules = ruleset("0123abcd", Subnet { first: [10, 224, 16, 0].into() });
        let tables = rules.lines().filter(|line| line.contains("table ") && line.contains("inet"));
        assert!(tables.into_iter().all(|line| line.contains("darsena_0123abcd")));
        assert!(rules.starts_with("table inet darsena_0123abcd\ndelete table inet darsena_0123abcd\n"));
        assert!(rules.contains("iifname \"dar0123abcd*\""));
        assert!(rules.contains("ip saddr 10.224.16.0/20 oifname != \"dar0123abcd*\" masquerade"));
    }
}
