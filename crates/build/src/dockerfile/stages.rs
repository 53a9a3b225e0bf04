//! Stages: which of them count, what their variables give, which images they begin with or copy from.

use std::collections::{BTreeMap, BTreeSet};

use model::image::Reference;
use zeroize::Zeroizing;

use super::expand::expand;
use super::instruction::{Instruction, flag_value};
use super::parse::File;
use super::{Invalid, words};
use crate::builder::Base;

/// What the build's variables say, by name.
pub(crate) type Values = BTreeMap<String, Zeroizing<String>>;

/// The platform that is built for, and on (Docker's "Automatic platform ARGs").
const PLATFORM: [(&str, &str); 8] = [
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
    /// Where instructions name base images, in their order.
    pub(super) uses: Vec<Use>,
    /// The folder that each `RUN` runs in, as far as the file tells, by the instruction's index.
    pub(super) workdirs: BTreeMap<usize, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// As written.
    pub name: Option<String>,
    /// Its `FROM`, as an index of the file's instructions.
    pub from: usize,
    /// Stages that it needs, by index.
    needs: BTreeSet<usize>,
    /// Whether the last stage needs it; others are not built.
    pub is_built: bool,
    /// The folder that its steps run in, as far as the file tells.
    workdir: Option<String>,
}

/// A base image, where it is named.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// Index of the instruction.
    pub at: usize,
    /// The word that names it, as written.
    pub word: String,
    pub base: Base,
    stage: usize,
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

/// What a word that names an image leads to.
enum Source {
    Stage(usize),
    Nothing,
    Image(Reference),
}

