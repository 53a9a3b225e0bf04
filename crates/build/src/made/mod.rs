//! A Dockerfile for a repository that has none, from what its files say.
//!
//! Each kind of repository has a file here: it looks at a few small files through [`Repository`] and writes the text.
//! Nothing of the repository is run. Whatever comes from one of its files is checked before it stands in a line of
//! the Dockerfile ([`words`]).

use std::fmt;
use std::path::Path;

mod bases;
mod compiled;
mod go;
mod nearby;
mod node;
mod not_made;
mod php;
mod python;
mod repository;
mod rust;
mod server;
mod site;
mod start;
mod text;
mod versions;
mod words;

pub use bases::{Bases, BasesError};
pub use not_made::NotMade;
use repository::Repository;

/// A Dockerfile that was made. It needs no file beside those of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub text: String,
    pub kind: Kind,
}

/// What a repository was recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    StaticSite,
    Node,
    Python,
    Go,
    Rust,
    Php,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::StaticSite => "static site",
            Kind::Node => "Node.js",
            Kind::Python => "Python",
            Kind::Go => "Go",
            Kind::Rust => "Rust",
            Kind::Php => "PHP",
        })
    }
}

/// What one kind says of a repository.
enum Verdict {
    /// The files of this kind are not there.
    Other,
    /// They are, and this is the Dockerfile.
    Made(String),
    /// They are, but something is missing: what.
    Lacking(String),
}

type Look = fn(&Repository, &Bases) -> Result<Verdict, NotMade>;

/// In the order in which they are asked. Many repositories also hold a package.json, for what browsers get of them;
/// and many of Node.js an index.html, which is no site before it is built. A kind that finds nothing to start leaves
/// the word to the next: requirements.txt may list tools only.
const KINDS: [(Kind, Look); 6] = [
    (Kind::Php, php::look),
    (Kind::Go, go::look),
    (Kind::Rust, rust::look),
    (Kind::Python, python::look),
    (Kind::Node, node::look),
    (Kind::StaticSite, site::look),
];

/// Makes the Dockerfile for the files in a folder: the folder to build, which is also its context.
///
/// # Errors
/// Nothing in it is known, or a file that decides cannot be used.
pub fn make(folder: &Path, bases: &Bases) -> Result<Made, NotMade> {
    let repository = Repository::open(folder)?;
    let mut lacking = Vec::new();
    for (kind, look) in KINDS {
        match look(&repository, bases)? {
            Verdict::Made(text) => return Ok(Made { text, kind }),
            Verdict::Lacking(what) => lacking.push(format!("{kind}: {what}")),
            Verdict::Other => {}
        }
    }
    Err(NotMade::Unknown { lacking, nearby: nearby::places(&repository) })
}

#[cfg(test)]
mod tests;
