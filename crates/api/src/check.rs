//! Rules for single fields. Each answers with the value, or with what is wrong and under which name.

use std::str::FromStr;

use model::Timestamp;
use model::image::Reference;
use uuid::Uuid;

use crate::error::ApiError;
use crate::platform::ImageProblem;

/// A text between two lengths in characters, without control characters: names reach logs and headers.
pub fn name(field: &str, text: &str, least: usize, most: usize) -> Result<(), ApiError> {
    length(field, text, least, most)?;
    match text.chars().find(|c| c.is_control()) {
        Some(bad) => Err(ApiError::invalid(field, format!("it cannot hold the control character {bad:?}"))),
        None => Ok(()),
    }
}

/// A text between two lengths in characters.
pub fn length(field: &str, text: &str, least: usize, most: usize) -> Result<(), ApiError> {
    let count = text.chars().count();
    match count {
        _ if count < least && count == 0 => Err(ApiError::invalid(field, "it cannot be empty")),
        _ if count < least => Err(ApiError::invalid(field, format!("it needs at least {least} characters"))),
        _ if count > most => {
            Err(ApiError::invalid(field, format!("it has {count} characters, {most} are allowed")))
        }
        _ => Ok(()),
    }
}

/// A text that can be handed to a program: no NUL.
pub fn no_nul(field: &str, text: &str) -> Result<(), ApiError> {
    match text.contains('\0') {
        true => Err(ApiError::invalid(field, "it cannot hold a NUL character")),
        false => Ok(()),
    }
}

/// A whole number within bounds.
pub fn range<N: PartialOrd + std::fmt::Display>(
    field: &str,
    number: N,
    least: N,
    most: N,
) -> Result<N, ApiError> {
    match number >= least && number <= most {
        true => Ok(number),
        false => Err(ApiError::invalid(field, format!("{number} is not within {least} to {most}"))),
    }
}

/// A UUID in a body.
pub fn id(field: &str, text: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(text).map_err(|_| ApiError::invalid(field, "it is no UUID"))
}

/// An image reference. What is none is refused with the code of the API file, and the words say what to write.
pub fn reference(text: &str) -> Result<Reference, ApiError> {
    Reference::parse(text).map_err(|error| {
        let problem = ImageProblem {
            code: model::FailureCode::ImageReferenceInvalid,
            message: format!("{} is not an image reference.", shortened(text)),
            hint: Some(format!("{error}.")),
            platforms: Vec::new(),
            retry_after: None,
        };
        ApiError::image(&problem, text, None)
    })
}

/// A moment as RFC 3339 writes it. The parser alone takes other forms too.
pub fn moment(field: &str, text: &str) -> Result<Timestamp, ApiError> {
    let refused = || ApiError::invalid(field, "it must be a date and time as in 2026-02-22T15:30:00Z");
    let (date, rest) = text.split_at_checked(10).ok_or_else(refused)?;
    let (mark, rest) = rest.split_at_checked(1).ok_or_else(refused)?;
    let (time, rest) = rest.split_at_checked(8).ok_or_else(refused)?;
    let shape = |text: &str, like: &str| {
        let fits = |(have, want): (u8, u8)| if want == b'0' { have.is_ascii_digit() } else { have == want };
        text.len() == like.len() && text.bytes().zip(like.bytes()).all(fits)
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let is_zone = matches!(zone, "Z" | "z") || shape(zone, "+00:00") || shape(zone, "-00:00");
    if !(shape(date, "0000-00-00") && matches!(mark, "T" | "t") && shape(time, "00:00:00") && is_zone) {
        return Err(refused());
    }
    Timestamp::from_str(text).map_err(|_| refused())
}

/// A long text cut for an error.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(name("n", "Mein Café ☕", 2, 64).is_ok());
        for bad in ["", "a", "a\nb", "a\0", &"é".repeat(65)] {
            assert!(name("n", bad, 2, 64).is_err(), "{bad:?}");
        }
        assert!(name("n", &"é".repeat(64), 2, 64).is_ok(), "characters count, not bytes");
    }

    #[test]
    fn a_moment_is_rfc_3339() {
        for good in ["2026-02-22T15:30:00Z", "2026-02-22T15:30:00.123Z", "2026-02-22t15:30:00+02:00"] {
            assert!(moment("m", good).is_ok(), "{good}");
        }
        for bad in
            ["", "2026-02-22", "2026-02-22 15:30:00Z", "2026-13-22T15:30:00Z", "2026-02-22T15:30:00", "soon"]
        {
            assert!(moment("m", bad).is_err(), "{bad}");
        }
    }
}
