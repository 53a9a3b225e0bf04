//! One remote for one call: its server's addresses, the folder with its login, and git that knows both.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::git::Scheme;
use model::{GitUrl, Revision};

use super::address::{Named, Server};
use super::closet::Shown;
use super::command::{self, GIT, word};
use super::error::Cause;
use super::helper::Role;
use super::listing::{Branches, Found, Listing, near, patterns};
use super::running::{Bounds, Deadline, Ended, Program, Watch};
use super::secrets::Folder;
use super::verdict::{self, Meaning, Talk};
use super::{Access, GitConfig, Remote, askpass, ssh};

/// How long a server may take to say what it has.
const QUESTION: Duration = Duration::from_secs(60);
/// Longest list of branches and tags, in bytes.
const MOST_LISTED: usize = 32 << 20;

/// What stays the same from call to call.
#[derive(Debug)]
pub(super) struct Shop {
    pub config: GitConfig,
    pub named: Named,
}

/// A remote that can be asked.
#[derive(Debug)]
pub(super) struct Call<'a> {
    shop: &'a Shop,
    remote: Remote,
    folder: Folder,
    askpass: PathBuf,
    ssh: PathBuf,
    /// Options before git's subcommand.
    options: Vec<OsString>,
    deadline: Deadline,
}

/// Why git failed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its own words.
    Words(String),
    Cause(Cause),
}

impl From<Cause> for Refusal {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

impl<'a> Call<'a> {
    /// Looks up the server and lays out the login. Nothing is sent yet.
    pub async fn open(shop: &'a Shop, remote: &Remote, deadline: Deadline) -> Result<Self, Cause> {
        check_access(remote)?;
        let server = Server::of(&remote.url, &shop.named).await?;
        let folder = Folder::make(&shop.config.scratch)?;
        let askpass = folder.link(Role::Askpass, &shop.config.program)?;
        let ssh = folder.link(Role::Ssh, &shop.config.program)?;
        match &remote.access {
            Access::Anonymous => {}
            Access::Token { username, token } => {
                let place = format!("{}://{}", word(remote.url.scheme()), remote.url.host());
                askpass::leave(&folder, &place, username, token)?;
            }
            Access::Key { private_key, host_keys } => ssh::leave(&folder, &server, private_key, host_keys)?,
        }
        let resolve = server.curlopt_resolve().filter(|_| remote.url.scheme() != Scheme::Ssh);
        let authorities = shop.config.authorities.as_deref();
        let options = command::options(Some(remote.url.scheme()), resolve.as_deref(), authorities);
        Ok(Self { shop, remote: remote.clone(), folder, askpass, ssh, options, deadline })
    }

    /// As [`Call::open`], and asks for a revision. A server that knows the repository under another address of its own
    /// is followed there, once.
    pub async fn find(
        shop: &'a Shop,
        remote: &Remote,
        revision: &Revision,
        deadline: Deadline,
    ) -> Result<(Self, Found), Cause> {
        revision.check()?;
        let call = Self::open(shop, remote, deadline).await?;
        let moved = match call.found(revision).await {
            Err(Cause::Moved { to: Some(to), .. }) if call.is_own_address(&to) => to,
            found => return found.map(|found| (call, found)),
        };
        let url = GitUrl::parse(&moved)?;
        let remote = Remote { url, access: remote.access.clone() };
        let call = Self::open(shop, &remote, deadline).await?;
        let found = call.found(revision).await?;
        Ok((call, found))
    }

    async fn found(&self, revision: &Revision) -> Result<Found, Cause> {
        match (self.list(&patterns(revision)).await?.find(revision), revision) {
            (Err(Cause::RevisionNotFound { what, .. }), Revision::Named(name)) => {
                let names = self.branches().await.map(|branches| branches.names).unwrap_or_default();
                Err(Cause::RevisionNotFound { what, near: near(name, &names) })
            }
            (found, _) => found,
        }
    }

    pub async fn branches(&self) -> Result<Branches, Cause> {
        Ok(self.list(&["HEAD".to_owned(), "refs/heads/*".to_owned()]).await?.branches())
    }

