//! Here-documents: lines behind an instruction that belong to it (Docker's "Here-Documents"). Debian's builder does not
//! know them, but what a `RUN` does with them can be written as the arguments of its shell.

use super::words;

/// A here-document as an instruction announces it: `<<NAME`, `<<-NAME`, `3<<"NAME"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// The line that ends it.
    name: String,
    /// Whether tabs before its lines are none of it.
    without_tabs: bool,
}

/// The here-documents that an instruction announces, in their order.
pub(super) fn announced(rest: &str, escape: char) -> Vec<Document> {
    if rest.starts_with('[') {
        return Vec::new();
    }
    words::split(rest, escape).into_iter().filter_map(document).collect()
}

fn document(word: &str) -> Option<Document> {
    let word = word.trim_start_matches(|character: char| character.is_ascii_digit()).strip_prefix("<<")?;
    let (word, without_tabs) = word.strip_prefix('-').map_or((word, false), |word| (word, true));
    let name = word.trim_matches(['"', '\'']);
    let begins = name.starts_with(|character: char| character.is_ascii_alphabetic() || character == '_');
    let goes_on = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    (begins && name.chars().all(goes_on)).then(|| Document { name: name.to_owned(), without_tabs })
}

/// Reads the lines of a document; `None`: they have no end.
pub(super) fn read<'a>(document: &Document, lines: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    for line in lines {
        let line = if document.without_tabs { line.trim_start_matches('\t') } else { line };
        if line == document.name {
            return Some(text);
        }
        text.push_str(line);
        text.push('\n');
    }
    None
}

/// What the shell of a `RUN` is told: the document itself where nothing else is there, else the command with its
/// documents, which the shell understands by itself.
pub(super) fn script(rest: &str, documents: &[(Document, String)]) -> Result<String, &'static str> {
    if let [(_, text)] = documents
        && rest.split_whitespace().count() == 1
    {
        return match text.starts_with("#!") {
            true => Err(
                "RUN <<… with another interpreter (#!) is not understood by the builder of this machine; \
                         write for example RUN python3 <<…",
            ),
            false => Ok(text.clone()),
        };
    }
    let ended = documents.iter().map(|(document, text)| format!("{text}{}\n", document.name));
    Ok(format!("{rest}\n{}", ended.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rest: &str) -> Vec<String> {
        announced(rest, '\\').into_iter().map(|document| document.name).collect()
    }

    #[test]
    fn only_words_of_their_own_announce_one() {
        assert_eq!(names("<<EOF"), ["EOF"]);
        assert_eq!(names("cat <<-'ONE' > /a && cat 3<<\"TWO\""), ["ONE", "TWO"]);
        for rest in
            ["echo \"a <<EOF\"", "x=$((1<<3))", "cat <<< b", "[\"a\", \"<<EOF\"]", "a << EOF", "a <<3"]
        {
            assert!(names(rest).is_empty(), "{rest}");
        }
    }

    #[test]
    fn lines_are_read_to_the_name() {
        let document = |rest| announced(rest, '\\').remove(0);
        let text = "one\n\n# two\n\tEOF\n EOF\nEOF\nRUN x";
        assert_eq!(read(&document("<<EOF"), &mut text.lines()).unwrap(), "one\n\n# two\n\tEOF\n EOF\n");
        assert_eq!(read(&document("<<-EOF"), &mut text.lines()).unwrap(), "one\n\n# two\n");
        assert_eq!(read(&document("<<END"), &mut text.lines()), None);
    }

    #[test]
    fn a_script_is_what_the_shell_is_told() {
        let documents = |rest: &str| vec![(announced(rest, '\\').remove(0), "echo a\n".to_owned())];
        assert_eq!(script("<<EOF", &documents("<<EOF")).unwrap(), "echo a\n");
        assert_eq!(
            script("cat <<EOF > b", &documents("cat <<EOF > b")).unwrap(),
            "cat <<EOF > b\necho a\nEOF\n"
        );
        let python = vec![(documents("<<EOF")[0].0.clone(), "#!/usr/bin/python3\n".to_owned())];
        assert!(script("<<EOF", &python).unwrap_err().contains("python3 <<"));
    }
}
