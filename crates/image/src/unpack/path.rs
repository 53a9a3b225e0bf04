//! Names in a tar, made safe as text. What symbolic links make of them is settled later, by handle.

use super::report::Refusal;

/// Longest path of an entry, in bytes (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// Longest component, in bytes (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;
/// Most components of an entry's path.
const MAX_DEPTH: usize = 256;

/// A path relative to the layer's root: components without `.`, `..`, `/` and NUL. Empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryPath {
    components: Vec<Vec<u8>>,
}

/// What a name asks for (OCI image-spec, layer.md, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// The root directory.
    Root,
    /// An entry called this in its parent.
    Entry(&'a [u8]),
    /// What the layers below have under this name is gone.
    Whiteout(&'a [u8]),
    /// What the layers below have in the parent is gone.
    Opaque,
    /// Book-keeping of an old storage driver.
    Ignored,
}

impl EntryPath {
    /// Takes a name apart. A leading `/` is left out; a `..` that stays inside is resolved as text; one that
    /// climbs out of the layer is refused.
    pub fn parse(name: &[u8]) -> Result<Self, Refusal> {
        let refuse = |reason: &str| Err(Refusal::entry(name, reason));
        if name.is_empty() {
            return refuse("an entry without a name");
        }
        if name.len() > MAX_PATH {
            return refuse("the path is longer than 4096 bytes");
        }
        if name.contains(&0) {
            return refuse("the path holds a NUL byte");
        }
        let mut components: Vec<Vec<u8>> = Vec::new();
        for part in name.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if components.pop().is_none() {
                        return refuse("the path leads out of the image");
                    }
                }
                part if part.len() > MAX_COMPONENT => {
                    return refuse("a part of the path is longer than 255 bytes");
                }
                part => components.push(part.to_vec()),
            }
        }
        if components.len() > MAX_DEPTH {
            return refuse("the path is more than 256 directories deep");
        }
        Ok(Self { components })
    }

    /// What the last component asks for.
    pub fn meaning(&self) -> Result<Meaning<'_>, Refusal> {
        let Some((last, parents)) = self.components.split_last() else {
            return Ok(Meaning::Root);
        };
        if last == b".wh..wh..opq" && !parents.iter().any(|part| part.starts_with(b".wh.")) {
            return Ok(Meaning::Opaque);
        }
        if self.components.iter().any(|part| part.starts_with(b".wh..wh.")) {
            return Ok(Meaning::Ignored);
        }
        if parents.iter().any(|part| part.starts_with(b".wh.")) {
            return Err(Refusal::entry(&self.to_bytes(), "a whiteout cannot be a directory"));
        }
        match last.strip_prefix(b".wh.") {
            None => Ok(Meaning::Entry(last)),
            Some(b"" | b"." | b"..") => {
                Err(Refusal::entry(&self.to_bytes(), "a whiteout that names nothing"))
            }
            Some(name) => Ok(Meaning::Whiteout(name)),
        }
    }

    /// The components above the last one.
    pub fn parents(&self) -> &[Vec<u8>] {
        self.components.split_last().map_or(&[], |(_, parents)| parents)
    }

    pub fn last(&self) -> Option<&[u8]> {
        self.components.last().map(Vec::as_slice)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.components.join(&b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_layer() {
        for (name, path) in [
            ("a/b", "a/b"),
            ("/abs/path", "abs/path"),
            ("./", ""),
            (".", ""),
            ("/", ""),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("a/..", ""),
            ("C:\\x", "C:\\x"),
        ] {
            assert_eq!(EntryPath::parse(name.as_bytes()).unwrap().to_bytes(), path.as_bytes(), "{name}");
        }
        let long = format!("{}x", "x/".repeat(256));
        let wide = "x".repeat(256);
        for name in ["", "..", "../x", "../../x", "a/../../x", "/..", "a\0b", &long, &wide] {
            assert!(EntryPath::parse(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(EntryPath::parse(b"caf\xe9").is_ok(), "names are bytes");
    }

    #[test]
    fn whiteouts_name_something_beside_them() {
        let meaning = |name: &str| match EntryPath::parse(name.as_bytes()).unwrap().meaning() {
            Ok(meaning) => format!("{meaning:?}"),
            Err(refusal) => format!("refused {}", refusal.reason),
        };
        let entry = |name: &str| format!("{:?}", Meaning::Entry(name.as_bytes()));
        let whiteout = |name: &str| format!("{:?}", Meaning::Whiteout(name.as_bytes()));
        assert_eq!(meaning("."), "Root");
        assert_eq!(meaning("a/b"), entry("b"));
        assert_eq!(meaning("a/.wh.b"), whiteout("b"));
        assert_eq!(meaning(".wh.b"), whiteout("b"));
        assert_eq!(meaning("a/.wh..wh..opq"), "Opaque");
        for name in [".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.plnk/1.2", "a/.wh..wh.x/.wh..wh..opq"] {
            assert_eq!(meaning(name), "Ignored", "{name}");
        }
        for name in [".wh.", ".wh..", ".wh...", "a/.wh..", ".wh.a/b", "a/.wh.b/.wh.c"] {
            assert!(meaning(name).starts_with("refused"), "{name}");
        }
    }
}
