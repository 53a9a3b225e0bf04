//! Git credentials: what a request makes of one, and how one is shown.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use model::git::{GitCredential, GitLogin, GitUrl};
use model::{AppId, CompanyId, GitCredentialId, Timestamp};
use sha2::{Digest, Sha256};
use wire::{CreateGitCredential, GitCredentialKind, HostKey, Secret, UpdateGitCredential};

use crate::check;
use crate::error::ApiError;
use crate::rules::credential::{check_username, usable_secret};

/// A host name of 253 characters, a colon and a port.
const LONGEST_HOST: usize = 259;
const LONGEST_COMMENT: usize = 64;

/// What a new credential lacks before it can be stored.
pub enum New {
    /// Nothing: the record and its token.
    Token(GitCredential, Secret),
    /// A key pair, and the keys of the server.
    DeployKey { name: String, host: String },
}

/// A new credential.
pub fn new(company: CompanyId, input: CreateGitCredential) -> Result<New, ApiError> {
    check::name("name", &input.name, 1, 255)?;
    let host = host(input.kind, &input.host)?;
    match input.kind {
        GitCredentialKind::Token => {
            let username =
                input.username.ok_or_else(|| ApiError::invalid("username", "a token needs one"))?;
            check_username(&username)?;
            let secret = input.secret.ok_or_else(|| ApiError::invalid("secret", "the token is needed"))?;
            let login = GitLogin::Token { username };
            Ok(New::Token(record(company, input.name, host, login), usable_token(secret)?))
        }
        GitCredentialKind::DeployKey => {
            refuse_login_of_key(input.username.is_some(), input.secret.is_some())?;
            Ok(New::DeployKey { name: input.name, host })
        }
    }
}

/// A record that was made this moment.
pub fn record(company: CompanyId, name: String, host: String, login: GitLogin) -> GitCredential {
    let now = Timestamp::now();
    let id = GitCredentialId::new();
    GitCredential { id, company, name, host, login, last_used_at: None, created_at: now, updated_at: now }
}

/// The credential with a change made, and the new token when there is one. What is sent again as it was is no change.
pub fn changed(
    known: &GitCredential,
    input: UpdateGitCredential,
) -> Result<(GitCredential, Option<Secret>), ApiError> {
    let mut credential = known.clone();
    if let Some(name) = input.name {
        check::name("name", &name, 1, 255)?;
        credential.name = name;
    }
    let mut secret = None;
    match &mut credential.login {
        GitLogin::Token { username } => {
            secret = input.secret.map(usable_token).transpose()?;
            if let Some(other) = input.username.filter(|other| other != username) {
                check_username(&other)?;
                *username = other;
                if secret.is_none() {
                    let problem = "it has to be given again when the username changes";
                    return Err(ApiError::invalid("secret", problem));
                }
            }
        }
        GitLogin::DeployKey { .. } => refuse_login_of_key(input.username.is_some(), input.secret.is_some())?,
    }
    credential.updated_at = Timestamp::now();
    Ok((credential, secret))
}

fn refuse_login_of_key(has_username: bool, has_secret: bool) -> Result<(), ApiError> {
    let field = match (has_username, has_secret) {
        (false, false) => return Ok(()),
        (true, _) => "username",
        (false, true) => "secret",
    };
    Err(ApiError::invalid(
        field,
        "a deploy key has none; the server makes the key pair and keeps its private half",
    ))
}

/// The host as the address of a repository names it, so that both are compared as they are.
fn host(kind: GitCredentialKind, text: &str) -> Result<String, ApiError> {
    check::length("host", text, 1, LONGEST_HOST)?;
    let wrong = |problem: String| ApiError::invalid("host", problem);
    if text.contains(['/', '@']) {
        return Err(wrong("it is the host alone, as in git.example.com or git.example.com:3000".to_owned()));
    }
    let scheme = match kind {
        GitCredentialKind::Token => "https",
        GitCredentialKind::DeployKey => "ssh",
    };
    let url = GitUrl::parse(&format!("{scheme}://{text}/of/repository"))
        .map_err(|error| wrong(error.to_string()))?;
    Ok(url.host().to_owned())
}

