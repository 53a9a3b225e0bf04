//! Dockerfiles, as far as they have to be understood before a build: which base images they name, which steps they
//! have, and how they read once every base image is here under a name of our own.
//!
//! Pure text. The reference is Docker's "Dockerfile reference"; what Debian's builder does not know is refused here,
//! with the line, because its own words would be hard to place.

mod expand;
mod here;
mod instruction;
mod parse;
mod reader;
mod rewrite;
mod stages;
mod words;

pub(crate) use rewrite::{as_written, rewrite};
pub(crate) use stages::{Plan, Step, Values};

/// What is wrong with a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// From 1.
    pub line: usize,
    /// A sentence's end: `COPY has no destination`.
    pub reason: String,
}

impl Invalid {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// Reads a Dockerfile and looks up what its variables give.
pub(crate) fn plan(text: &str, values: &Values) -> Result<Plan, Invalid> {
    stages::plan(parse::parse(text)?, values)
}

#[cfg(test)]
mod tests;
