//! One instruction.

use super::words;

/// An instruction, its lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Where it begins, from 1.
    pub line: usize,
    /// In upper case.
    pub keyword: String,
    /// `--name` and `--name=value` before everything else, as written.
    pub flags: Vec<String>,
    /// What comes behind the flags.
    pub rest: String,
    /// Its lines as they stand in the file.
    pub raw: String,
    /// What its shell is told, when that stands in lines behind it.
    pub script: Option<String>,
}

impl Instruction {
    /// Parts a text without line ends.
    pub fn new(line: usize, text: &str, raw: String, escape: char) -> Self {
        let text = text.trim();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let mut rest = text[end..].trim_start();
        let mut flags = Vec::new();
        while rest.starts_with("--") {
            let end = words::end_of_word(rest, escape);
            flags.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        let keyword = text[..end].to_ascii_uppercase();
        Self { line, keyword, flags, rest: rest.to_owned(), raw, script: None }
    }

    /// As people read it, on one line.
    pub fn text(&self) -> String {
        let words = std::iter::once(&self.keyword).chain(&self.flags).chain([&self.rest]);
        words.map(String::as_str).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The value of a flag that is there once: `--from=VALUE`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find_map(|flag| flag_value(flag, name))
    }
}

/// The value of a flag, when it is the one of this name.
pub(super) fn flag_value<'a>(flag: &'a str, name: &str) -> Option<&'a str> {
    flag.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('=')
}

/// The name of a flag: `from` of `--from=0`.
pub(super) fn flag_name(flag: &str) -> &str {
    let name = flag.trim_start_matches("--");
    &name[..name.find('=').unwrap_or(name.len())]
}
