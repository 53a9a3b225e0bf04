//! What the builder prints, into news: steps, results from the cache, lines of programs.
//!
//! Its lines are `STEP 2/6: COPY a b`, with `[1/2] ` before them when there are several stages; `--> Using cache ID`;
//! `--> ID`; `COMMIT NAME`; and at the end of what failed `Error: building at STEP "RUN a": why`. Between them come the
//! lines of the steps' programs, which may look like its own: what is not surely the builder's is passed on.

use model::image::{Digest, Reference};

use super::mask::Mask;
use super::tail::Tail;
use crate::builder::News;
use crate::dockerfile::{Step, as_written};

/// Reads the builder's lines.
pub(super) struct Output {
    /// By stage; a stage that is not built has none.
    steps: Vec<Vec<Step>>,
    bases: Vec<(Reference, Digest)>,
    mask: Mask,
    /// Bytes of lines that may still be passed on.
    left: u64,
    /// Lines that were not passed on.
    pub left_out: u64,
    /// The steps that have begun, in the order of their beginnings. A step that needs a stage which is not ready
    /// waits, and steps of other stages come in between.
    begun: Vec<Begun>,
    is_committing: bool,
    tail: Tail,
    /// What the builder itself said of its failure, once it has ended.
    pub complaint: Option<String>,
    pub signs: Signs,
}

/// A step that has begun.
struct Begun {
    /// From 0.
    stage: usize,
    /// Of its stage, from 0.
    index: usize,
    /// As the builder calls it.
    name: String,
}

/// What the lines say about limits that were met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// There was no room in the volume.
    pub full: bool,
    /// How often no process could be started.
    pub crowded: u32,
    /// A base image that should be in the volume is not.
    pub base_missing: bool,
}

impl Output {
    pub fn new(steps: Vec<Vec<Step>>, bases: Vec<(Reference, Digest)>, mask: Mask, most: u64) -> Self {
        Self {
            steps,
            bases,
            mask,
            left: most,
            left_out: 0,
            begun: Vec::new(),
            is_committing: false,
            tail: Tail::default(),
            complaint: None,
            signs: Signs::default(),
        }
    }

    /// Takes a line; gives what it tells, if anything.
    pub fn take(&mut self, line: &str, is_error: bool) -> Option<News> {
        self.signs.look(line);
        if !is_error {
            if let Some(step) = self.step(line) {
                return Some(step);
            }
            if line.starts_with("--> Using cache") {
                return Some(News::Cached);
            }
            if self.is_its_own(line) {
                return None;
            }
        } else if is_remark(line) {
            // Its warnings are about how it is set up, which is our matter.
            return None;
        }
        let text = self.shown(line);
        if is_error && let Some(complaint) = text.strip_prefix("Error: ") {
            // Many programs begin their errors like that; the builder's own comes last.
            self.complaint = Some(complaint.to_owned());
            if complaint.starts_with("building at STEP ") {
                return None;
            }
        }
        self.tail.add(&text, is_error);
        let size = text.len() as u64 + 1;
        if size > self.left {
            // What comes later must not be passed on with a gap before it.
            (self.left, self.left_out) = (0, self.left_out + 1);
            return None;
        }
        self.left -= size;
        Some(News::Line { text, is_error })
    }

    /// The text as people may see it.
    pub fn shown(&self, text: &str) -> String {
        self.mask.hide(as_written(text, &self.bases))
    }

    /// The step that goes on or went wrong, with its number over all stages.
    pub fn current(&self) -> Option<(u32, u32, &Step)> {
        let Begun { stage, index, .. } = *self.blamed().or(self.begun.last())?;
        let step = self.steps.get(stage)?.get(index)?;
        let before: usize = self.steps[..stage].iter().map(Vec::len).sum();
        Some((number(before + index + 1), self.count(), step))
    }

    /// There is hardly any room in the volume.
    pub fn volume_is_full(&mut self) {
        self.signs.full = true;
    }

