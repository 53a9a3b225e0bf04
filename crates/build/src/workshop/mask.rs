//! Values of secrets, taken out of what programs print.

use crate::Secret;

/// Shorter ones are left: they are words like `1` or `yes`, and would be found everywhere.
const SHORTEST: usize = 4;
const HIDDEN: &str = "***";

/// What must not be seen, the longest first, so that no end of one is left.
pub struct Mask(Vec<Secret>);

impl Mask {
    /// Of the variables of a build, by name.
    pub fn of(variables: &[(String, Secret)]) -> Self {
        // Programs print one line at a time, so each line of a value is looked for.
        let lines = variables.iter().flat_map(|(_, value)| value.expose().lines());
        let parts = lines.map(str::trim).filter(|line| line.chars().count() >= SHORTEST);
        let mut parts: Vec<Secret> = parts.map(Secret::new).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.expose().len()));
        Self(parts)
    }

    /// The text with `***` in place of each value.
    pub fn hide(&self, text: String) -> String {
        self.0.iter().fold(text, |text, part| match text.contains(part.expose()) {
            true => text.replace(part.expose(), HIDDEN),
            false => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_the_longest_first() {
        let variables =
            [("A", "secret"), ("B", "secret-and-more"), ("C", "yes"), ("D", "first line\n  second line\n}")];
        let mask = Mask::of(&variables.map(|(name, value)| (name.to_owned(), Secret::new(value))));
        assert_eq!(mask.hide("a secret-and-more secret, yes".to_owned()), "a *** ***, yes");
        assert_eq!(mask.hide("x second line }".to_owned()), "x *** }");
    }
}
