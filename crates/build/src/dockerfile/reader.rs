//! Going through a Dockerfile, instruction by instruction.

use std::collections::BTreeMap;

use model::image::Reference;

use super::expand::expand;
use super::instruction::{Instruction, flag_value};
use super::parse::File;
use super::stages::{PLATFORM, Stage, Use, Values, given};
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

/// What a word that names an image leads to.
enum Source {
    Stage(usize),
    Nothing,
    Image(Reference),
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
