//! A file into its instructions.

use super::here::Document;
use super::instruction::{Instruction, flag_name};
use super::{Invalid, here, words};

/// A Dockerfile's instructions, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// What joins lines and takes the meaning from a character: `\`, or `` ` `` where a directive says so.
    pub escape: char,
    pub instructions: Vec<Instruction>,
}

/// Most bytes of a Dockerfile.
const LONGEST: usize = 1 << 20;
/// Most instructions, each variable of an `ARG` counted as one.
const MOST: usize = 2000;

/// Instructions and the flags that Debian's builder understands with them.
const KNOWN: [(&str, &[&str]); 18] = [
    ("ADD", &["chown", "chmod", "link"]),
    ("ARG", &[]),
    ("CMD", &[]),
    ("COPY", &["from", "chown", "chmod", "link"]),
    ("ENTRYPOINT", &[]),
    ("ENV", &[]),
    ("EXPOSE", &[]),
    ("FROM", &["platform"]),
    ("HEALTHCHECK", &["interval", "timeout", "start-period", "retries"]),
    ("LABEL", &[]),
    ("MAINTAINER", &[]),
    ("ONBUILD", &[]),
    ("RUN", &["mount", "network"]),
    ("SHELL", &[]),
    ("STOPSIGNAL", &[]),
    ("USER", &[]),
    ("VOLUME", &[]),
    ("WORKDIR", &[]),
];

