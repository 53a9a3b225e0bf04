//! What git's and ssh's words mean. They are those of `LC_ALL=C`; the first line of the table that fits counts, so what
//! says more stands before what is said after every failure.

use super::clean::line;
use super::error::Cause;

/// Why git failed, as far as its words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    DiskFull,
    TooLarge,
    Tls,
    HostKeyChanged,
    KeyRefused,
    KeyBroken,
    TokenRefused,
    LoginWanted,
    NotFound,
    /// No branch or tag of that name.
    NoSuchRef,
    /// The server does not have a commit, or does not give it by its id.
    NoSuchCommit,
    /// What came breaks rules of git's files.
    Invalid,
    Unreachable,
    Stalled,
    /// An HTTP status that nothing above speaks of.
    Status(u16),
    Unknown,
}

const TABLE: [(&str, Meaning); 63] = [
    ("No space left on device", Meaning::DiskFull),
    ("Disk quota exceeded", Meaning::DiskFull),
    ("File too large", Meaning::TooLarge),
    ("died of signal 25", Meaning::TooLarge),
    ("Out of memory", Meaning::TooLarge),
    ("out of memory", Meaning::TooLarge),
    ("cannot allocate memory", Meaning::TooLarge),
    ("Cannot allocate memory", Meaning::TooLarge),
    ("server certificate verification failed", Meaning::Tls),
    ("certificate subject name", Meaning::Tls),
    ("SSL certificate problem", Meaning::Tls),
    ("gnutls_handshake() failed", Meaning::Tls),
    ("SSL connect error", Meaning::Tls),
    ("server verification failed", Meaning::Tls),
    ("TLS connection was non-properly terminated", Meaning::Unreachable),
    ("error setting certificate", Meaning::Tls),
    ("Host key verification failed", Meaning::HostKeyChanged),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Meaning::HostKeyChanged),
    ("no matching host key type found", Meaning::HostKeyChanged),
    ("error in libcrypto", Meaning::KeyBroken),
    ("invalid format", Meaning::KeyBroken),
    ("Permission denied (", Meaning::KeyRefused),
    ("Too many authentication failures", Meaning::KeyRefused),
    ("Authentication failed for", Meaning::TokenRefused),
    ("could not read Username for", Meaning::LoginWanted),
    ("could not read Password for", Meaning::LoginWanted),
    ("couldn't find remote ref", Meaning::NoSuchRef),
    ("not our ref", Meaning::NoSuchCommit),
    ("unadvertised object", Meaning::NoSuchCommit),
    ("Server does not support", Meaning::NoSuchCommit),
    ("fsck error", Meaning::Invalid),
    ("invalid path '", Meaning::Invalid),
    ("not valid: is this a git repository", Meaning::NotFound),
    ("does not appear to be a git repository", Meaning::NotFound),
    ("ERROR: Repository not found", Meaning::NotFound),
    ("The project you were looking for could not be found", Meaning::NotFound),
    ("dumb http transport does not support", Meaning::NotFound),
    ("unable to find remote helper", Meaning::Unknown),
    ("Operation too slow", Meaning::Stalled),
    ("Could not resolve host", Meaning::Unreachable),
    ("Failed to connect", Meaning::Unreachable),
    ("Couldn't connect", Meaning::Unreachable),
    ("Connection refused", Meaning::Unreachable),
    ("Connection timed out", Meaning::Unreachable),
    ("Connection reset", Meaning::Unreachable),
    ("Connection closed", Meaning::Unreachable),
    ("timed out", Meaning::Unreachable),
    ("Network is unreachable", Meaning::Unreachable),
    ("No route to host", Meaning::Unreachable),
    ("Empty reply from server", Meaning::Unreachable),
    ("Recv failure", Meaning::Unreachable),
    ("Send failure", Meaning::Unreachable),
    ("kex_exchange_identification", Meaning::Unreachable),
    ("Unsupported protocol", Meaning::Unreachable),
    ("Received HTTP/0.9", Meaning::Unreachable),
    ("wrong version number", Meaning::Tls),
    ("unexpected disconnect", Meaning::Unreachable),
    ("hung up unexpectedly", Meaning::Unreachable),
    ("early EOF", Meaning::Unreachable),
    ("invalid index-pack output", Meaning::Invalid),
    ("index-pack failed", Meaning::Invalid),
    ("bad object", Meaning::NoSuchCommit),
    ("protocol error", Meaning::Unreachable),
];

