//! `K=V`, as `--env` and `env set` take it.

use wire::Secret;

use crate::failure::Failure;

/// A variable and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub key: String,
    pub value: Secret,
}

impl Pair {
    /// Reads `K=V`. The value is everything after the first `=`, empty included. What is wrong is told without
    /// the value, which may be a password.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::usage("a variable is written KEY=VALUE; one of those given has no =")
                .hint("write KEY= for an empty value"));
        };
        check_key(key)?;
        if value.contains('\0') {
            return Err(Failure::usage(format!("the value of {key} holds a NUL, which no variable can")));
        }
        Ok(Self { key: key.to_owned(), value: value.into() })
    }

    /// Reads several; of two with the same key the later one counts.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, Failure> {
        let mut pairs: Vec<Self> = Vec::new();
        for text in texts {
            let pair = Self::parse(text)?;
            pairs.retain(|known| known.key != pair.key);
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// A name that an environment can hold and that a person can read.
pub fn check_key(key: &str) -> Result<(), Failure> {
    if key.is_empty() {
        return Err(Failure::usage("a variable needs a name before the ="));
    }
    match key.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '=') {
        Some(bad) => Err(Failure::usage(format!("the variable name {key:?} cannot hold {bad:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_cut_at_its_first_equals_sign() {
        for (text, key, value) in [
            ("A=b", "A", "b"),
            ("A=", "A", ""),
            ("A=b=c", "A", "b=c"),
            ("a.b= x ", "a.b", " x "),
            ("A=é\n", "A", "é\n"),
        ] {
            let pair = Pair::parse(text).unwrap();
            assert_eq!((pair.key.as_str(), pair.value.expose()), (key, value), "{text}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_value() {
        for bad in ["canary", "=canary", "A B=canary", "A=canary\0"] {
            let failure = Pair::parse(bad).unwrap_err();
            assert!(
                !format!("{} {failure:?}", failure.text()).contains("canary"),
                "{bad:?}: {}",
                failure.text()
            );
        }
    }

    #[test]
    fn the_later_of_two_counts() {
        let pairs = Pair::parse_all(["A=1", "B=2", "A=3"]).unwrap();
        let shown: Vec<_> = pairs.iter().map(|pair| (pair.key.as_str(), pair.value.expose())).collect();
        assert_eq!(shown, [("B", "2"), ("A", "3")]);
    }
}