pub(super) fn plan(file: File, values: &Values) -> Result<Plan, Invalid> {
    let mut reader = Reader {
        values,
        globals: BTreeMap::new(),
        locals: BTreeMap::new(),
        env: BTreeMap::new(),
        workdirs: BTreeMap::new(),
        stages: Vec::new(),
        uses: Vec::new(),
        escape: file.escape,
    };
    for (at, instruction) in file.instructions.iter().enumerate() {
        reader.read(at, instruction)?;
    }
    let Reader { mut stages, mut uses, workdirs, .. } = reader;
    if stages.is_empty() {
        let line = file.instructions.last().map_or(1, |last| last.line);
        return Err(Invalid::new(line, "it has no FROM"));
    }
    mark_built(&mut stages);
    uses.retain(|one| stages[one.stage].is_built);
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
    /// The base images, each once, with the line that names it first.
    pub fn bases(&self) -> Vec<Base> {
        let mut bases: Vec<Base> = Vec::new();
        for one in &self.uses {
            if !bases.iter().any(|known| known.reference == one.base.reference) {
                bases.push(one.base.clone());
            }
        }
        bases
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

/// Goes through a file and remembers what each variable is at that point.
struct Reader<'a> {
    values: &'a Values,
    /// Of the `ARG`s before the first `FROM`; `None`: declared without a value.
    globals: BTreeMap<String, Option<String>>,
    /// Of the `ARG`s of the stage.
    locals: BTreeMap<String, Option<String>>,
    /// Of the `ENV`s of the stage, which stand over those.
    env: BTreeMap<String, Option<String>>,
    workdirs: BTreeMap<usize, String>,
    stages: Vec<Stage>,
    uses: Vec<Use>,
    escape: char,
}

impl Reader<'_> {
    fn read(&mut self, at: usize, instruction: &Instruction) -> Result<(), Invalid> {
        match instruction.keyword.as_str() {
            "ARG" => self.arg(instruction),
            "FROM" => self.from(at, instruction),
            keyword if self.stages.is_empty() => {
                Err(Invalid::new(instruction.line, format!("{keyword} stands before the first FROM")))
            }
            "ENV" => {
                self.env(instruction);
                Ok(())
            }
            "WORKDIR" => {
                self.workdir(instruction);
                Ok(())
            }
            "COPY" => match instruction.flag("from") {
                Some(word) => self.take(at, instruction, word),
                None => Ok(()),
            },
            "RUN" => {
                if let Some(workdir) = self.stages.last().and_then(|stage| stage.workdir.clone()) {
                    self.workdirs.insert(at, workdir);
                }
                let mounts = instruction.flags.iter().filter_map(|flag| flag_value(flag, "mount"));
                mounts.into_iter().try_for_each(|mount| self.mount(at, instruction, mount))
            }
            _ => Ok(()),
        }
    }

    fn arg(&mut self, instruction: &Instruction) -> Result<(), Invalid> {
        for word in words::split(&instruction.rest, self.escape) {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (word, None),
            };
            let default = default.map(|word| self.expanded(instruction.line, word)).transpose()?;
            let value = match given(self.values, name) {
                Some(value) => Some(value.to_owned()),
                None => default.or_else(|| self.globals.get(name).cloned().flatten()),
            };
            let scope = if self.stages.is_empty() { &mut self.globals } else { &mut self.locals };
            scope.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn from(&mut self, at: usize, instruction: &Instruction) -> Result<(), Invalid> {
        let invalid = |reason: String| Invalid::new(instruction.line, reason);
        // Only the variables before the first FROM count in a FROM.
        self.locals.clear();
        self.env.clear();
        let (word, name) = match words::split(&instruction.rest, self.escape)[..] {
            [word] => (word, None),
            [word, between, name] if between.eq_ignore_ascii_case("as") => (word, Some(name.to_owned())),
            _ => return Err(invalid("FROM is written FROM IMAGE or FROM IMAGE AS NAME".to_owned())),
        };
        if let Some(platform) = instruction.flag("platform") {
            let platform = self.expanded(instruction.line, platform)?;
            if !["linux/amd64", "linux/x86_64", "linux", ""].contains(&&*platform) {
                return Err(invalid(format!(
                    "--platform={platform} is not built here; this machine is linux/amd64"
                )));
            }
        }
        let source = self.source(instruction.line, word)?;
        let workdir = match &source {
            Source::Stage(index) => self.stages[*index].workdir.clone(),
            Source::Nothing => Some("/".to_owned()),
            Source::Image(_) => None,
        };
        let index = self.stages.len();
        let needs = self.needs(at, instruction.line, word, source, index);
        self.stages.push(Stage {
            name,
            from: at,
            needs: needs.into_iter().collect(),
            is_built: false,
            workdir,
        });
        Ok(())
    }

    /// `ENV A=b C=d`, or `ENV A b`. A value that cannot be read is none.
    fn env(&mut self, instruction: &Instruction) {
        let words = words::split(&instruction.rest, self.escape);
        let pairs: Vec<(&str, &str)> = match words[..] {
            [name, ..] if !name.contains('=') => vec![(name, instruction.rest[name.len()..].trim_start())],
            _ => words.iter().filter_map(|word| word.split_once('=')).collect(),
        };
        for (name, value) in pairs {
            let value = self.expanded(instruction.line, value).ok();
            self.env.insert(name.to_owned(), value);
        }
    }

    fn workdir(&mut self, instruction: &Instruction) {
        let path = self.expanded(instruction.line, &instruction.rest).ok();
        let Some(stage) = self.stages.last_mut() else { return };
        stage.workdir = match (path, &stage.workdir) {
            (Some(path), _) if path.starts_with('/') => Some(path),
            (Some(path), Some(before)) => Some(format!("{}/{path}", before.trim_end_matches('/'))),
            _ => None,
        };
    }

    /// `COPY --from=` and `from=` of a mount.
    fn take(&mut self, at: usize, instruction: &Instruction, word: &str) -> Result<(), Invalid> {
        let source = match word.parse::<usize>() {
            Ok(number) if number + 1 < self.stages.len() => Source::Stage(number),
            Ok(number) => {
                let reason = format!("there is no stage {number} before this one; the first is 0");
                return Err(Invalid::new(instruction.line, reason));
            }
            Err(_) => self.source(instruction.line, word)?,
        };
        let stage = self.stages.len() - 1;
        let needed = self.needs(at, instruction.line, word, source, stage);
        self.stages[stage].needs.extend(needed);
        Ok(())
    }

    fn mount(&mut self, at: usize, instruction: &Instruction, mount: &str) -> Result<(), Invalid> {
        let fields = || {
            mount
                .split(',')
                .map(|field| field.trim_matches(['"', '\'']).split_once('=').unwrap_or((field, "")))
        };
        let field = |name: &str| fields().find(|(known, _)| *known == name).map(|(_, value)| value);
        let invalid = |reason: &str| Err(Invalid::new(instruction.line, reason));
        match (field("type"), field("env")) {
            (Some("ssh"), _) => {
                return invalid("RUN --mount=type=ssh needs a person's SSH agent; there is none here");
            }
            (Some("secret"), Some(_)) => {
                return invalid(
                    "RUN --mount=type=secret with env= is not understood by the builder of this machine; \
                     read the file /run/secrets/ID instead",
                );
            }
            _ => {}
        }
        match field("from") {
            Some(word) => self.take(at, instruction, word),
            None => Ok(()),
        }
    }

    /// Notes a base image, or gives the stage that is needed.
    fn needs(&mut self, at: usize, line: usize, word: &str, source: Source, stage: usize) -> Option<usize> {
        match source {
            Source::Stage(index) => return Some(index),
            Source::Nothing => {}
            Source::Image(reference) => {
                self.uses.push(Use { at, word: word.to_owned(), base: Base { reference, line }, stage });
            }
        }
        None
    }

    fn source(&self, line: usize, word: &str) -> Result<Source, Invalid> {
        let name = self.expanded(line, word)?;
        let is_it =
            |stage: &Stage| stage.name.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(&name));
        if let Some(index) = self.stages.iter().rposition(is_it) {
            return Ok(Source::Stage(index));
        }
        match name.as_str() {
            "scratch" => Ok(Source::Nothing),
            "" => Err(Invalid::new(line, format!("{word} is empty: its variables have no value"))),
            _ => match Reference::parse(&name) {
                Ok(reference) => Ok(Source::Image(reference)),
                Err(error) => {
                    Err(Invalid::new(line, format!("the name of the base image is wrong: {error}")))
                }
            },
        }
    }

    fn expanded(&self, line: usize, word: &str) -> Result<String, Invalid> {
        let value = |name: &str| {
            let platform =
                || PLATFORM.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let declared =
                self.env.get(name).or_else(|| self.locals.get(name)).or_else(|| self.globals.get(name));
            declared.map_or_else(platform, Clone::clone)
        };
        expand(word, self.escape, &value).map_err(|reason| Invalid::new(line, reason))
    }
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
