//! What a refusal means, by status and words. Registries differ, so this is a table of what they are known to
//! say; it decides nothing but the words for people and the code.

use super::answer::Answer;
use crate::Cause;

/// Why a login did not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// User name or secret is wrong, or revoked.
    Rejected,
    /// The secret was right once.
    Expired,
    /// The login is right; its token is not made for pulling.
    ScopeMissing,
    /// The login is right, and may not have what was asked for.
    Denied,
}

impl Refusal {
    /// Of an answer 401 or 403 to a login: from a token server, or to `Basic`.
    pub fn of_login(answer: &Answer) -> Self {
        match (answer.status, Words::of(answer)) {
            (_, Words::Expired) => Refusal::Expired,
            (_, Words::Scope) => Refusal::ScopeMissing,
            (403, Words::Other) => Refusal::Denied,
            _ => Refusal::Rejected,
        }
    }

    /// Of an answer 401 or 403 to a token that a login was good for.
    pub fn of_token(answer: &Answer) -> Self {
        match Words::of(answer) {
            Words::Scope => Refusal::ScopeMissing,
            _ => Refusal::Denied,
        }
    }
}

impl Refusal {
    /// As a failure, with the registry's words.
    pub fn into_cause(self, registry: &str, username: &str, answer: &Answer) -> Cause {
        let (registry, username, words) = (registry.to_owned(), username.to_owned(), answer.reason());
        match self {
            Refusal::Rejected => Cause::CredentialRejected { registry, username, words },
            Refusal::Expired => Cause::CredentialExpired { registry, username, words },
            Refusal::ScopeMissing => Cause::CredentialScopeMissing { registry, username, words },
            Refusal::Denied => Cause::AccessDenied { registry, username: Some(username), words },
        }
    }
}

enum Words {
    Expired,
    Scope,
    /// About the login itself.
    Login,
    Other,
}

impl Words {
    fn of(answer: &Answer) -> Self {
        let text = format!("{} {}", answer.code, answer.message).to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match () {
            () if says(&["expire"]) => Words::Expired,
            // GHCR: "The token provided does not match expected scopes"; GitLab names its scope read_registry.
            () if says(&["scope", "read_registry", "read:packages"]) => Words::Scope,
            () if says(&["incorrect", "invalid", "wrong", "revoked", "bad credential"]) => Words::Login,
            // GHCR says no more than this of a token that ended or was revoked.
            () if answer.message == "denied" => Words::Login,
            () => Words::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_understood_by_status_and_words() {
        let answer = |status, code: &str, message: &str| Answer {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        };
        for (status, code, message, login, token) in [
            (401, "", "incorrect username or password", Refusal::Rejected, Refusal::Denied),
            (401, "UNAUTHORIZED", "HTTP Basic: Access denied", Refusal::Rejected, Refusal::Denied),
            (401, "UNAUTHORIZED", "", Refusal::Rejected, Refusal::Denied),
            (401, "UNAUTHORIZED", "your token has expired", Refusal::Expired, Refusal::Denied),
            (403, "DENIED", "denied", Refusal::Rejected, Refusal::Denied),
            (403, "DENIED", "access forbidden", Refusal::Denied, Refusal::Denied),
            (403, "", "", Refusal::Denied, Refusal::Denied),
            (403, "DENIED", "insufficient_scope", Refusal::ScopeMissing, Refusal::ScopeMissing),
            (
                403,
                "DENIED",
                "permission_denied: The token provided does not match expected scopes.",
                Refusal::ScopeMissing,
                Refusal::ScopeMissing,
            ),
        ] {
            let answer = answer(status, code, message);
            assert_eq!(Refusal::of_login(&answer), login, "{answer:?}");
            assert_eq!(Refusal::of_token(&answer), token, "{answer:?}");
        }
    }
}
