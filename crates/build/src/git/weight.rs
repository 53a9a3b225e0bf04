//! What a commit holds, looked at before any of it is written: a few fetched megabytes can be a file of ten gigabytes,
//! or a tree of a billion files.

use super::clean::line;
use super::error::Cause;

/// Folders in folders, those around a submodule with those in it. Whoever walks through a tree later holds each of them
/// open, and there is an end to that for the whole control plane.
pub(super) const DEEPEST: usize = 200;

/// How much may be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub bytes: u64,
    pub files: u64,
    /// Bytes of a single file.
    pub file: u64,
    /// Parts of a path.
    pub depth: usize,
}

impl Budget {
    /// What is left of the depth in a folder.
    pub fn below(self, path: &str) -> Self {
        Self { depth: self.depth.saturating_sub(depth(path)), ..self }
    }
}

/// What a commit holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub bytes: u64,
    pub files: u64,
    /// Paths of submodules with the commits that they are at.
    pub submodules: Vec<(String, String)>,
    /// Whether it has a `.gitmodules`, which says where submodules come from.
    pub has_modules: bool,
}

/// Reads `git ls-tree -r -l -z` as it comes: `MODE TYPE ID SIZE<TAB>PATH<NUL>`.
#[derive(Debug)]
pub(super) struct Scale {
    budget: Budget,
    weight: Weight,
    rest: Vec<u8>,
}

impl Scale {
    pub fn new(budget: Budget) -> Self {
        Self { budget, weight: Weight::default(), rest: Vec::new() }
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn take(&mut self, part: &[u8]) -> Result<(), Cause> {
        self.rest.extend_from_slice(part);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == 0) else {
            return match self.rest.len() > 1 << 20 {
                true => Err(Cause::Invalid("one of its names is longer than a megabyte".to_owned())),
                false => Ok(()),
            };
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        for entry in whole[..end].split(|byte| *byte == 0) {
            self.add(&String::from_utf8_lossy(entry))?;
        }
        Ok(())
    }

    pub fn weight(self) -> Weight {
        self.weight
    }

    fn add(&mut self, entry: &str) -> Result<(), Cause> {
        let Some((about, path)) = entry.split_once('\t') else { return Ok(()) };
        let mut about = about.split_ascii_whitespace();
        let (_mode, kind) = (about.next(), about.next());
        let (id, size) = (about.next().unwrap_or_default(), about.next().unwrap_or_default());
        if depth(path) > self.budget.depth {
            return Err(Cause::TooLarge(format!("it has folders in folders, {DEEPEST} deep and deeper")));
        }
        if kind == Some("commit") {
            self.weight.submodules.push((path.to_owned(), id.to_owned()));
        }
        let size: u64 = size.parse().unwrap_or(0);
        if size > self.budget.file {
            let (mib, most) = (size >> 20, self.budget.file >> 20);
            let path = line(path);
            return Err(Cause::TooLarge(format!(
                "the file {path:?} has {mib} MiB, and {most} MiB are the most"
            )));
        }
        self.weight.has_modules |= path == ".gitmodules";
        self.weight.bytes = self.weight.bytes.saturating_add(size);
        self.weight.files += 1;
        if self.weight.files > self.budget.files {
            return Err(Cause::TooLarge(format!("it has more than {} files", self.budget.files)));
        }
        if self.weight.bytes > self.budget.bytes {
            let most = self.budget.bytes >> 20;
            return Err(Cause::TooLarge(format!("its files have more than {most} MiB together")));
        }
        Ok(())
    }
}

fn depth(path: &str) -> usize {
    path.split('/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { bytes: 20 << 20, files: 4, file: 10 << 20, depth: 5 };

    fn weigh(parts: &[&str]) -> Result<Weight, String> {
        let mut scale = Scale::new(BUDGET);
        for part in parts {
            scale.take(part.as_bytes()).map_err(|cause| cause.to_string())?;
        }
        Ok(scale.weight())
    }

    #[test]
    fn a_tree_is_weighed_as_it_comes() {
        let weight = weigh(&[
            "100644 blob aa      12\tDocker",
            "file\x00120000 blob bb       3\tlink\x00160000 commit cc       -\tlib/sub\x00100644 bl",
            "ob dd    5\t.gitmodules\0",
        ])
        .unwrap();
        let submodules = vec![("lib/sub".to_owned(), "cc".to_owned())];
        assert_eq!(weight, Weight { bytes: 20, files: 4, submodules, has_modules: true });
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let file = |size: u64, name: &str| format!("100644 blob aa {size}\t{name}\0");
        let error = weigh(&[&file(10 << 30, "zeros\x1b")]).unwrap_err();
        assert_eq!(error, "it is too large: the file \"zeros\" has 10240 MiB, and 10 MiB are the most");
        let many: String = (0..5).map(|number| file(1, &number.to_string())).collect();
        assert!(weigh(&[&many]).unwrap_err().contains("more than 4 files"));
        let heavy: String = (0..3).map(|number| file(9 << 20, &number.to_string())).collect();
        assert!(weigh(&[&heavy]).unwrap_err().contains("more than 20 MiB together"));
        assert!(weigh(&[&file(1, "a/b/c/d/e")]).is_ok());
        assert!(weigh(&[&file(1, "a/b/c/d/e/f")]).unwrap_err().contains("folders in folders"));
        assert_eq!(BUDGET.below("lib/sub").depth, 3);
    }
}