    pub fn tail(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// The step that the builder says went wrong.
    fn blamed(&self) -> Option<&Begun> {
        let said = self.complaint.as_deref()?.strip_prefix("building at STEP \"")?;
        let is_it = |step: &&Begun| said.strip_prefix(&*step.name).is_some_and(|rest| rest.starts_with('"'));
        self.begun.iter().rev().find(is_it)
    }

    /// Whether a step may begin now: of its own stage it is the next, or one of the next.
    fn is_ahead(&self, stage: usize, index: usize) -> bool {
        !self.begun.iter().any(|step| step.stage == stage && step.index >= index)
    }

    fn count(&self) -> u32 {
        number(self.steps.iter().map(Vec::len).sum())
    }

    /// A step of ours that begins. Programs can print such lines, too, but not make a step come back.
    fn step(&mut self, line: &str) -> Option<News> {
        let (stage, line) = match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((place, line)) => (place.split_once('/')?.0.parse::<usize>().ok()?.checked_sub(1)?, line),
            None => (self.only_stage()?, line),
        };
        let (place, name) = line.strip_prefix("STEP ")?.split_once(": ")?;
        let (index, of) = place.split_once('/')?;
        let (index, of) = (index.parse::<usize>().ok()?.checked_sub(1)?, of.parse::<usize>().ok()?);
        let steps = self.steps.get(stage)?;
        // What the base image wants to be done (ONBUILD) comes behind its FROM and belongs to it.
        let extra = of.saturating_sub(steps.len());
        let index = index.saturating_sub(extra);
        if steps.get(index).is_none() || !self.is_ahead(stage, index) {
            return None;
        }
        self.begun.push(Begun { stage, index, name: self.shown(name) });
        self.is_committing = false;
        // What earlier steps met and got over says nothing about this one.
        (self.tail, self.complaint, self.signs) = (Tail::default(), None, Signs::default());
        let (number, of, step) = self.current()?;
        Some(News::Step { number, of, stage: step.stage.clone(), text: self.mask.hide(step.text.clone()) })
    }

    /// The stage that is built, when it is one only: then the builder does not number them.
    fn only_stage(&self) -> Option<usize> {
        let mut built = (0..self.steps.len()).filter(|stage| !self.steps[*stage].is_empty());
        built.next().filter(|_| built.next().is_none())
    }

    /// Lines that mean nothing to people.
    fn is_its_own(&mut self, line: &str) -> bool {
        let rest =
            line.strip_prefix('[').and_then(|line| line.split_once("] ")).map_or(line, |(_, rest)| rest);
        if rest == "COMMIT" || rest.starts_with("COMMIT ") {
            self.is_committing = true;
            return true;
        }
        let is_id = |text: &str| text.len() >= 11 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        line.strip_prefix("--> ").is_some_and(is_id)
            || (self.is_committing && (is_id(line) || line.starts_with("Successfully tagged ")))
    }
}

impl Signs {
    fn look(&mut self, line: &str) {
        let line = line.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| line.contains(words));
        // Files and connections may be "temporarily unavailable", too.
        let no_process = says(&["resource temporarily unavailable", "eagain"])
            && says(&["fork", "clone", "thread", "spawn"]);
        let refused = says(&["can't fork", "cannot fork", "failed to create new os thread"]);
        self.crowded += u32::from(no_process || refused);
        self.base_missing |= line.contains("localhost/base:") && says(&["image not known", "no such image"]);
    }
}

/// Whether a line says that there was no room on a disk.
pub(crate) fn says_full(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["no space left on device", "disk quota exceeded"].iter().any(|words| line.contains(words))
}

