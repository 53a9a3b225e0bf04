//! A Dockerfile as the builder gets it: base images by names of our own, stages by the one name that the builder knows
//! them by, variables with their values. So the builder finds what was understood here: it minds the case of a stage's
//! name, and does not know every variable in it.

use std::collections::BTreeMap;

use model::image::{Digest, Reference};

use super::instruction::{Instruction, flag_name, flag_value};
use super::stages::{Plan, Source, Use, Values, given};
use super::words;

/// What a base image is called in the builder's own store.
pub(crate) fn local_name(manifest: &Digest) -> String {
    format!("localhost/base:{}", manifest.hex())
}

/// Writes the file anew. `manifests` has the manifest of every base image.
///
/// Values stand in the file, which only the builder sees: in arguments and environments they could be read.
pub(crate) fn rewrite(plan: &Plan, manifests: &BTreeMap<String, Digest>, values: &Values) -> String {
    let mut text = String::new();
    if plan.file.escape != '\\' {
        text.push_str(&format!("# escape={}\n", plan.file.escape));
    }
    let mut shells = Shells::default();
    for (at, instruction) in plan.file.instructions.iter().enumerate() {
        shells.read(plan, at, instruction);
        let uses: Vec<&Use> = plan.uses.iter().filter(|one| one.at == at).collect();
        let named = |word: &str| match &uses.iter().find(|one| one.word == word)?.source {
            Source::Stage(index) => Some(plan.stage_name(*index)),
            Source::Nothing => Some("scratch".to_owned()),
            Source::Image(base) => manifests.get(&base.reference.to_string()).map(local_name),
        };
        let place = Place { shell: shells.current(), workdir: plan.workdirs.get(&at).map(String::as_str) };
        text.push_str(&match instruction.keyword.as_str() {
            "FROM" => from(plan, at, instruction, &named),
            _ => written(instruction, &named, place, plan.file.escape, values),
        });
        text.push('\n');
    }
    text
}

/// What the instructions before one say for it.
#[derive(Clone, Copy)]
struct Place<'a> {
    shell: &'a [String],
    /// The folder that it runs in; `None`: the base image knows it.
    workdir: Option<&'a str>,
}

/// The shell of each stage, as far as the file tells.
#[derive(Default)]
struct Shells(Vec<Vec<String>>);

impl Shells {
    fn read(&mut self, plan: &Plan, at: usize, instruction: &Instruction) {
        match instruction.keyword.as_str() {
            "FROM" => {
                let parent = plan.uses.iter().find(|one| one.at == at).map(|one| &one.source);
                let inherited = match parent {
                    Some(Source::Stage(index)) => self.0.get(*index).cloned(),
                    _ => None,
                };
                self.0.push(inherited.unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).to_vec()));
            }
            "SHELL" => {
                if let (Some(last), Ok(words)) = (self.0.last_mut(), serde_json::from_str(&instruction.rest))
                {
                    *last = words;
                }
            }
            _ => {}
        }
    }

    fn current(&self) -> &[String] {
        self.0.last().map_or(&[], Vec::as_slice)
    }
}

fn from(plan: &Plan, at: usize, instruction: &Instruction, named: &dyn Fn(&str) -> Option<String>) -> String {
    let word = &instruction.rest[..words::end_of_word(&instruction.rest, plan.file.escape)];
    let source = named(word).unwrap_or_else(|| word.to_owned());
    let index = plan.stages.iter().position(|stage| stage.from == at);
    match index.and_then(|index| plan.only_name(index)) {
        Some(name) => format!("FROM {source} AS {name}"),
        None => format!("FROM {source}"),
    }
}

fn written(
    instruction: &Instruction,
    named: &dyn Fn(&str) -> Option<String>,
    place: Place<'_>,
    escape: char,
    values: &Values,
) -> String {
    match instruction.keyword.as_str() {
        "ARG" => {
            let words = words::split(&instruction.rest, escape).into_iter();
            words.map(|word| argument(word, escape, values)).collect::<Vec<_>>().join("\n")
        }
        "COPY" | "ADD" | "RUN" if !instruction.flags.is_empty() || instruction.script.is_some() => {
            let flags = instruction.flags.iter().filter_map(|flag| changed(flag, named, place.workdir));
            let mut words: Vec<String> = vec![instruction.keyword.clone()];
            words.extend(flags);
            words.push(match &instruction.script {
                Some(script) => {
                    let arguments: Vec<&str> =
                        place.shell.iter().map(String::as_str).chain([&**script]).collect();
                    serde_json::json!(arguments).to_string()
                }
                None => instruction.rest.clone(),
            });
            words.join(" ")
        }
        _ => instruction.raw.clone(),
    }
}

