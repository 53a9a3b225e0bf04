//! The text of a Dockerfile, line by line.

use super::Kind;

/// A Dockerfile in the making.
pub struct Text(String);

impl Text {
    pub fn new(kind: Kind) -> Self {
        let text = Self(String::new());
        text.line(format!(
            "# Made by Darsena ({kind}). To change it, save it as Dockerfile in the repository, or give the"
        ))
        .line("# changed text with the application.")
    }

    /// One line. What could end it early is left out, whatever the callers checked before.
    pub fn line(mut self, line: impl AsRef<str>) -> Self {
        self.0.extend(line.as_ref().chars().filter(|character| !character.is_control()));
        self.0.push('\n');
        self
    }

    /// A line that is not always there.
    pub fn maybe(self, line: Option<impl AsRef<str>>) -> Self {
        match line {
            Some(line) => self.line(line),
            None => self,
        }
    }

    /// An instruction over several lines.
    pub fn long(mut self, parts: &[impl AsRef<str>]) -> Self {
        for (at, part) in parts.iter().enumerate() {
            let end = if at + 1 < parts.len() { " \\" } else { "" };
            self = self.line(format!("{}{end}", part.as_ref()));
        }
        self
    }

    /// The next stage.
    pub fn stage(self, image: &str, name: Option<&str>) -> Self {
        let named = name.map(|name| format!(" AS {name}")).unwrap_or_default();
        self.line("").line(format!("FROM {image}{named}"))
    }

    /// Debian's packages of these names.
    pub fn debian_packages(self, names: &[&str]) -> Self {
        if names.is_empty() {
            return self;
        }
        let names = names.join(" ");
        self.long(&[
            "RUN apt-get update",
            &format!("    && apt-get install -y --no-install-recommends {names}"),
            "    && rm -rf /var/lib/apt/lists/*",
        ])
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// The user and group that programs run as. A number needs no entry in the image.
pub const USER: &str = "1000:1000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_becomes_two() {
        let text = Text::new(Kind::Go).line("CMD a\nUSER root\r\0").into_string();
        assert_eq!(text.lines().last(), Some("CMD aUSER root"));
    }
}
