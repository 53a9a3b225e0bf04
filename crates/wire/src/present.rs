//! Telling *left out* from *null*: serde reads both into `None` unless asked.
//!
//! `None`: the field was left out. `Some(None)`: it was `null`. `Some(Some(value))`: it had a value. Use as
//! `#[serde(default, with = "crate::present", skip_serializing_if = "Option::is_none")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads a field that is there: `null` or a value. Called by serde only when the field is present.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Writes the inner value or `null`. A field that was left out is skipped before this is called.
pub fn serialize<T, S>(field: &Option<Option<T>>, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize,
    S: Serializer,
{
    field.as_ref().and_then(Option::as_ref).serialize(serializer)
}
