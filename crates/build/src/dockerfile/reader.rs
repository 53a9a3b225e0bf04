//! Going through a Dockerfile, instruction by instruction.

use std::collections::{BTreeMap, BTreeSet};

use model::image::Reference;

use super::expand::expand;
use super::instruction::{Instruction, flag_value};
use super::parse::File;
use super::stages::{PLATFORM, Source, Stage, Use, Values, given};
use super::{Invalid, words};
use crate::builder::Base;

/// Longest path, in bytes (path_resolution(7)).
const LONGEST_PATH: usize = 4096;

/// What was read.
pub(super) struct Read {
    pub stages: Vec<Stage>,
    /// Also those of stages that nobody needs.
    pub uses: Vec<Use>,
    pub workdirs: BTreeMap<usize, String>,
}

pub(super) fn read(file: &File, values: &Values) -> Result<Read, Invalid> {
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
    Ok(Read { stages: reader.stages, uses: reader.uses, workdirs: reader.workdirs })
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
            "ONBUILD" => onbuild(instruction, self.escape),
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
        if let Some(name) = name.as_deref().filter(|name| !is_name(name)) {
            return Err(invalid(format!(
                "{name:?} is no name of a stage: a letter and then letters, digits, -, _ and . are one"
            )));
        }
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
        self.stages.push(Stage { name, from: at, needs: BTreeSet::new(), is_built: false, workdir });
        self.note(at, word, source);
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
        // No folder has a longer path.
        stage.workdir.take_if(|path| path.len() > LONGEST_PATH);
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
        if matches!(source, Source::Stage(index) if index + 1 == self.stages.len()) {
            let reason =
                format!("{word} is the stage that this stands in; only another one can be copied from");
            return Err(Invalid::new(instruction.line, reason));
        }
        self.note(at, word, source);
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

    /// Notes what the stage that goes on needs.
    fn note(&mut self, at: usize, word: &str, source: Source) {
        let stage = self.stages.len() - 1;
        if let Source::Stage(index) = source {
            self.stages[stage].needs.insert(index);
        }
        self.uses.push(Use { at, word: word.to_owned(), source, stage });
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
                Ok(reference) => Ok(Source::Image(Base { reference, line })),
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

/// Whether a stage can be called so. The builder must not take a name for a number or see variables in it.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What is done in builds on top of this one. Their builder would have to fetch an image that nobody looked up.
fn onbuild(instruction: &Instruction, escape: char) -> Result<(), Invalid> {
    let Instruction { line, rest, .. } = instruction;
    let later = Instruction::new(*line, rest, String::new(), escape);
    let is_source = |field: &str| field.trim_matches(['"', '\'']).starts_with("from=");
    let mounts = later.flags.iter().filter_map(|flag| flag_value(flag, "mount"));
    if later.flag("from").is_some() || mounts.into_iter().any(|mount| mount.split(',').any(is_source)) {
        let reason = "ONBUILD with a source (from=) is not understood by the builder of this machine; only \
                      files of the repository can be taken then";
        return Err(Invalid::new(*line, reason));
    }
    Ok(())
}