/// Whom git spoke with, for the words of an error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk<'a> {
    pub server: &'a str,
    /// Path of the repository there.
    pub path: &'a str,
    /// User name that was sent with a token.
    pub username: Option<&'a str>,
    pub with_login: bool,
    pub is_ssh: bool,
    /// What no message may hold.
    pub secret: Option<&'a str>,
}

/// What git's words mean. What it passes on from the server does not count: that can say anything.
pub(super) fn meaning(words: &str) -> Meaning {
    let own: String = words
        .lines()
        .filter(|line| !line.starts_with("remote:"))
        .fold(String::new(), |all, line| all + line + "\n");
    if let Some((_, meaning)) = TABLE.iter().find(|(text, _)| own.contains(text)) {
        return *meaning;
    }
    if own.contains("repository '") && own.contains("' not found") {
        return Meaning::NotFound;
    }
    match status(&own) {
        Some(404 | 410) => Meaning::NotFound,
        Some(status) => Meaning::Status(status),
        None => Meaning::Unknown,
    }
}

/// The HTTP status that git names.
fn status(words: &str) -> Option<u16> {
    let (_, rest) = words.split_once("The requested URL returned error: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The error that git's words are.
pub(super) fn cause(words: &str, talk: Talk<'_>) -> Cause {
    let server = talk.server.to_owned();
    match meaning(words) {
        Meaning::DiskFull => {
            Cause::DiskFull { folder: "the folder for checkouts".into(), why: "git cannot write".to_owned() }
        }
        Meaning::TooLarge => Cause::TooLarge("one of its files is beyond what is fetched".to_owned()),
        Meaning::Tls => Cause::Tls { server, reason: shown(words, talk) },
        Meaning::HostKeyChanged => Cause::HostKeyChanged { server },
        Meaning::KeyRefused => Cause::KeyRefused { server },
        Meaning::KeyBroken => Cause::Invalid("the stored deploy key cannot be read by ssh".to_owned()),
        Meaning::TokenRefused => match talk.username {
            Some(username) => Cause::TokenRefused { server, username: username.to_owned() },
            None => Cause::LoginWanted { server },
        },
        Meaning::LoginWanted => Cause::LoginWanted { server },
        Meaning::NotFound => {
            Cause::NotFound { server, path: talk.path.to_owned(), with_login: talk.with_login }
        }
        Meaning::NoSuchRef => Cause::RevisionNotFound { what: "such branch".to_owned(), near: Vec::new() },
        Meaning::NoSuchCommit => Cause::RevisionNotFound { what: "such commit".to_owned(), near: Vec::new() },
        Meaning::Invalid => Cause::Invalid(shown(words, talk)),
        Meaning::Unreachable => Cause::Unreachable { server, reason: shown(words, talk) },
        Meaning::Stalled => Cause::Unreachable {
            server,
            reason: "it began to answer and then said nothing for a minute".to_owned(),
        },
        Meaning::Status(300..=399) => Cause::Moved { server, to: None },
        Meaning::Status(401) => Cause::LoginWanted { server },
        Meaning::Status(403) => {
            let whom = talk.username.map_or("anybody without a login".to_owned(), str::to_owned);
            Cause::Denied { server, whom }
        }
        Meaning::Status(429) => Cause::RateLimited { server },
        Meaning::Status(status) => Cause::Status { server, status },
        Meaning::Unknown => Cause::Failed {
            program: if talk.is_ssh { "git over ssh" } else { "git" },
            words: shown(words, talk),
        },
    }
}

/// The lines that say what went wrong, fit to be shown.
fn shown(words: &str, talk: Talk<'_>) -> String {
    // Shorter ones would be found everywhere.
    if talk.secret.is_some_and(|secret| secret.len() >= 4 && words.contains(secret)) {
        return "its words repeat the secret that was sent, and are not shown".to_owned();
    }
    let is_cause = |text: &&str| ["fatal: ", "error: "].iter().any(|start| text.starts_with(start));
    let causes: Vec<&str> = words.lines().filter(is_cause).collect();
    let said = if causes.is_empty() { words.to_owned() } else { causes.join("; ") };
    line(&said.replace("fatal: ", "").replace("error: ", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: Talk<'_> = Talk {
        server: "git.example.com",
        path: "acme/shop",
        username: Some("bot"),
        with_login: true,
        is_ssh: false,
        secret: Some("s3cr3t-token"),
    };

    #[test]
    fn words_of_git_2_39_and_openssh_9_2_are_understood() {
        for (words, expected) in [
            (
                "fatal: unable to access 'https://git.example.com/x/': Could not resolve host: git.example.com",
                Meaning::Unreachable,
            ),
            (
                "fatal: unable to access 'https://git.example.com/x/': Failed to connect to git.example.com port 443 \
                 after 21 ms: Couldn't connect to server",
                Meaning::Unreachable,
            ),
            (
                "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none \
                 CRLfile: none",
                Meaning::Tls,
            ),
            (
                "fatal: unable to access 'https://x/': SSL: certificate subject name (a) does not match target host \
                 name 'b'",
                Meaning::Tls,
            ),
            ("fatal: Authentication failed for 'https://git.example.com/x/'", Meaning::TokenRefused),
            (
                "error: unable to read askpass response from '/run/x/darsena-git-askpass'\n\
                 fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                Meaning::LoginWanted,
            ),
            (
                "remote: Not Found\nfatal: repository 'https://git.example.com/x/' not found",
                Meaning::NotFound,
            ),
            (
                "fatal: unable to access 'https://git.example.com/x/': The requested URL returned error: 403",
                Meaning::Status(403),
            ),
            (
                "fatal: unable to access 'https://git.example.com/x/': The requested URL returned error: 301",
                Meaning::Status(301),
            ),
            (
                "fatal: https://example.com/x/info/refs not valid: is this a git repository?",
                Meaning::NotFound,
            ),
            ("fatal: couldn't find remote ref refs/heads/x", Meaning::NoSuchRef),
            ("fatal: remote error: upload-pack: not our ref 0123", Meaning::NoSuchCommit),
            ("error: Server does not allow request for unadvertised object 0123", Meaning::NoSuchCommit),
            (
                "git@git.example.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Meaning::KeyRefused,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Meaning::HostKeyChanged,
            ),
            (
                "ssh: connect to host 192.0.2.1 port 22: Connection timed out\nfatal: Could not read from remote \
                 repository.",
                Meaning::Unreachable,
            ),
            (
                "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
                Meaning::NotFound,
            ),
            (
                "fatal: '/srv/x.git' does not appear to be a git repository\nfatal: Could not read from remote \
                 repository.",
                Meaning::NotFound,
            ),
            (
                "fatal: write error: File too large\nfatal: fetch-pack: invalid index-pack output",
                Meaning::TooLarge,
            ),
            (
                "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output",
                Meaning::DiskFull,
            ),
            (
                "error: object 0123: hasDotdot: contains '..'\nfatal: fsck error in packed object\n\
                 fatal: fetch-pack: invalid index-pack output",
                Meaning::Invalid,
            ),
            ("error: invalid path '.git/config'", Meaning::Invalid),
            (
                "error: RPC failed; curl 28 Operation too slow. Less than 1 bytes/sec transferred the last 60 seconds",
                Meaning::Stalled,
            ),
            ("fatal: something new", Meaning::Unknown),
        ] {
            assert_eq!(meaning(words), expected, "{words}");
        }
    }

    #[test]
    fn a_server_cannot_play_another_failure() {
        let words = "remote: No space left on device\nremote: Host key verification failed.\n\
                     fatal: repository 'https://git.example.com/x/' not found";
        assert_eq!(meaning(words), Meaning::NotFound);
    }

    #[test]
    fn words_are_shown_clean_and_without_a_secret() {
        let shown = |words: &str| cause(words, TALK).to_string();
        assert_eq!(
            shown("hint: x\nfatal: something \x1b[31mnew\nerror: more"),
            "git failed: something [31mnew; more"
        );
        let words = "fatal: something new about s3cr3t-token";
        assert!(!shown(words).contains("s3cr3t"), "{}", shown(words));
        let refused = shown("fatal: Authentication failed for 'https://x/'");
        assert_eq!(refused, "git.example.com refused the token of bot");
    }
}