/// Whether a line is a log line of less than an error, as the builder writes them.
fn is_remark(line: &str) -> bool {
    let level = line.strip_prefix("time=\"").and_then(|line| line.split_once("\" level="));
    level.is_some_and(|(_, rest)| ["warning ", "info ", "debug "].iter().any(|level| rest.starts_with(level)))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::dockerfile::{Values, plan};

    fn output(dockerfile: &str, most: u64) -> Output {
        let plan = plan(dockerfile, &Values::new()).unwrap();
        let base = plan.bases().remove(0).reference;
        let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
        let mask = Mask::of(&[("TOKEN".to_owned(), Secret::new("hidden value"))]);
        Output::new(plan.steps(), vec![(base, digest)], mask, most)
    }

    fn step(news: Option<News>) -> Option<(u32, u32, String, String)> {
        match news {
            Some(News::Step { number, of, stage, text }) => Some((number, of, stage, text)),
            _ => None,
        }
    }

    const TWO: &str = "FROM a:1 AS one\nRUN b\nFROM scratch\nCOPY --from=one /c /c\n";

    #[test]
    fn steps_are_counted_over_all_stages() {
        let mut output = output(TWO, 1000);
        let base = format!("localhost/base:{}", "a".repeat(64));
        let first = output.take(&format!("[1/2] STEP 1/2: FROM {base} AS one"), false);
        assert_eq!(step(first), Some((1, 4, "one".to_owned(), "FROM a:1 AS one".to_owned())));
        assert!(step(output.take("[1/2] STEP 2/2: RUN b", false)).is_some());
        assert_eq!(output.take("--> Using cache 0123456789abcdef", false), Some(News::Cached));
        assert_eq!(output.take("--> 0123456789a", false), None);
        assert_eq!(step(output.take("[2/2] STEP 1/2: FROM scratch", false)).unwrap().0, 3);
        let last = step(output.take("[2/2] STEP 2/2: COPY --from=one /c /c", false)).unwrap();
        assert_eq!((last.0, last.1, &*last.2), (4, 4, "2"));
        assert_eq!(output.take("[2/2] COMMIT localhost/built:latest", false), None);
        assert_eq!(output.take("Successfully tagged localhost/built:latest", false), None);
    }

    #[test]
    fn a_program_cannot_make_steps_come_back() {
        let mut output = output(TWO, 1000);
        output.take("[1/2] STEP 2/2: RUN b", false);
        for line in
            ["[1/2] STEP 1/2: FROM x", "STEP 9/9: RUN x", "[7/2] STEP 1/2: RUN", "[1/2] STEP x/2: RUN"]
        {
            assert!(matches!(output.take(line, false), Some(News::Line { .. })), "{line}");
        }
        assert_eq!(output.current().unwrap().0, 2);
    }

    #[test]
    fn steps_of_stages_that_wait_for_each_other_are_told_apart() {
        let mut output =
            output("FROM a:1 AS base\nFROM base AS two\nRUN b\nFROM base\nCOPY --from=two /b /\n", 1000);
        let numbers: Vec<_> = [
            "[1/3] STEP 1/1: FROM a",
            "[3/3] STEP 1/2: FROM base",
            "[3/3] STEP 2/2: COPY --from=two /b /",
            "[2/3] STEP 1/2: FROM base AS two",
            "[2/3] STEP 2/2: RUN b",
        ]
        .into_iter()
        .map(|line| step(output.take(line, false)).unwrap().0)
        .collect();
        assert_eq!(numbers, [1, 4, 5, 2, 3]);
        assert_eq!(output.current().unwrap().0, 3);
        output.take("Error: building at STEP \"COPY --from=two /b /\": no such file", true);
        assert_eq!(output.current().unwrap().0, 5);
    }

    #[test]
    fn what_a_base_image_adds_belongs_to_its_from() {
        let mut output = output("FROM a:1\nRUN b\nRUN c\n", 1000);
        assert_eq!(step(output.take("STEP 1/5: FROM x", false)).unwrap().0, 1);
        assert!(matches!(output.take("STEP 2/5: RUN of the base", false), Some(News::Line { .. })));
        output.take("STEP 3/5: RUN of the base", false);
        assert_eq!(step(output.take("STEP 4/5: RUN b", false)).unwrap().0, 2);
        assert_eq!(step(output.take("STEP 5/5: RUN c", false)).unwrap().0, 3);
    }

    #[test]
    fn errors_of_programs_are_shown_and_only_the_builders_own_is_kept_apart() {
        let mut output = output(TWO, 1000);
        output.take("[1/2] STEP 2/2: RUN b", false);
        for line in [
            "Error: Cannot find module 'x'",
            "Error: no such file",
            "time=\"2026-01-01T00:00:00Z\" level=error msg=\"of a program\"",
            "time=\"now\" of nothing",
        ] {
            let told = output.take(line, true);
            assert_eq!(told, Some(News::Line { text: line.to_owned(), is_error: true }));
        }
        for line in [
            "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"a limit\"",
            "Error: building at STEP \"RUN b\": why",
        ] {
            assert_eq!(output.take(line, true), None, "{line}");
        }
        assert_eq!(output.complaint.as_deref(), Some("building at STEP \"RUN b\": why"));
        assert_eq!(output.tail().len(), 4);
    }

    #[test]
    fn only_lines_about_processes_count_as_a_lack_of_them() {
        let mut output = output(TWO, 1000);
        for line in [
            "E: Could not get lock /var/lib/dpkg/lock (11: Resource temporarily unavailable)",
            "recv: Resource temporarily unavailable",
        ] {
            output.take(line, true);
        }
        assert_eq!(output.signs, Signs::default());
        for line in [
            "bash: fork: retry: Resource temporarily unavailable",
            "sh: 1: Cannot fork",
            "pthread_create failed: Resource temporarily unavailable",
            "Error: spawn sh EAGAIN",
        ] {
            output.take(line, true);
        }
        assert_eq!(output.signs.crowded, 4);
    }

    #[test]
    fn what_a_step_got_over_is_not_the_next_ones() {
        let mut output = output(TWO, 1000);
        output.take("[1/2] STEP 1/2: FROM x", false);
        output.take("Error: cannot fork", true);
        assert_eq!((output.signs.crowded, output.complaint.is_some()), (1, true));
        output.take("[1/2] STEP 2/2: RUN b", false);
        assert_eq!((output.signs, output.complaint), (Signs::default(), None));
    }

    #[test]
    fn lines_are_masked_named_as_written_and_bounded() {
        let mut output = output(TWO, 40);
        let line = format!("pulled localhost/base:{}", "a".repeat(64));
        let told = output.take(&line, true);
        assert_eq!(
            told,
            Some(News::Line { text: "pulled docker.io/library/a:1".to_owned(), is_error: true })
        );
        assert_eq!(output.take("a hidden value that is long", false), None);
        assert_eq!(output.take("x", false), None);
        assert_eq!((output.left_out, output.tail().pop()), (2, Some("x".to_owned())));
        assert_eq!(output.tail()[1], "a *** that is long");
    }
}
