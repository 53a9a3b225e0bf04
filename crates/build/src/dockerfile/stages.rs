//! Stages: which of them count, what their variables give, which images they begin with or copy from.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::instruction::Instruction;
use super::parse::File;
use super::reader::{Read, read};
use super::{Invalid, words};
use crate::builder::Base;

/// What the build's variables say, by name.
pub(crate) type Values = BTreeMap<String, Zeroizing<String>>;

/// The platform that is built for, and on (Docker's "Automatic platform ARGs").
pub(super) const PLATFORM: [(&str, &str); 8] = [
    ("TARGETPLATFORM", "linux/amd64"),
    ("TARGETOS", "linux"),
    ("TARGETARCH", "amd64"),
    ("TARGETVARIANT", ""),
    ("BUILDPLATFORM", "linux/amd64"),
    ("BUILDOS", "linux"),
    ("BUILDARCH", "amd64"),
    ("BUILDVARIANT", ""),
];

/// Most base images. Each is asked for at its registry and brought here.
const MOST_BASES: usize = 50;

/// A Dockerfile that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) file: File,
    pub(super) stages: Vec<Stage>,
    /// Where instructions name stages and base images, in their order.
    pub(super) uses: Vec<Use>,
    /// The folder that each `RUN` runs in, as far as the file tells, by the instruction's index.
    pub(super) workdirs: BTreeMap<usize, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// As written. Another one may be called the same.
    pub name: Option<String>,
    /// Its `FROM`, as an index of the file's instructions.
    pub from: usize,
    /// Stages that it needs, by index.
    pub needs: BTreeSet<usize>,
    /// Whether the last stage needs it; others are not built.
    pub is_built: bool,
    /// The folder that its steps run in, as far as the file tells.
    pub workdir: Option<String>,
}

/// A stage or a base image, where it is named.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// Index of the instruction.
    pub at: usize,
    /// The word that names it, as written.
    pub word: String,
    pub source: Source,
    pub stage: usize,
}

/// What a word that names an image leads to.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// By index.
    Stage(usize),
    /// `scratch`.
    Nothing,
    Image(Base),
}

/// One step of a stage, as the builder counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Name of its stage, or the stage's number from 1.
    pub stage: String,
    /// The instruction, as written, on one line.
    pub text: String,
    /// From 1.
    pub line: usize,
}

pub(super) fn plan(file: File, values: &Values) -> Result<Plan, Invalid> {
    let Read { mut stages, uses, workdirs } = read(&file, values)?;
    if stages.is_empty() {
        let line = file.instructions.last().map_or(1, |last| last.line);
        return Err(Invalid::new(line, "it has no FROM"));
    }
    mark_built(&mut stages);
    let plan = Plan { file, stages, uses, workdirs };
    match plan.bases().get(MOST_BASES) {
        Some(base) => {
            Err(Invalid::new(base.line, format!("more than {MOST_BASES} base images are not fetched")))
        }
        None => Ok(plan),
    }
}

/// The last stage is wanted, and what it needs, and what that needs.
fn mark_built(stages: &mut [Stage]) {
    let mut wanted = vec![stages.len() - 1];
    while let Some(index) = wanted.pop() {
        if !std::mem::replace(&mut stages[index].is_built, true) {
            wanted.extend(&stages[index].needs);
        }
    }
}

impl Plan {
    /// The base images of the stages that are built, each once, with the line that names it first.
    pub fn bases(&self) -> Vec<Base> {
        let mut bases: Vec<Base> = Vec::new();
        for one in self.uses.iter().filter(|one| self.stages[one.stage].is_built) {
            if let Source::Image(base) = &one.source
                && !bases.iter().any(|known| known.reference == base.reference)
            {
                bases.push(base.clone());
            }
        }
        bases
    }

    /// What the builder calls a stage: as written, or by its number where several are called the same.
    pub(super) fn stage_name(&self, index: usize) -> String {
        self.only_name(index).map_or_else(|| index.to_string(), str::to_owned)
    }

    /// The name of a stage, when no other one is called so, whatever the case of its letters.
    pub(super) fn only_name(&self, index: usize) -> Option<&str> {
        let name = self.stages[index].name.as_deref()?;
        let is_it =
            |stage: &&Stage| stage.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name));
        (self.stages.iter().filter(is_it).count() == 1).then_some(name)
    }

    /// The steps of each stage, as the rewritten file has them; a stage that is not built has none.
    pub fn steps(&self) -> Vec<Vec<Step>> {
        let ends = self.stages.iter().skip(1).map(|stage| stage.from).chain([self.file.instructions.len()]);
        let ranges = self.stages.iter().zip(ends).enumerate();
        ranges
            .map(|(index, (stage, end))| {
                let label = stage.name.clone().unwrap_or_else(|| (index + 1).to_string());
                let instructions = self.file.instructions[stage.from..end].iter().filter(|_| stage.is_built);
                instructions.flat_map(|one| steps_of(one, &label, self.file.escape)).collect()
            })
            .collect()
    }
}

/// An `ARG` of several variables becomes several instructions: Debian's builder wants them so.
fn steps_of(instruction: &Instruction, stage: &str, escape: char) -> Vec<Step> {
    let step = |text| Step { stage: stage.to_owned(), text, line: instruction.line };
    match instruction.keyword.as_str() {
        "ARG" => {
            let words = words::split(&instruction.rest, escape).into_iter();
            words.map(|word| step(format!("ARG {word}"))).collect()
        }
        _ => vec![step(instruction.text())],
    }
}

/// The value that an `ARG` has without being told: the build's own variable, or the platform's.
pub(super) fn given<'a>(values: &'a Values, name: &str) -> Option<&'a str> {
    let platform = || PLATFORM.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    values.get(name).map(|value| value.as_str()).or_else(platform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse::parse;

    fn refused(text: &str) -> Invalid {
        plan(parse(text).unwrap(), &Values::new()).unwrap_err()
    }

    #[test]
    fn a_dockerfile_takes_no_more_memory_and_registries_than_is_sensible() {
        let mut text = "ARG A0=0123456789\n".to_owned();
        for number in 1..60 {
            text += &format!("ARG A{number}=$A{0}$A{0}\n", number - 1);
        }
        assert!(refused(&(text + "FROM $A59\n")).reason.contains("longer than 64 KiB"));

        let many: String = (0..51).map(|number| format!("COPY --from=image:{number} a b\n")).collect();
        let invalid = refused(&format!("FROM scratch\n{many}"));
        assert_eq!(invalid, Invalid::new(52, "more than 50 base images are not fetched"));
    }
}
