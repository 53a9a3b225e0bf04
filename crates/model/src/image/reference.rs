//! Image references, parsed without network.
//!
//! The grammar is that of the distribution project (`reference/reference.go`, "Grammar"), with sha256 as the
//! only digest. Everything that is refused says which character or part is wrong and, where one can be
//! guessed, what to write instead.

use std::fmt;
use std::net::Ipv4Addr;

use super::{Digest, DigestError};

/// An image reference (`[host[:port]/]path[:tag][@digest]`), resolved as Docker users expect: `nginx` is
/// `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image reference, with what to write instead. No variant holds the text as it was given:
/// it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("an image reference cannot be empty; write for example nginx:latest or ghcr.io/owner/app:1.2")]
    Empty,
    #[error("an image reference has at most {MAX_LENGTH} characters; this one has {0}")]
    TooLong(usize),
    #[error("an image reference cannot hold {}", shown(*.0))]
    Character(char),
    #[error("an image reference has no scheme; write it without {scheme}://{}", or_rather(.instead))]
    Scheme { scheme: String, instead: Option<String> },
    #[error("an image reference holds no user name or password; leave out what stands before {host}")]
    UserInfo { host: String },
    #[error("an image reference is written in lower case; write {0}")]
    UpperCase(String),
    #[error("an image reference cannot begin with {}", shown(*.0))]
    Start(char),
    #[error("an image reference cannot hold an empty part, as in a//b, /a or a/")]
    EmptyPart,
    #[error("{part:?} cannot be a part of an image's name: {why}")]
    Part { part: String, why: &'static str },
    #[error("an image's name, host and path together, has at most {MAX_NAME} characters; this one has {0}")]
    NameTooLong(usize),
    #[error("the tag is missing after the colon; write for example :latest, or leave out the colon")]
    TagEmpty,
    #[error("a tag has at most {MAX_TAG} characters; this one has {0}")]
    TagTooLong(usize),
    #[error("the tag cannot begin with {}; a tag begins with a letter, a digit or _", shown(*.0))]
    TagStart(char),
    #[error("the tag cannot hold {}; it can hold letters, digits, _, . and -", shown(*.0))]
    TagCharacter(char),
    #[error("the digest is missing after the @; write @sha256:<64 hex digits>, or leave out the @")]
    DigestEmpty,
    #[error("an image reference has at most one digest")]
    TwoDigests,
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error("{0:?} is no port; a port is a number from 1 to 65535")]
    Port(String),
    #[error(
        "{0:?} is no host name; a registry is named by its DNS name, or by an IPv4 address such as 10.0.0.5"
    )]
    Host(String),
    #[error("registries at IPv6 addresses are not supported; use the registry's DNS name")]
    Ipv6,
}

const MAX_LENGTH: usize = 512;
/// Host, slash and path (distribution `reference.NameTotalLengthMax`).
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// Where short names live; it has several names of its own.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

impl Reference {
    /// Parses a reference. Blanks around it are left out; inside they are refused.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_LENGTH * 8 {
            return Err(ReferenceError::TooLong(text.len()));
        }
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        check_whole(text)?;

        let (named, digest) = split_digest(text)?;
        let (name, tag) = split_tag(named)?;
        let (host, path) = split_host(name);
        let host = host.map(parse_host).transpose()?;
        let (host, repository) = place(host, path);
        check_path(path, host.as_deref(), tag, digest.as_ref())?;
        let host = host.unwrap_or_else(|| DOCKER_HUB.to_owned());
        let length = host.len() + 1 + repository.len();
        if length > MAX_NAME {
            return Err(ReferenceError::NameTooLong(length));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { host, repository, tag, digest })
    }

    /// Canonical registry host, with `:port` when one was written: `docker.io`, `ghcr.io`, `127.0.0.1:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Path at the registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, when one was written; `None` beside a digest. Without both it is `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when one was written. It decides; a tag beside it is a label only.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether it names an image loaded on this machine (`localhost/NAME`), which no registry is asked for.
    pub fn is_local(&self) -> bool {
        self.host == "localhost"
    }
}