/// A flag with the builder's name of a source; `None`: left out.
fn changed(flag: &str, named: &dyn Fn(&str) -> Option<String>, workdir: Option<&str>) -> Option<String> {
    // One says only how the result is kept, the other what is so anyway; Debian's builder knows neither.
    if matches!(flag_name(flag), "link" | "network") {
        return None;
    }
    if let Some(name) = flag_value(flag, "from").and_then(named) {
        return Some(format!("--from={name}"));
    }
    let Some(mount) = flag_value(flag, "mount") else { return Some(flag.to_owned()) };
    let is_memory = mount.split(',').any(|field| field == "type=tmpfs");
    let fields = mount.split(',').map(|field| match field.split_once('=') {
        Some(("from", name)) => named(name).map_or_else(|| field.to_owned(), |name| format!("from={name}")),
        Some(("target" | "dst" | "destination", path)) => absolute(field, path, workdir),
        // A volume has one build at a time, so that nobody else has the mount meanwhile.
        Some(("sharing", "private")) => "sharing=shared".to_owned(),
        Some(("size", size)) if is_memory => format!("tmpfs-size={size}"),
        // Debian's builder does not survive the word alone.
        None if field == "required" => "required=true".to_owned(),
        _ => field.to_owned(),
    });
    Some(format!("--mount={}", fields.collect::<Vec<_>>().join(",")))
}

/// A path in the folder that the step runs in, which Debian's builder wants to be told.
fn absolute(field: &str, path: &str, workdir: Option<&str>) -> String {
    let name = &field[..field.len() - path.len()];
    match (path, workdir) {
        (path, Some(workdir)) if !path.starts_with('/') && !path.contains(['$', '"', '\'']) => {
            let path = path.strip_prefix("./").unwrap_or(path);
            let below = if path == "." { "" } else { path };
            let whole = format!("{}/{below}", workdir.trim_end_matches('/'));
            format!("{name}{}", if whole.len() > 1 { whole.trim_end_matches('/') } else { "/" })
        }
        _ => field.to_owned(),
    }
}

/// One variable of an `ARG` with the value that the build gives it.
fn argument(word: &str, escape: char, values: &Values) -> String {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    match given(values, name) {
        // An instruction is one line. Such a value can be read as a secret.
        Some(value) if !value.contains(['\n', '\r']) => format!("ARG {name}={}", quoted(value, escape)),
        _ => format!("ARG {word}"),
    }
}

/// A value as one word. The builder parts words by the file's escape character, but then reads each with a backslash;
/// so it is written in a way that both agree about.
fn quoted(value: &str, escape: char) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => text.push_str("\"'\"'\""),
            '$' | '\\' => text.extend(['\\', character]),
            // It would take the meaning from a quote behind it. What stands there instead is always empty.
            _ if character == escape => text.extend([character, '$', '{', '_', ':', '+', '}']),
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

