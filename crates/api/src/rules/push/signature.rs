//! Whether a Git server has signed what it says.
//!
//! Three of the four sign the body with HMAC-SHA256 (RFC 2104) and differ in the header; GitLab sends the secret itself.
//! Each check does the same work whatever is presented, and compares in constant time.

use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::Sha256;

use crate::token;

const SHA256_BYTES: usize = 32;

/// What a request shows.
enum Shown<'a> {
    Signature([u8; SHA256_BYTES]),
    Token(&'a str),
    Nothing,
}

/// Whether a request shows that its sender knows the secret.
pub fn is_right(headers: &HeaderMap, body: &[u8], secret: &str) -> bool {
    let mut own = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    own.update(body);
    let own = own.finalize().into_bytes();
    let (signature, token, by_signature) = match shown(headers) {
        Shown::Signature(bytes) => (bytes, "", true),
        Shown::Token(text) => ([0; SHA256_BYTES], text, false),
        Shown::Nothing => ([0; SHA256_BYTES], "", true),
    };
    let (is_signed, is_token) = (token::same(&own, &signature), token::same_secret(token, secret));
    if by_signature { is_signed && secret != token::NO_SECRET } else { is_token }
}

/// Older servers send weaker signatures along, with sha1; those are not looked at.
fn shown(headers: &HeaderMap) -> Shown<'_> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let with_prefix = |name| text(name).and_then(|value| value.strip_prefix("sha256="));
    // GitHub and Forgejo; Gitea; Bitbucket.
    let hex = with_prefix("x-hub-signature-256")
        .or_else(|| text("x-gitea-signature"))
        .or_else(|| with_prefix("x-hub-signature"));
    match (hex, text("x-gitlab-token")) {
        (Some(hex), _) => bytes(hex).map_or(Shown::Nothing, Shown::Signature),
        (None, Some(token)) => Shown::Token(token),
        (None, None) => Shown::Nothing,
    }
}

fn bytes(hex: &str) -> Option<[u8; SHA256_BYTES]> {
    let mut bytes = [0; SHA256_BYTES];
    hex::decode_to_slice(hex, &mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    /// From GitHub's documentation, "Validating webhook deliveries".
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(headers: &[(&'static str, &str)], secret: &str) -> bool {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        is_right(&headers.iter().map(pair).collect(), BODY, secret)
    }

    #[test]
    fn each_server_is_believed_by_its_own_header() {
        let prefixed = format!("sha256={HEX}");
        for (name, value) in [
            ("x-hub-signature-256", &*prefixed),
            ("x-gitea-signature", HEX),
            ("x-hub-signature", &*prefixed),
            ("x-gitlab-token", SECRET),
        ] {
            assert!(check(&[(name, value)], SECRET), "{name}");
            assert!(!check(&[(name, value)], "another secret"), "{name}");
        }
        // GitHub sends sha1 along under the name that Bitbucket has for sha256.
        assert!(check(
            &[
                ("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"),
                ("x-hub-signature-256", &prefixed)
            ],
            SECRET
        ));
    }

    #[test]
    fn what_is_no_signature_is_none() {
        let upper = format!("SHA256={HEX}");
        for headers in [
            &[][..],
            &[("x-hub-signature-256", HEX)],
            &[("x-hub-signature-256", &upper)],
            &[("x-hub-signature-256", "sha256=")],
            &[("x-hub-signature-256", "sha256=00")],
            &[("x-gitea-signature", "")],
            &[("x-gitea-signature", &HEX[..62])],
            &[("x-hub-signature", "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")],
            &[("x-gitlab-token", "")],
            &[("x-gitlab-token", "It's a Secret to Everybody ")],
            // A wrong signature is not made good by something else.
            &[("x-hub-signature-256", "sha256=00"), ("x-gitlab-token", SECRET)],
        ] {
            assert!(!check(headers, SECRET), "{headers:?}");
        }
    }

    #[test]
    fn nobody_knows_the_secret_of_nothing() {
        let mut own = Hmac::<Sha256>::new_from_slice(token::NO_SECRET.as_bytes()).unwrap();
        own.update(BODY);
        let hex = hex::encode(own.finalize().into_bytes());
        assert!(!check(&[("x-gitea-signature", &hex)], token::NO_SECRET));
        assert!(!check(&[("x-gitlab-token", token::NO_SECRET)], token::NO_SECRET));
        assert!(!check(&[], token::NO_SECRET));
    }
}
