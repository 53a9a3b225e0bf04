//! The command that an image starts with.

use super::{NotMade, Repository};

/// Nobody writes a longer one by hand.
const LONGEST: usize = 2000;

/// A start command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Words that mean themselves: no shell takes part.
    Words(Vec<String>),
    /// A line for the image's own shell, because it holds variables, quotes or several commands.
    Line(String),
}

impl Start {
    pub fn words(words: &[&str]) -> Self {
        Self::Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// A command as somebody wrote it.
    ///
    /// # Errors
    /// What is wrong with it, as in "the command ...".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty");
        }
        if text.len() > LONGEST {
            return Err("is longer than 2000 characters");
        }
        // A backslash at the end would join it with the line after it.
        if text.chars().any(char::is_control) || text.ends_with('\\') {
            return Err("is not one whole line");
        }
        let is_plain = |word: &str| {
            word.chars()
                .all(|character| character.is_ascii_alphanumeric() || "-_./:=,@+%".contains(character))
        };
        let words: Vec<_> = text.split_whitespace().collect();
        let sets_variable = words[0].contains('=');
        Ok(if words.iter().all(|word| is_plain(word)) && !sets_variable {
            Self::words(&words)
        } else {
            Self::Line(text.to_owned())
        })
    }

    /// The instruction. Neither form has variables replaced while the image is built (Dockerfile reference,
    /// "Environment replacement").
    pub fn instruction(&self) -> String {
        match self {
            Start::Words(words) => {
                let quoted: Vec<_> =
                    words.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
                format!("CMD [{}]", quoted.join(", "))
            }
            // What begins with a bracket would be read as the other form.
            Start::Line(line) if line.starts_with('[') => format!("CMD true; {line}"),
            Start::Line(line) => format!("CMD {line}"),
        }
    }

    /// The program, without its path.
    pub fn program(&self) -> &str {
        let first = match self {
            Start::Words(words) => words.first().map_or("", String::as_str),
            Start::Line(line) => line.split_whitespace().next().unwrap_or_default(),
        };
        first.rsplit('/').next().unwrap_or_default()
    }
}

/// The command of the web process, as the repository's `Procfile` names it (Heroku, "The Procfile").
pub fn of_procfile(repository: &Repository) -> Result<Option<Start>, NotMade> {
    let Some(text) = repository.read("Procfile")? else { return Ok(None) };
    let commands = text.lines().filter_map(|line| line.split_once(':'));
    let Some((_, command)) = commands.into_iter().find(|(process, _)| process.trim() == "web") else {
        return Ok(None);
    };
    let parsed = Start::parse(command);
    parsed.map(Some).map_err(|why| NotMade::file("Procfile", format!("has a command of web that {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_need_no_shell() {
        for (text, instruction) in [
            ("node server.js", r#"CMD ["node", "server.js"]"#),
            ("  gunicorn  shop.wsgi ", r#"CMD ["gunicorn", "shop.wsgi"]"#),
            ("a --b=c", r#"CMD ["a", "--b=c"]"#),
            ("A=1 node x", "CMD A=1 node x"),
            ("uvicorn main:app --port $PORT", "CMD uvicorn main:app --port $PORT"),
            ("a && b", "CMD a && b"),
            ("[ -f x ] && y", "CMD true; [ -f x ] && y"),
            (r#"["a"]"#, r#"CMD true; ["a"]"#),
            ("echo \"hi\"", "CMD echo \"hi\""),
        ] {
            assert_eq!(Start::parse(text).unwrap().instruction(), instruction);
        }
    }

    #[test]
    fn what_would_reach_beyond_its_line_is_refused() {
        let long = "a ".repeat(1001);
        for text in ["", "  ", "a\nUSER root", "a\\", "a \\ ", "a\0", "a\rb", &long] {
            assert!(Start::parse(text).is_err(), "{text:?}");
        }
    }
}
