//! What the builder prints, into news: steps, results from the cache, lines of programs.
//!
//! Its lines are `STEP 2/6: COPY a b`, with `[1/2] ` before them when there are several stages; `--> Using cache ID`;
//! `--> ID`; `COMMIT NAME`; and at the end of what failed `Error: building at STEP "RUN a": why`.

use std::collections::VecDeque;

use model::image::{Digest, Reference};

use super::mask::Mask;
use crate::builder::News;
use crate::dockerfile::{Step, as_written};

/// How many lines of a failed build are shown with the failure.
const TAIL: usize = 30;

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
    /// Stage and step that goes on, from 0.
    at: Option<(usize, usize)>,
    is_committing: bool,
    tail: VecDeque<String>,
    /// What the builder itself said of its failure.
    pub complaint: Option<String>,
    pub signs: Signs,
}

/// What the lines say about limits that were met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// How often there was no room on the disk.
    pub full: u32,
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
            at: None,
            is_committing: false,
            tail: VecDeque::new(),
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
        } else if line.starts_with("time=\"") && line.contains(" level=") {
            // Its warnings are about how it is set up, which is our matter.
            return None;
        }
        let text = self.shown(line);
        if is_error && let Some(complaint) = text.strip_prefix("Error: ") {
            self.complaint = Some(complaint.to_owned());
            return None;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(text.clone());
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
        let (stage, index) = self.at?;
        let step = self.steps.get(stage)?.get(index)?;
        let before: usize = self.steps[..stage].iter().map(Vec::len).sum();
        Some((number(before + index + 1), self.count(), step))
    }

    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    fn count(&self) -> u32 {
        number(self.steps.iter().map(Vec::len).sum())
    }

    /// A step of ours that begins. Programs can print such lines, too, but not make a step come back.
    fn step(&mut self, line: &str) -> Option<News> {
        let (stage, line) = match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((place, line)) => (place.split_once('/')?.0.parse::<usize>().ok()?.checked_sub(1)?, line),
            None => (self.steps.iter().rposition(|steps| !steps.is_empty())?, line),
        };
        let (place, _) = line.strip_prefix("STEP ")?.split_once(": ")?;
        let index = place.split_once('/')?.0.parse::<usize>().ok()?.checked_sub(1)?;
        let next = (stage, index);
        if self.at.is_some_and(|at| at >= next) || self.steps.get(stage)?.get(index).is_none() {
            return None;
        }
        self.at = Some(next);
        self.is_committing = false;
        self.tail.clear();
        let (number, of, step) = self.current()?;
        Some(News::Step { number, of, stage: step.stage.clone(), text: self.mask.hide(step.text.clone()) })
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
        self.full += u32::from(says(&["no space left on device", "disk quota exceeded"]));
        self.crowded += u32::from(says(&["resource temporarily unavailable", "can't fork", "cannot fork"]));
        self.base_missing |= line.contains("localhost/base:") && says(&["image not known", "no such image"]);
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