/// Names as people wrote them in place of ours.
pub(crate) fn as_written(line: &str, bases: &[(Reference, Digest)]) -> String {
    bases.iter().fold(line.to_owned(), |line, (reference, manifest)| {
        line.replace(&local_name(manifest), &reference.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;

    #[test]
    fn bases_and_values_are_written_into_the_file() {
        let text = "# syntax=docker/dockerfile:1\nARG V=1\nFROM --platform=$BUILDPLATFORM go:${V} AS Build\n\
            ARG A B=two TARGETARCH MANY\n# said\nRUN make \\\n  all\n\
            RUN --mount=type=bind,from=tools,target=/t --mount=type=secret,id=A x\n\
            FROM build\nCOPY --link --chown=1:1 --from=tools a /b\nCOPY --from=build c /d\n";
        let pairs = [("A", "a \"b\" $c \\d"), ("MANY", "one\ntwo"), ("UNUSED", "never")];
        let values: Values = pairs.map(|(name, value)| (name.to_owned(), value.to_owned().into())).into();
        let plan = plan(text, &values).unwrap();
        let hex = |byte: &str| byte.repeat(32);
        let digest = |byte: &str| Digest::parse(&format!("sha256:{}", hex(byte))).unwrap();
        let manifests = plan.bases().into_iter().map(|base| {
            let byte = if base.reference.repository() == "library/go" { "aa" } else { "bb" };
            (base.reference.to_string(), digest(byte))
        });
        let wanted = format!(
            "ARG V=1\nFROM localhost/base:{go} AS Build\n\
             ARG A=\"a \"'\"'\"b\"'\"'\" \\$c \\\\d\"\nARG B=two\nARG TARGETARCH=\"amd64\"\nARG MANY\n\
             RUN make \\\n  all\n\
             RUN --mount=type=bind,from=localhost/base:{tools},target=/t --mount=type=secret,id=A x\n\
             FROM Build\nCOPY --chown=1:1 --from=localhost/base:{tools} a /b\nCOPY --from=Build c /d\n",
            go = hex("aa"),
            tools = hex("bb"),
        );
        assert_eq!(rewrite(&plan, &manifests.collect(), &values), wanted);
    }

    #[test]
    fn stages_have_the_one_name_that_the_builder_knows() {
        let text = "ARG V=Two ARCH=base-${TARGETARCH} NONE=scratch\nFROM a AS base-amd64\nFROM $ARCH AS two\nFROM ${NONE}\n\
            FROM $V AS twice\nSHELL [\"/bin/bash\", \"-c\"]\nRUN --mount=from=TWO,target=/t x\nFROM twice AS Twice\n\
            RUN <<EOF\nEOF\nCOPY --from=2 a b\nFROM twice AS last\nCOPY --from=BASE-amd64 c d\n";
        let plan = plan(text, &Values::new()).unwrap();
        let manifests = [(
            "docker.io/library/a:latest".to_owned(),
            Digest::parse(&format!("sha256:{}", "aa".repeat(32))).unwrap(),
        )];
        let text = rewrite(&plan, &manifests.into(), &Values::new());
        let lines: Vec<&str> = text.lines().skip(3).filter(|line| !line.starts_with("SHELL")).collect();
        let base = format!("FROM localhost/base:{} AS base-amd64", "aa".repeat(32));
        assert_eq!(
            lines,
            [
                &*base,
                "FROM base-amd64 AS two",
                "FROM scratch",
                "FROM two",
                "RUN --mount=from=two,target=/t x",
                "FROM 3",
                r#"RUN ["/bin/bash","-c",""]"#,
                "COPY --from=2 a b",
                "FROM 4 AS last",
                "COPY --from=base-amd64 c d",
            ]
        );
    }

    #[test]
    fn values_are_written_for_both_escape_characters() {
        let values: Values = [("A".to_owned(), "C:\\x \"$y`".to_owned().into())].into();
        let plan = plan("# escape=`\nFROM scratch\nARG A\n", &values).unwrap();
        let wanted = "# escape=`\nFROM scratch\nARG A=\"C:\\\\x \"'\"'\"\\$y`${_:+}\"\n";
        assert_eq!(rewrite(&plan, &BTreeMap::new(), &values), wanted);
    }

    #[test]
    fn here_documents_become_arguments_of_the_stages_shell() {
        let text = "FROM a AS one\nSHELL [\"/bin/bash\", \"-ec\"]\nRUN <<EOF\necho \"$A\"\nEOF\n\
            FROM one\nRUN --mount=type=cache,target=/c cat <<-EOF > /b\n\tx\n\tEOF\nFROM scratch\nRUN <<X\nX\n";
        let plan = plan(text, &Values::new()).unwrap();
        let text = rewrite(&plan, &BTreeMap::new(), &Values::new());
        let runs: Vec<&str> = text.lines().filter(|line| line.starts_with("RUN")).collect();
        assert_eq!(
            runs,
            [
                r#"RUN ["/bin/bash","-ec","echo \"$A\"\n"]"#,
                r#"RUN --mount=type=cache,target=/c ["/bin/bash","-ec","cat <<-EOF > /b\nx\nEOF\n"]"#,
                r#"RUN ["/bin/sh","-c",""]"#,
            ]
        );
    }

    #[test]
    fn mounts_are_written_as_the_builder_knows_them() {
        let text = "FROM a AS one\nRUN --mount=target=. x\nENV D=/src\nWORKDIR $D\nWORKDIR app\n\
            RUN --mount=type=bind,source=go.sum,target=go.sum --mount=type=cache,dst=./c,sharing=private x\n\
            RUN --mount=target=. --mount=type=secret,id=a,required --mount=type=tmpfs,target=/t,size=5 x\n\
            FROM one\nRUN --mount=target=x --mount=target=/y x\nFROM scratch\nRUN --mount=target=. x\n";
        let plan = plan(text, &Values::new()).unwrap();
        let text = rewrite(&plan, &BTreeMap::new(), &Values::new());
        let runs: Vec<&str> = text.lines().filter(|line| line.starts_with("RUN")).collect();
        assert_eq!(
            runs,
            [
                "RUN --mount=target=. x",
                "RUN --mount=type=bind,source=go.sum,target=/src/app/go.sum \
                 --mount=type=cache,dst=/src/app/c,sharing=shared x",
                "RUN --mount=target=/src/app --mount=type=secret,id=a,required=true \
                 --mount=type=tmpfs,target=/t,tmpfs-size=5 x",
                "RUN --mount=target=/src/app/x --mount=target=/y x",
                "RUN --mount=target=/ x",
            ]
        );
    }
}