/// Written out in full: `docker.io/library/nginx:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// What can be said before the text is taken apart. The user name and password come first, so that no later
/// message shows them.
fn check_whole(text: &str) -> Result<(), ReferenceError> {
    let scheme = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
    let rest = scheme.map_or(text, |(_, rest)| rest);
    if let Some(host) = host_behind_user(rest) {
        return Err(ReferenceError::UserInfo { host });
    }
    if let Some((scheme, rest)) = scheme {
        return Err(ReferenceError::Scheme { scheme: scheme.to_owned(), instead: without_scheme(rest) });
    }
    if let Some(bad) = text.chars().find(|c| !is_allowed(*c)) {
        return Err(ReferenceError::Character(bad));
    }
    if text.starts_with('[') {
        return Err(ReferenceError::Ipv6);
    }
    if let Some(bad) = text.chars().find(|c| matches!(c, '[' | ']')) {
        return Err(ReferenceError::Character(bad));
    }
    let length = text.len();
    if length > MAX_LENGTH {
        return Err(ReferenceError::TooLong(length));
    }
    match text.chars().next() {
        Some(bad @ ('-' | '.' | '_' | ':' | '@')) => Err(ReferenceError::Start(bad)),
        _ => Ok(()),
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 16
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Every character that some part of a reference can hold. Brackets get a message of their own.
fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']')
}

/// The host in `user:password@host/…`. An `@` before a slash is never that of a digest.
fn host_behind_user(text: &str) -> Option<String> {
    let (_, behind) =
        text.split_once('/').map_or(("", ""), |(first, _)| first.rsplit_once('@').unwrap_or(("", "")));
    let behind: String = behind.chars().filter(|c| is_allowed(*c)).take(64).collect();
    (!behind.is_empty()).then_some(behind)
}

/// The reference that somebody who pasted an address most likely means, when it is one.
fn without_scheme(rest: &str) -> Option<String> {
    let rest = rest.trim_end_matches('/');
    let hub = rest.strip_prefix("hub.docker.com/");
    let guess = match hub {
        Some(page) => page.strip_prefix("r/").or_else(|| page.strip_prefix("_/")).unwrap_or(page).to_owned(),
        None => rest.to_owned(),
    };
    Reference::parse(&guess).is_ok().then_some(guess)
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), ReferenceError> {
    let Some((named, digest)) = text.split_once('@') else {
        return Ok((text, None));
    };
    if digest.is_empty() {
        return Err(ReferenceError::DigestEmpty);
    }
    if digest.contains('@') {
        return Err(ReferenceError::TwoDigests);
    }
    Ok((named, Some(Digest::parse(digest)?)))
}

/// A colon behind the last slash starts a tag; one before it belongs to a port.
fn split_tag(text: &str) -> Result<(&str, Option<&str>), ReferenceError> {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    let Some(colon) = text[last..].find(':').map(|colon| last + colon) else {
        return Ok((text, None));
    };
    let (name, tag) = (&text[..colon], &text[colon + 1..]);
    let Some(first) = tag.chars().next() else {
        return Err(ReferenceError::TagEmpty);
    };
    if matches!(first, '.' | '-') {
        return Err(ReferenceError::TagStart(first));
    }
    if let Some(bad) = tag.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))) {
        return Err(ReferenceError::TagCharacter(bad));
    }
    if tag.len() > MAX_TAG {
        return Err(ReferenceError::TagTooLong(tag.len()));
    }
    Ok((name, Some(tag)))
}

/// The first part is a host when it could not be a path: it has a dot or a port, or is `localhost` (distribution
/// `reference.splitDockerDomain`). Upper case is left to the message about it. A number that some programs
/// read as an address is taken for a host too, and refused as one.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first.eq_ignore_ascii_case("localhost")
                || is_odd_address(first) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// `2130706433`, `0x7f000001`: addresses as C libraries read them.
