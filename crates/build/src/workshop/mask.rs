//! Values of secrets, taken out of what programs print.

use model::Failure;

use crate::Secret;

/// Shorter ones are left, in characters: they are words like `yes` or `8080`, and would be found everywhere.
const SHORTEST: usize = 8;
/// Longer values that are no secrets but found everywhere, too.
const USUAL: [&str; 6] = ["production", "development", "localhost", "127.0.0.1", "disabled", "undefined"];
const HIDDEN: &str = "***";

/// What must not be seen, the longest first, so that no end of one is left.
#[derive(Clone)]
pub struct Mask(Vec<Secret>);

impl Mask {
    /// Of the values of a build's variables, by name.
    pub fn of(variables: &[(String, Secret)]) -> Self {
        // Programs print one line at a time, so each line of a value is looked for.
        let lines = variables.iter().flat_map(|(_, value)| value.expose().lines());
        let parts = lines.map(str::trim).filter(|line| is_telling(line));
        // Names of images are to be written in lower case, and are shown like that where they are not.
        let forms = parts.flat_map(|line| [Secret::new(line), Secret::new(line.to_lowercase())]);
        let mut parts: Vec<Secret> = forms.collect();
        parts.sort_by(|a, b| (b.expose().len(), b.expose()).cmp(&(a.expose().len(), a.expose())));
        parts.dedup_by(|a, b| a.expose() == b.expose());
        Self(parts)
    }

    /// The text, with `***` where a value was.
    pub fn hide(&self, text: String) -> String {
        self.0.iter().fold(text, |text, part| match text.contains(part.expose()) {
            true => text.replace(part.expose(), HIDDEN),
            false => text,
        })
    }

    /// The same failure, with nothing to be seen in its words.
    pub fn cover(&self, mut failure: Failure) -> Failure {
        failure.message = self.hide(failure.message);
        failure.hint = failure.hint.map(|hint| self.hide(hint));
        failure.log_tail = failure.log_tail.into_iter().map(|line| self.hide(line)).collect();
        failure
    }
}

/// Whether a line of a value may be a secret.
fn is_telling(line: &str) -> bool {
    let is_number = line.bytes().all(|byte| byte.is_ascii_digit());
    line.chars().count() >= SHORTEST
        && !is_number
        && !USUAL.iter().any(|usual| line.eq_ignore_ascii_case(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str]) -> Mask {
        let variables: Vec<_> = values.iter().map(|value| ("NAME".to_owned(), Secret::new(*value))).collect();
        Mask::of(&variables)
    }

    #[test]
    fn ordinary_values_are_left() {
        let text = "EXPOSE 8080 in Production at localhost since 20260101, secret1";
        let mask = mask(&["8080", "production", "localhost", "20260101", "secret1"]);
        assert_eq!(mask.hide(text.to_owned()), text);
    }

    #[test]
    fn nothing_is_to_be_seen_in_a_failure() {
        let mut failure = Failure::new(
            model::Phase::Build,
            model::FailureCode::DockerfileInvalid,
            "a secret-value is wrong",
            Some("mend secret-value"),
        );
        failure.log_tail = vec!["secret-value".to_owned()];
        let failure = mask(&["secret-value"]).cover(failure);
        assert_eq!(failure.message, "a *** is wrong");
        assert_eq!((failure.hint.as_deref(), failure.log_tail), (Some("mend ***"), vec!["***".to_owned()]));
    }

    #[test]
    fn values_are_hidden_the_longest_first() {
        let mask = mask(&["a-secret", "a-secret-and-more", "yes", "first line\n  second line\n}"]);
        assert_eq!(mask.hide("b a-secret-and-more a-secret, yes".to_owned()), "b *** ***, yes");
        assert_eq!(mask.hide("x second line }".to_owned()), "x *** }");
    }
}
