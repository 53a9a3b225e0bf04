//! Strict JSON: one document, no key twice, bounded depth.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a document. Two programs that read a repeated key differently would see two images, so it is refused
/// wherever it stands. The error is one line and names the place.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    NoRepeatedKeys.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| error.to_string())?;
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Goes through a value and keeps nothing of it.
struct NoRepeatedKeys;

impl<'de> DeserializeSeed<'de> for NoRepeatedKeys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoRepeatedKeys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(NoRepeatedKeys)?;
            if !seen.insert(key) {
                return Err(A::Error::custom("a key stands there twice"));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(NoRepeatedKeys)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_strict_document_is_read() {
        let accepts = |text: &[u8]| parse::<serde_json::Value>(text).is_ok();
        assert!(accepts(br#"{"a":{"x":1},"b":{"x":[1,2.5,null,true,"s"]}}"#));
        assert!(!accepts(br#"{"a":1,"a":1}"#));
        assert!(!accepts(br#"{"b":[{"a":1,"\u0061":2}]}"#), "an escaped key is the same key");
        assert!(!accepts(br#"{"a":NaN}"#));
        assert!(!accepts(br#"{"a":1} x"#));
        assert!(!accepts(b"\xef\xbb\xbf{}"), "a byte order mark");
        assert!(!accepts(b"\xff\xfe{\0}\0"), "UTF-16");
        assert!(!accepts(&b"[".repeat(10_000)), "depth");
    }
}
