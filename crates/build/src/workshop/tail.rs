//! The last lines of a step, for the failure that it may bring.

use std::collections::{BTreeMap, VecDeque};

/// How many lines are shown.
const SHOWN: usize = 30;
/// How many of them are the last ones of standard error: what was printed to standard output at the same time must not
/// push them out.
const ERRORS: usize = 10;

/// Keeps the last lines.
#[derive(Default)]
pub(super) struct Tail {
    count: u64,
    /// With their numbers.
    last: VecDeque<(u64, String)>,
    errors: VecDeque<(u64, String)>,
}

impl Tail {
    pub fn add(&mut self, text: &str, is_error: bool) {
        self.count += 1;
        keep(&mut self.last, SHOWN, (self.count, text.to_owned()));
        if is_error {
            keep(&mut self.errors, ERRORS, (self.count, text.to_owned()));
        }
    }

    /// In their order, each once.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: BTreeMap<u64, &String> = self.errors.iter().map(|(at, text)| (*at, text)).collect();
        for (at, text) in self.last.iter().rev() {
            if lines.len() == SHOWN {
                break;
            }
            lines.insert(*at, text);
        }
        lines.into_values().cloned().collect()
    }
}

fn keep(lines: &mut VecDeque<(u64, String)>, most: usize, line: (u64, String)) {
    if lines.len() == most {
        lines.pop_front();
    }
    lines.push_back(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_not_pushed_out() {
        let mut tail = Tail::default();
        tail.add("wrong", true);
        for number in 0..100 {
            tail.add(&format!("line {number}"), false);
        }
        tail.add("at last", true);
        let lines = tail.lines();
        assert_eq!((lines.len(), &*lines[0], &*lines[1], &*lines[29]), (30, "wrong", "line 72", "at last"));
    }

    #[test]
    fn few_lines_are_all_there_once() {
        let mut tail = Tail::default();
        for (text, is_error) in [("a", false), ("b", true), ("a", false)] {
            tail.add(text, is_error);
        }
        assert_eq!(tail.lines(), ["a", "b", "a"]);
    }
}