/// A token travels as one line.
fn usable_token(secret: Secret) -> Result<Secret, ApiError> {
    let secret = usable_secret(secret)?;
    match secret.expose().contains(char::is_control) {
        true => Err(ApiError::invalid("secret", "a token is one line without control characters")),
        false => Ok(secret),
    }
}

/// What a key is called in the lists of a Git server.
pub fn key_comment(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let word: String = name.chars().take(LONGEST_COMMENT).map(fit).collect();
    let word = word.trim_matches('-');
    if word.is_empty() { "darsena".to_owned() } else { format!("darsena-{word}") }
}

/// The record with what its users may see.
pub fn show(credential: &GitCredential, users: &[AppId]) -> wire::GitCredential {
    let mut shown = show_name(credential);
    match &credential.login {
        GitLogin::Token { username } => shown.username = Some(username.clone()),
        GitLogin::DeployKey { public_key, host_keys } => {
            shown.public_key = Some(public_key.clone());
            shown.host_keys = host_keys.iter().map(|key| show_host_key(key)).collect();
        }
    }
    shown.last_used_at = credential.last_used_at.map(|at| at.to_string());
    shown.used_by = users.iter().map(ToString::to_string).collect();
    shown
}

/// The record for someone who may see names only.
pub fn show_name(credential: &GitCredential) -> wire::GitCredential {
    let kind = match credential.login {
        GitLogin::Token { .. } => GitCredentialKind::Token,
        GitLogin::DeployKey { .. } => GitCredentialKind::DeployKey,
    };
    wire::GitCredential {
        id: credential.id.to_string(),
        company_id: credential.company.to_string(),
        name: credential.name.clone(),
        kind,
        host: credential.host.clone(),
        username: None,
        public_key: None,
        host_keys: Vec::new(),
        last_used_at: None,
        used_by: Vec::new(),
        created_at: credential.created_at.to_string(),
        updated_at: credential.updated_at.to_string(),
    }
}

fn show_host_key(key: &str) -> HostKey {
    HostKey { key: key.to_owned(), fingerprint: fingerprint(key) }
}

/// The form in which people compare keys (ssh-keygen(1), option `-l`): the sha256 of the key's bytes. Of what is no key
/// it is empty.
fn fingerprint(key: &str) -> String {
    let blob = key.split_whitespace().nth(1).and_then(|text| STANDARD.decode(text).ok());
    blob.map(|blob| format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_that_of_ssh_keygen() {
        // GitHub's own, as its documentation prints both.
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        assert_eq!(fingerprint(key), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
        assert_eq!(fingerprint("ssh-ed25519"), "");
        assert_eq!(fingerprint("ssh-ed25519 !!"), "");
    }

    #[test]
    fn a_host_is_what_an_address_has() {
        use GitCredentialKind::{DeployKey, Token};
        for (kind, text, expected) in [
            (Token, "GitHub.com", "github.com"),
            (Token, "git.example.com:443", "git.example.com"),
            (Token, "git.example.com:3000", "git.example.com:3000"),
            (DeployKey, "git.example.com:22", "git.example.com"),
            (DeployKey, "[::1]:2222", "[::1]:2222"),
        ] {
            assert_eq!(host(kind, text).unwrap(), expected, "{text}");
        }
        for bad in
            ["", "https://github.com", "github.com/acme", "git@github.com", "-oProxyCommand=id", "a b", "a:0"]
        {
            assert!(host(Token, bad).is_err() && host(DeployKey, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_has_a_comment_of_one_word() {
        for (name, expected) in [
            ("Team web", "darsena-Team-web"),
            ("☕", "darsena"),
            ("a\"; rm", "darsena-a---rm"),
            ("-x-", "darsena-x"),
        ] {
            assert_eq!(key_comment(name), expected);
        }
    }

    #[test]
    fn a_token_is_one_line() {
        assert_eq!(usable_token(Secret::from("abc\n")).unwrap().expose(), "abc");
        for bad in ["a\nb", "a\rb", "a\0b", "", "********"] {
            assert!(usable_token(Secret::from(bad)).is_err(), "{bad:?}");
        }
    }
}
