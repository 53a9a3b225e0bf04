//! What stands in a repository for a file that is elsewhere (docs/spec.md, "The Pointer").

use std::fs;
use std::path::Path;

use crate::git::error::Cause;

/// A pointer is smaller than this, in bytes.
const LARGEST: u64 = 1024;
const FIRST_LINE: &str = "version https://git-lfs.github.com/spec/v1";

/// Which file it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// SHA-256 of the file, 64 lower-case hex digits.
    pub id: String,
    /// In bytes.
    pub size: u64,
}

impl Pointer {
    /// The pointer that a file is; a link and everything else is none.
    pub fn of_file(path: &Path) -> Result<Option<Self>, Cause> {
        let storage = |error| Cause::storage("read", path, error);
        let data = fs::symlink_metadata(path).map_err(storage)?;
        if !data.is_file() || data.len() >= LARGEST {
            return Ok(None);
        }
        let bytes = fs::read(path).map_err(storage)?;
        Ok(std::str::from_utf8(&bytes).ok().and_then(Self::read))
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::to_owned)
        };
        let id = value("oid")?.strip_prefix("sha256:")?.to_owned();
        let is_sum = id.len() == 64 && model::git::is_commit_id(&id);
        let size = value("size")?.parse().ok()?;
        is_sum.then_some(Self { id, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_pointer_is_one() {
        let id = "a".repeat(64);
        let text =
            |version: &str, oid: &str, size: &str| format!("version {version}\noid {oid}\nsize {size}\n");
        let v1 = "https://git-lfs.github.com/spec/v1";
        let good = text(v1, &format!("sha256:{id}"), "12");
        assert_eq!(Pointer::read(&good), Some(Pointer { id: id.clone(), size: 12 }));
        for bad in [
            text("https://hawser.github.com/spec/v0", &format!("sha256:{id}"), "12"),
            text(v1, &format!("md5:{id}"), "12"),
            text(v1, "sha256:../../etc/passwd", "12"),
            text(v1, &format!("sha256:{id}"), "-1"),
            "hello\n".to_owned(),
        ] {
            assert_eq!(Pointer::read(&bad), None, "{bad}");
        }
    }
}