pub(super) fn parse(text: &str) -> Result<File, Invalid> {
    if text.len() > LONGEST {
        return Err(Invalid::new(1, format!("it has {} bytes, and 1 MiB is the most", text.len())));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape(text)?;
    let mut instructions = Vec::new();
    let mut count = 0;
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((line, first)) = lines.next() {
        if is_nothing(first) {
            continue;
        }
        let mut raw = first.to_owned();
        let mut joined = String::new();
        let mut part = first;
        while let Some(before) = continued(part, escape) {
            joined.push_str(before);
            // Comments and empty lines between the lines of an instruction are none of it.
            let Some((_, next)) =
                lines.by_ref().inspect(|(_, line)| add(&mut raw, line)).find(|(_, line)| !is_nothing(line))
            else {
                part = "";
                break;
            };
            part = next;
        }
        joined.push_str(part);
        let mut instruction = Instruction::new(line, &joined, raw, escape);
        check(&instruction)?;
        instruction.script = script(&instruction, escape, &mut lines.by_ref().map(|(_, line)| line))?;
        count += match instruction.keyword.as_str() {
            "ARG" | "ENV" => words::split(&instruction.rest, escape).len(),
            _ => 1,
        };
        if count > MOST {
            return Err(Invalid::new(line, format!("more than {MOST} instructions are not built")));
        }
        instructions.push(instruction);
    }
    Ok(File { escape, instructions })
}

fn add(raw: &mut String, line: &str) {
    raw.push('\n');
    raw.push_str(line);
}

fn is_nothing(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// What stands before the character that joins this line with the next.
fn continued(line: &str, escape: char) -> Option<&str> {
    line.trim_end().strip_suffix(escape)
}

/// Directives are comments before everything else; the first comment that is none ends them.
fn escape(text: &str) -> Result<char, Invalid> {
    for (index, line) in text.lines().enumerate() {
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|comment| comment.split_once('='))
        else {
            break;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "escape" => {
                return match value.trim() {
                    "\\" => Ok('\\'),
                    "`" => Ok('`'),
                    other => Err(Invalid::new(
                        index + 1,
                        format!("the escape character is \\ or `, not {other:?}"),
                    )),
                };
            }
            "syntax" | "check" => {}
            _ => break,
        }
    }
    Ok('\\')
}

fn check(instruction: &Instruction) -> Result<(), Invalid> {
    let Instruction { line, keyword, .. } = instruction;
    let invalid = |reason: String| Err(Invalid::new(*line, reason));
    let Some((_, flags)) = KNOWN.iter().find(|(known, _)| known == keyword) else {
        let shown: String = keyword.chars().take(40).collect();
        return invalid(format!("{shown:?} is no instruction"));
    };
    if let Some(flag) =
        instruction.flags.iter().map(|flag| flag_name(flag)).find(|flag| !flags.contains(flag))
    {
        return invalid(format!("{keyword} --{flag} is not understood by the builder of this machine"));
    }
    if let Some(network) = instruction.flag("network").filter(|network| *network != "default") {
        return invalid(format!("RUN --network={network} is not understood by the builder of this machine"));
    }
    if instruction.rest.is_empty() {
        return invalid(format!("{keyword} has nothing behind it"));
    }
    Ok(())
}

/// Reads the here-documents of an instruction; gives what its shell is told, if it has any.
fn script<'a>(
    instruction: &Instruction,
    escape: char,
    lines: &mut impl Iterator<Item = &'a str>,
) -> Result<Option<String>, Invalid> {
    let Instruction { line, keyword, rest, .. } = instruction;
    let invalid = |reason: &str| Invalid::new(*line, reason);
    let announced = match keyword.as_str() {
        "RUN" | "COPY" | "ADD" => here::announced(rest, escape),
        _ => return Ok(None),
    };
    if announced.is_empty() {
        return Ok(None);
    }
    if keyword != "RUN" {
        return Err(invalid(&format!(
            "{keyword} with a here-document (<<) is not understood by the builder of this machine; \
             put the text into a file of the repository"
        )));
    }
    let read = |document: Document| {
        let text = here::read(&document, lines).ok_or_else(|| invalid("its here-document has no end"))?;
        Ok((document, text))
    };
    let documents = announced.into_iter().map(read).collect::<Result<Vec<_>, Invalid>>()?;
    here::script(rest, &documents).map(Some).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        parse(text).unwrap().instructions.iter().map(|one| (one.line, one.text())).collect()
    }

    #[test]
    fn lines_are_joined_and_counted() {
        let text = "# syntax=docker/dockerfile:1\n\nfrom a AS b\n# said\nRUN one && \\\n  # not said\n\n  two \\ \n three\nCopy --from=b  x y\n";
        assert_eq!(
            texts(text),
            [
                (3, "FROM a AS b".to_owned()),
                (5, "RUN one &&   two  three".to_owned()),
                (10, "COPY --from=b x y".to_owned())
            ]
        );
        assert_eq!(
            texts("FROM a\r\nRUN b \\\r\n c\r\n"),
            [(1, "FROM a".to_owned()), (2, "RUN b  c".to_owned())]
        );
        assert_eq!(texts("\u{feff}FROM a\nRUN b \\"), [(1, "FROM a".to_owned()), (2, "RUN b".to_owned())]);
    }

    #[test]
    fn the_escape_character_can_be_another() {
        let file = parse("# escape=`\nFROM a\nRUN b `\n c\\\nCMD d").unwrap();
        assert_eq!(file.escape, '`');
        assert_eq!(file.instructions[1].rest, "b  c\\");
        assert_eq!(parse("# a comment\n# escape=`\nFROM a").unwrap().escape, '\\');
        assert_eq!(parse("# escape=x\nFROM a").unwrap_err().line, 1);
    }

    #[test]
    fn flags_stand_before_the_rest() {
        let file =
            parse("FROM a\nRUN --mount=type=cache,target=\"/a b\" --network=default make --flag").unwrap();
        let run = &file.instructions[1];
        assert_eq!(run.flags, ["--mount=type=cache,target=\"/a b\"", "--network=default"]);
        assert_eq!(run.rest, "make --flag");
        assert_eq!(run.flag("network"), Some("default"));
        assert_eq!(run.flag("net"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, line, part) in [
            ("FROM a\nRUM b", 2, "\"RUM\" is no instruction"),
            ("FROM a\n\nCOPY", 3, "COPY has nothing"),
            ("FROM a\nADD --checksum=sha256:1 b c", 2, "ADD --checksum"),
            ("FROM a\nCOPY --parents b c", 2, "COPY --parents"),
            ("FROM a\nRUN --network=none b", 2, "RUN --network=none"),
            ("FROM a\nRUN <<EOF\necho\n", 2, "has no end"),
            ("FROM a\nCOPY <<-\"END\" /b\nx\nEND", 2, "here-document"),
            (&format!("FROM a\nARG {}", "b ".repeat(2000)), 2, "more than 2000"),
            (&"FROM a\n".repeat(2001), 2001, "more than 2000"),
        ] {
            let invalid = parse(text).unwrap_err();
            assert_eq!(invalid.line, line, "{text}");
            assert!(invalid.reason.contains(part), "{text}: {}", invalid.reason);
        }
    }

    #[test]
    fn a_here_document_belongs_to_its_run() {
        let file =
            parse("FROM a\nRUN --mount=type=cache,target=/c <<EOF\nCOPY x\n# y\nEOF\nUSER b\n").unwrap();
        assert_eq!(file.instructions[1].script.as_deref(), Some("COPY x\n# y\n"));
        assert_eq!((file.instructions.len(), file.instructions[2].line), (3, 6));
    }
}