fn is_odd_address(text: &str) -> bool {
    let hex = text.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || (text.len() >= 8 && text.bytes().all(|b| b.is_ascii_digit()))
}

fn parse_host(text: &str) -> Result<String, ReferenceError> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(parse_port(port)?)),
        None => (text, None),
    };
    let name = name.to_ascii_lowercase();
    check_host_name(&name)?;
    let name = match &*name {
        alias if DOCKER_HUB_ALIASES.contains(&alias) => DOCKER_HUB.to_owned(),
        _ => name,
    };
    Ok(match port {
        // Docker Hub answers at the port of https only; naming that port names the same registry.
        Some(443) if name == DOCKER_HUB => name,
        Some(port) => format!("{name}:{port}"),
        None => name,
    })
}

fn parse_port(text: &str) -> Result<u16, ReferenceError> {
    let wrong = || ReferenceError::Port(text.to_owned());
    let is_plain = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = if is_plain { text.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
    if port == 0 || text.starts_with('0') { Err(wrong()) } else { Ok(port) }
}

/// A DNS name, or four plain decimal numbers. Everything else that some resolver reads as an address (`127.1`,
/// `0x7f.1`, `2130706433`) is refused, because two programs would read two hosts. A name in another script
/// than ASCII never gets here; its `xn--` form is its own name and matches no other.
fn check_host_name(name: &str) -> Result<(), ReferenceError> {
    let wrong = || ReferenceError::Host(name.to_owned());
    let labels: Vec<&str> = name.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !labels.iter().all(is_label) {
        return Err(wrong());
    }
    let last = labels.last().copied().unwrap_or_default();
    let is_numeric =
        last.bytes().all(|b| b.is_ascii_digit()) || is_odd_address(last) || last.starts_with("0x");
    match name.parse::<Ipv4Addr>() {
        Ok(address) if address.to_string() == name => Ok(()),
        _ if is_numeric => Err(wrong()),
        _ => Ok(()),
    }
}

/// Host and path as the registry knows them: a short name of Docker Hub is in `library/`.
fn place(host: Option<String>, path: &str) -> (Option<String>, String) {
    let is_hub = host.as_deref().is_none_or(|host| host == DOCKER_HUB);
    let repository = if is_hub && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    (host, repository)
}

/// Path components: lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn check_path(
    path: &str,
    host: Option<&str>,
    tag: Option<&str>,
    digest: Option<&Digest>,
) -> Result<(), ReferenceError> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        let mut lower = host.map(|host| format!("{host}/")).unwrap_or_default() + &path.to_ascii_lowercase();
        lower += &tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        lower += &digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        return Err(ReferenceError::UpperCase(lower));
    }
    if path.is_empty() || path.split('/').any(str::is_empty) {
        return Err(ReferenceError::EmptyPart);
    }
    for part in path.split('/') {
        let wrong = |why| ReferenceError::Part { part: part.to_owned(), why };
        if part.contains(':') {
            return Err(wrong("a colon can stand before a tag or a port only"));
        }
        let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if !is_end(part.chars().next()) || !is_end(part.chars().last()) {
            return Err(wrong("it begins and ends with a letter or a digit"));
        }
        let joints = part.split(|c: char| c.is_ascii_alphanumeric());
        let is_joint =
            |joint: &str| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-');
        if !joints.into_iter().all(is_joint) {
            return Err(wrong("letters and digits are joined by one of . _ __ or by dashes"));
        }
    }
    Ok(())
}

/// A character as it can be printed safely.
fn shown(c: char) -> String {
    match c {
        ' ' => "a blank".to_owned(),
        '\n' | '\r' => "a line break".to_owned(),
        '\t' => "a tab".to_owned(),
        c if c.is_ascii_graphic() => format!("{c:?}"),
        c => format!("the character U+{:04X}", u32::from(c)),
    }
}

fn or_rather(instead: &Option<String>) -> String {
    instead.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
