//! The first account: made once, by whoever can read the one-time token on the machine itself.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHasher, SaltString};
use http::StatusCode;
use model::access::Role;
use store::{NewKey, Setup, StoreError};
use wire::{CreatedApiKey, SetupDone};

use crate::audit::{self, Actor};
use crate::call::{Answer, Call};
use crate::check;
use crate::error::ApiError;
use crate::token::{self, Token};

const LEAST_PASSWORD: usize = 8;
/// Hashing takes time with the length, so there is an end to it.
const MOST_PASSWORD: usize = 1024;
/// The store makes tokens of 256 bits.
const TOKEN_DIGITS: usize = 64;
/// What a wrong token costs.
const PENALTY: Duration = Duration::from_secs(1);
/// How long one attempt takes, of which one runs at a time.
const TURN: Duration = Duration::from_secs(1);

/// Writes its own row of the audit log: a request that held nothing like a token is not worth one, or anybody could
/// fill the disk.
pub async fn setup(call: Call) -> Result<Answer, ApiError> {
    if call.state.is_set_up().await? {
        return Err(explain(StoreError::SetupDone));
    }
    let input: wire::Setup = call.json()?;
    if !is_token(input.setup_token.expose()) {
        return Err(explain(StoreError::SetupTokenWrong));
    }
    let result = attempt(&call, input).await;
    let (target, status) = match &result {
        Ok(answer) => (answer.target, StatusCode::OK),
        Err(refusal) => (None, refusal.status()),
    };
    audit::append(&call.state, "setup", Actor::Nobody, target, call.peer, status).await;
    result
}

/// Whether a text has the form of a setup token.
fn is_token(text: &str) -> bool {
    let text = text.trim();
    text.len() == TOKEN_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The token is looked at first and without a turn, so that nobody without it can hold up who has it.
async fn attempt(call: &Call, input: wire::Setup) -> Result<Answer, ApiError> {
    check_token(call, input.setup_token.expose()).await?;
    let email = checked_email(&input.email)?;
    check::name("company", input.company.trim(), 1, 64)?;
    check::length("password", input.password.expose(), LEAST_PASSWORD, MOST_PASSWORD)?;
    let Ok(_turn) = call.state.setup.try_lock() else {
        return Err(ApiError::too_many_requests("to set up at the same time", TURN));
    };
    let password_hash = hash(input.password.into_inner()).await?;
    let token = Token::generate();
    let key = NewKey {
        name: "setup".into(),
        source: "CLI".into(),
        masked_token: token.masked(),
        roles: vec![Role::Owner],
        capabilities: Vec::new(),
        token_hash: token.hash(),
    };
    let company_name = input.company.trim().to_owned();
    let made = Setup { token: input.setup_token.into_inner(), email, password_hash, company_name, key };
    let (company, user, key) = call.state.store.instance().complete_setup(made).await.map_err(explain)?;
    let api_key = CreatedApiKey { id: key.id.to_string(), name: key.name, token: token.reveal().into() };
    let done = SetupDone { company_id: company.id.to_string(), user_id: user.id.to_string(), api_key };
    Answer::created(company.id.uuid(), &done)
}

/// Refuses a wrong token before the password is hashed, which is the expensive part.
async fn check_token(call: &Call, presented: &str) -> Result<(), ApiError> {
    let expected =
        call.state.store.instance().setup_token().await?.ok_or_else(|| explain(StoreError::SetupDone))?;
    if !token::same(expected.trim().as_bytes(), presented.trim().as_bytes()) {
        tokio::time::sleep(PENALTY).await;
        return Err(explain(StoreError::SetupTokenWrong));
    }
    Ok(())
}

fn explain(error: StoreError) -> ApiError {
    match error {
        StoreError::SetupDone => ApiError::conflict("already_set_up", "This installation is set up already.")
            .with_detail("Ask its owner for an API key."),
        StoreError::SetupTokenWrong => {
            ApiError::new(StatusCode::FORBIDDEN, "setup_token_wrong", "The setup token is wrong.")
                .with_detail("The right one is in the file setup-token of the server's data folder.")
        }
        other => other.into(),
    }
}

/// An address as it is stored: trimmed and in lower case. Whether it exists is not ours to find out.
fn checked_email(text: &str) -> Result<String, ApiError> {
    let email = text.trim().to_lowercase();
    check::name("email", &email, 3, 254)?;
    let is_address =
        matches!(email.split_once('@'), Some((local, host)) if !local.is_empty() && !host.is_empty());
    match is_address && email.matches('@').count() == 1 && !email.contains(char::is_whitespace) {
        true => Ok(email),
        false => Err(ApiError::invalid("email", "it must be an address such as me@example.com")),
    }
}

/// Hashes on a thread where it holds up nobody.
async fn hash(password: String) -> Result<String, ApiError> {
    let hashing = tokio::task::spawn_blocking(move || {
        let salt = SaltString::generate(&mut OsRng);
        Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    hashing.await.map_err(|error| ApiError::internal(&error))?.map_err(|error| ApiError::internal(&error))
}

#[cfg(test)]
mod tests {
    use super::{checked_email, is_token};

    #[test]
    fn only_what_looks_like_a_token_is_compared() {
        let token = "0a".repeat(32);
        assert!(is_token(&token) && is_token(&format!(" {token}\n")));
        for bad in ["", "wrong", &token[1..], &format!("{token}0"), &token.replace('a', "g")] {
            assert!(!is_token(bad), "{bad}");
        }
    }

    #[test]
    fn an_email_is_stored_in_one_form() {
        assert_eq!(checked_email(" Anna@Example.COM ").unwrap(), "anna@example.com");
        for bad in ["", "anna", "@b", "a@", "a@b@c", "a b@c", "a@b\nc"] {
            assert!(checked_email(bad).is_err(), "{bad:?}");
        }
    }
}