    /// Asks the server what it has.
    async fn list(&self, patterns: &[String]) -> Result<Listing, Cause> {
        let mut arguments: Vec<OsString> = ["ls-remote", "--quiet", "--symref", "--"].map(Into::into).into();
        arguments.push(self.remote.url.to_string().into());
        arguments.extend(patterns.iter().map(Into::into));
        let deadline = self.deadline.or_after(QUESTION);
        let (ended, printed) =
            self.program(arguments, &[]).output(self.bounds(deadline, None), MOST_LISTED).await?;
        if ended.code == 0 {
            return Ok(Listing::read(&String::from_utf8_lossy(&printed)));
        }
        match self.cause(&ended.words) {
            Cause::Moved { server, .. } => Err(Cause::Moved { server, to: self.new_address().await }),
            cause => Err(cause),
        }
    }

    /// Where a server sends whoever asks. It is asked again, as nobody, with what it answers in view.
    async fn new_address(&self) -> Option<String> {
        let mut arguments: Vec<OsString> = ["ls-remote", "--quiet", "--"].map(Into::into).into();
        arguments.push(self.remote.url.to_string().into());
        let mut program =
            self.program(arguments, &[("GIT_TRACE_CURL", "1"), ("GIT_TRACE_CURL_NO_DATA", "1")]);
        program.environment.retain(|(name, _)| *name != "GIT_ASKPASS");
        let deadline = self.deadline.or_after(QUESTION);
        let (ended, _) = program.output(self.bounds(deadline, None), MOST_LISTED).await.ok()?;
        location(&ended.words, &self.remote.url)
    }

    /// Whether an address is on the very server, with the same scheme: the login may go there.
    fn is_own_address(&self, address: &str) -> bool {
        let own = &self.remote.url;
        GitUrl::parse(address)
            .is_ok_and(|url| url.scheme() == own.scheme() && url.host() == own.host() && url != *own)
    }

    /// Runs git in a folder with the login at hand, and gives what it printed.
    pub async fn git<const N: usize>(
        &self,
        folder: &Path,
        arguments: [&str; N],
        watch: Option<Watch>,
    ) -> Result<Vec<u8>, Refusal> {
        let arguments = inside(folder).into_iter().chain(arguments.iter().map(Into::into)).collect();
        let bounds = self.bounds_in(folder, watch);
        let (ended, printed) = self.program(arguments, &[]).output(bounds, MOST_LISTED).await?;
        done(ended).map(|()| printed)
    }

    /// As [`Call::git`], and hands over what it prints as it comes.
    pub async fn git_with<const N: usize>(
        &self,
        folder: &Path,
        arguments: [&str; N],
        take: impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Refusal> {
        let arguments = inside(folder).into_iter().chain(arguments.iter().map(Into::into)).collect();
        done(self.program(arguments, &[]).run(self.bounds_in(folder, None), take).await?)
    }

    /// The error that a refusal is.
    pub fn explain(&self, refusal: Refusal) -> Cause {
        match refusal {
            Refusal::Words(words) => self.cause(&words),
            Refusal::Cause(cause) => cause,
        }
    }

    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    pub fn named(&self) -> &Named {
        &self.shop.named
    }

    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub fn config(&self) -> &GitConfig {
        &self.shop.config
    }

    fn program(&self, arguments: Vec<OsString>, more: &[(&'static str, &str)]) -> Program {
        let scheme = Some(self.remote.url.scheme());
        let mut environment = command::environment(scheme, self.folder.path(), &self.askpass, &self.ssh);
        environment.extend(more.iter().map(|(name, value)| (*name, value.into())));
        Program {
            name: "git",
            path: GIT,
            arguments: self.options.iter().cloned().chain(arguments).collect(),
            environment,
            folder: self.folder.path().to_owned(),
        }
    }

    fn bounds(&self, deadline: Deadline, watch: Option<Watch>) -> Bounds<'_> {
        let config = &self.shop.config;
        let limits = &config.limits;
        let mut shown =
            vec![Shown::Write(self.folder.path().to_owned()), Shown::Read(config.program.clone())];
        shown.extend(config.authorities.clone().map(Shown::Read));
        Bounds { keeper: &config.program, file: limits.file, memory: limits.memory, shown, deadline, watch }
    }

    /// As [`Call::bounds`], for work in a folder.
    fn bounds_in(&self, folder: &Path, watch: Option<Watch>) -> Bounds<'_> {
        let mut bounds = self.bounds(self.deadline, watch);
        bounds.shown.push(Shown::Write(folder.to_owned()));
        bounds
    }

    fn cause(&self, words: &str) -> Cause {
        let url = &self.remote.url;
        let (username, secret) = match &self.remote.access {
            Access::Anonymous => (None, None),
            Access::Token { username, token } => (Some(username.as_str()), Some(token.expose())),
            Access::Key { private_key, .. } => (None, Some(private_key.expose())),
        };
        let talk = Talk {
            server: url.host(),
            path: url.path(),
            username,
            with_login: !matches!(self.remote.access, Access::Anonymous),
            is_ssh: url.scheme() == Scheme::Ssh,
            secret,
        };
        verdict::cause(words, talk)
    }
}

impl Refusal {
    /// Whether the server said that it does not give a commit by its id.
    pub fn is_no_such_commit(&self) -> bool {
        matches!(self, Self::Words(words) if verdict::meaning(words) == Meaning::NoSuchCommit)
    }

