//! Which server, and the key for it: from the environment, else from the file that `darsena setup` wrote.
//!
//! - `DARSENA_URL`, `DARSENA_TOKEN`. There is no flag for the key: other users would see it in `ps`.
//! - `DARSENA_PLAIN_HTTP=1`: plain http to other machines too, for a network that is private.
//! - `$XDG_CONFIG_HOME/darsena/cli.json` or `~/.config/darsena/cli.json`, 0600.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use client::{Client, PlainHttp, Server};
use serde::{Deserialize, Serialize};
use wire::Secret;

use crate::failure::Failure;

/// A server and a key that it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub url: String,
    pub token: Secret,
}

/// The client that every command but `setup` uses.
pub fn client() -> Result<Client, Failure> {
    find()?.ok_or_else(|| {
        Failure::new("not signed in to any server")
            .hint("run `darsena setup` once, or set DARSENA_URL and DARSENA_TOKEN")
    })
}

/// The client, or `None` when neither environment nor file name a server.
pub fn find() -> Result<Option<Client>, Failure> {
    let saved = load()?;
    let Some(login) = choose(variable("DARSENA_URL"), variable("DARSENA_TOKEN"), saved)? else {
        return Ok(None);
    };
    Ok(Some(Client::new(server(&login.url)?, Some(&login.token))?))
}

/// Reads a server's address, minding `DARSENA_PLAIN_HTTP`.
pub fn server(url: &str) -> Result<Server, Failure> {
    let plain_http = match variable("DARSENA_PLAIN_HTTP").as_deref() {
        Some("1") => PlainHttp::Anywhere,
        _ => PlainHttp::LoopbackOnly,
    };
    Ok(Server::parse(url, plain_http)?)
}

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The environment comes first. The saved key goes to the server that it was saved for and to no other.
fn choose(
    url: Option<String>,
    token: Option<String>,
    saved: Option<Login>,
) -> Result<Option<Login>, Failure> {
    let same = |url: &str, saved: &Login| url.trim_end_matches('/') == saved.url.trim_end_matches('/');
    match (url, token, saved) {
        (Some(url), Some(token), _) => Ok(Some(Login { url, token: token.into() })),
        (None, None, saved) => Ok(saved),
        (None, Some(token), Some(saved)) => Ok(Some(Login { url: saved.url, token: token.into() })),
        (Some(url), None, Some(saved)) if same(&url, &saved) => Ok(Some(saved)),
        (Some(url), None, _) => Err(Failure::new(format!("there is no key for {url}"))
            .hint("set DARSENA_TOKEN to one of its API keys")),
        (None, Some(_), None) => Err(Failure::new("DARSENA_TOKEN is set, but no server is named")
            .hint("set DARSENA_URL, for example to http://127.0.0.1:7300")),
    }
}

/// Keeps a login for later commands; gives the file's path.
pub fn save(login: &Login) -> Result<PathBuf, Failure> {
    let path = path()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    write(folder, &path, login)
        .map_err(|error| Failure::new(format!("the login cannot be saved in {}: {error}", path.display())))?;
    Ok(path)
}

fn write(folder: &Path, path: &Path, login: &Login) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Written beside and renamed: never half a file, and never readable by others, whatever was there before.
    let beside = folder.join(format!(".cli.json.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = serde_json::to_writer(&mut file, login)
        .map_err(std::io::Error::from)
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn load() -> Result<Option<Login>, Failure> {
    let Ok(path) = path() else { return Ok(None) };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Failure::new(format!("{} cannot be read: {error}", path.display()))),
    };
    if fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        return Err(Failure::new(format!("other users may read the key in {}", path.display()))
            .hint(format!("run `chmod 600 {}`; better, make a new key too", path.display())));
    }
    // serde's message could quote the file, and the file holds the key.
    serde_json::from_str(&text).map(Some).map_err(|_| {
        Failure::new(format!("{} is not what `darsena setup` writes", path.display()))
            .hint("remove it, and set DARSENA_URL and DARSENA_TOKEN")
    })
}

fn path() -> Result<PathBuf, Failure> {
    let folder = match variable("XDG_CONFIG_HOME").filter(|path| path.starts_with('/')) {
        Some(folder) => Some(PathBuf::from(folder)),
        None => home().map(|home| home.join(".config")),
    };
    folder.map(|folder| folder.join("darsena").join("cli.json")).ok_or_else(|| {
        Failure::new("this user has no home folder to keep a login in").hint("set XDG_CONFIG_HOME")
    })
}

fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from).or_else(|| {
        nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok().flatten().map(|user| user.dir)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(url: &str, token: &str) -> Login {
        Login { url: url.into(), token: token.into() }
    }

    #[test]
    fn the_environment_comes_first_and_a_saved_key_goes_to_its_own_server() {
        let saved = || Some(login("http://127.0.0.1:7300", "saved"));
        let url = |text: &str| Some(text.to_owned());
        assert_eq!(choose(None, None, None).unwrap(), None);
        assert_eq!(choose(None, None, saved()).unwrap(), saved());
        assert_eq!(choose(url("http://127.0.0.1:7300/"), None, saved()).unwrap(), saved());
        assert_eq!(choose(url("https://a"), url("t"), saved()).unwrap(), Some(login("https://a", "t")));
        assert_eq!(choose(None, url("t"), saved()).unwrap(), Some(login("http://127.0.0.1:7300", "t")));
        let other = choose(url("https://a"), None, saved()).unwrap_err();
        assert!(other.text().contains("there is no key for https://a"), "{}", other.text());
        assert!(choose(None, url("t"), None).unwrap_err().text().contains("DARSENA_URL"));
    }

    #[test]
    fn a_login_is_kept_for_its_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("darsena");
        let path = folder.join("cli.json");
        for token in ["first", "second"] {
            write(&folder, &path, &login("https://a", token)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let read: Login = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(read, login("https://a", token));
        }
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
