//! A text that travels in JSON and nowhere else.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A password, a key, or a variable's value. In JSON it is a plain text; its `Debug` form hides it, so that a
/// log line or a panic that prints a whole request does not give it away, and neither does the error about one
/// that is no text.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text itself, by value.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for a text, serde_json would quote a number itself.
        deserializer.deserialize_any(Text)
    }
}

/// Takes a text. The default for everything else would quote it in the error.
struct Text;

impl Visitor<'_> for Text {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Secret, E> {
        Ok(text.into())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom("it must be a text"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("it must be a text"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("it must be a text"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("it must be a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_quotes_a_secret() {
        let secret: Secret = serde_json::from_str("\"canary\"").expect("a text");
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("canary", "[hidden]"));
        for wrong in ["735173", "-735173", "7351.73", "true", "null", "[735173]", "{\"a\": 735173}"] {
            let value: serde_json::Value = serde_json::from_str(wrong).expect(wrong);
            let of_text = serde_json::from_str::<Secret>(wrong).expect_err(wrong).to_string();
            let of_value = serde_json::from_value::<Secret>(value).expect_err(wrong).to_string();
            for error in [of_text, of_value] {
                assert!(!error.contains("7351") && !error.contains("true"), "{error}");
            }
        }
    }
}