    pub fn is_no_such_ref(&self) -> bool {
        matches!(self, Self::Words(words) if verdict::meaning(words) == Meaning::NoSuchRef)
    }
}

fn done(ended: Ended) -> Result<(), Refusal> {
    match ended.code {
        0 => Ok(()),
        _ => Err(Refusal::Words(ended.words)),
    }
}

/// Refuses a login that is not for the scheme of the address.
fn check_access(remote: &Remote) -> Result<(), Cause> {
    match (&remote.access, remote.url.scheme()) {
        (Access::Anonymous, Scheme::Https | Scheme::Http)
        | (Access::Token { .. }, Scheme::Https)
        | (Access::Key { .. }, Scheme::Ssh) => Ok(()),
        (Access::Anonymous, Scheme::Ssh) => Err(Cause::KeyWanted { server: remote.url.host().to_owned() }),
        (Access::Token { .. }, scheme) => Err(Cause::Mismatch { what: "token", scheme: word(scheme) }),
        (Access::Key { .. }, scheme) => Err(Cause::Mismatch { what: "deploy key", scheme: word(scheme) }),
    }
}

/// The repository that the header `Location` names, in what `GIT_TRACE_CURL` shows of an answer to a question for
/// `REPOSITORY/info/refs?service=git-upload-pack`.
fn location(trace: &str, asked: &GitUrl) -> Option<String> {
    let header = |line: &str| {
        let (_, header) = line.split_once("Recv header: ")?;
        let (name, value) = header.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    };
    let value = trace.lines().find_map(header)?;
    let whole = match value.strip_prefix('/') {
        Some(path) => format!("{}://{}/{path}", word(asked.scheme()), asked.host()),
        None => value,
    };
    let address = whole.split(['?', '#']).next().unwrap_or_default();
    let address = address.strip_suffix("/info/refs").unwrap_or(address);
    Some(GitUrl::parse(address).ok()?.to_string())
}

/// Options that name the repository of a folder.
fn inside(folder: &Path) -> [OsString; 2] {
    let option = |name: &str, value: &Path| {
        let mut option = OsString::from(name);
        option.push(value);
        option
    };
    [option("--git-dir=", &folder.join(".git")), option("--work-tree=", folder)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_told_as_the_address_of_a_repository() {
        let asked = GitUrl::parse("https://git.example.com/acme/shop").unwrap();
        let trace = |value: &str| {
            format!(
                "12:00:00.1 http.c:670 => Send header: GET /acme/shop/info/refs?service=git-upload-pack HTTP/1.1\n\
                 12:00:00.2 http.c:670 <= Recv header: HTTP/1.1 301 Moved Permanently\n\
                 12:00:00.2 http.c:670 <= Recv header: location: {value}\n"
            )
        };
        for (value, address) in [
            (
                "https://git.example.com/acme/shop.git/info/refs?service=git-upload-pack",
                Some("https://git.example.com/acme/shop.git"),
            ),
            (
                "/acme/shop.git/info/refs?service=git-upload-pack",
                Some("https://git.example.com/acme/shop.git"),
            ),
            ("http://evil.example.com/x/info/refs", Some("http://evil.example.com/x")),
            ("ext::id", None),
            ("file:///etc/passwd", None),
            ("https://user:pw@evil.example.com/x", None),
        ] {
            assert_eq!(location(&trace(value), &asked).as_deref(), address, "{value}");
        }
        assert_eq!(location("fatal: no answer", &asked), None);
    }
}
