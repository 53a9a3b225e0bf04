//! Which version a range of versions means, as package.json and pyproject.toml write ranges.
//!
//! Images are named after one number: Node.js' first (`node:24`), Python's second (`python:3.13`). So only that
//! number is decided, and what a range says beyond it is left to the programs that install.

use super::words::numbers;

/// Which number of a version an image is named after.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// npm, "semver ranges": `^20.1 || >=22`.
    First,
    /// PEP 440, "Version specifiers", and Poetry's: `>=3.10,<3.13`. The number before it is this one.
    SecondAfter(u32),
}

/// The first of some versions that a range allows; else one that the range names itself, when it is `plausible`.
/// `None` when the range says nothing that is understood.
pub fn choose(
    range: &str,
    named: Named,
    known: &[u32],
    plausible: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let spans: Vec<_> = range.split("||").filter_map(|part| span(part, named)).collect();
    let allowed = |version: &&u32| spans.iter().any(|(low, high)| (low..=high).contains(version));
    let named_itself =
        || spans.iter().flat_map(|(low, high)| [*high, *low]).find(|version| plausible.contains(version));
    known.iter().find(allowed).copied().or_else(named_itself)
}

/// Lowest and highest that conditions allow together.
fn span(conditions: &str, named: Named) -> Option<(u32, u32)> {
    let mut operator = String::new();
    let (mut low, mut high, mut understood) = (0, u32::MAX, false);
    let between = conditions.split_once(" - ").map(|(from, to)| format!(">={from} <={to}"));
    let conditions = between.as_deref().unwrap_or(conditions);
    for word in conditions.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
        let version = word.trim_start_matches(['<', '>', '=', '^', '~', '!']);
        operator.push_str(&word[..word.len() - version.len()]);
        if version.is_empty() {
            continue;
        }
        let (lowest, highest) = condition(&std::mem::take(&mut operator), version, named)?;
        (low, high, understood) = (low.max(lowest), high.min(highest), true);
    }
    (understood && low <= high).then_some((low, high))
}

/// Lowest and highest that one condition allows; `None` when it is no condition.
fn condition(operator: &str, version: &str, named: Named) -> Option<(u32, u32)> {
    const ANY: (u32, u32) = (0, u32::MAX);
    let all = numbers(version);
    if all.is_empty() {
        return matches!(version, "*" | "x" | "X").then_some(ANY);
    }
    let rest = match named {
        Named::First => &all[..],
        Named::SecondAfter(first) => match all[0].cmp(&first) {
            std::cmp::Ordering::Equal => &all[1..],
            std::cmp::Ordering::Less if operator.starts_with('>') => return Some(ANY),
            std::cmp::Ordering::Greater if operator.starts_with('<') => return Some(ANY),
            _ => return None,
        },
    };
    let Some((&number, after)) = rest.split_first() else { return Some(ANY) };
    let is_bare = after.iter().all(|number| *number == 0);
    Some(match operator {
        ">=" => (number, u32::MAX),
        ">" if after.is_empty() => (number.checked_add(1)?, u32::MAX),
        ">" => (number, u32::MAX),
        "<" if is_bare => (0, number.checked_sub(1)?),
        "<" | "<=" => (0, number),
        "!=" => ANY,
        "^" if named != Named::First => (number, u32::MAX),
        "~=" if after.is_empty() => (number, u32::MAX),
        _ => (number, number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(range: &str) -> Option<u32> {
        choose(range, Named::First, &[24, 22, 20, 18], 10..=40)
    }

    fn python(range: &str) -> Option<u32> {
        choose(range, Named::SecondAfter(3), &[13, 14, 12, 11, 10, 9], 6..=20)
    }

    #[test]
    fn ranges_of_npm() {
        for (range, version) in [
            (">=18", 24),
            (">= 18", 24),
            (">=18 <21", 20),
            (">=18.0.0 <=20.5", 20),
            ("^20.1", 20),
            ("~22.3.1", 22),
            ("20.x", 20),
            ("v20.11.1", 20),
            ("18 || 20", 20),
            ("^16.13 || ^18", 18),
            ("16 - 20", 20),
            ("*", 24),
            ("14", 14),
            ("<19", 18),
            ("23", 23),
            (">22", 24),
        ] {
            assert_eq!(node(range), Some(version), "{range}");
        }
        for range in ["", "latest", "22 && rm -rf /", "99", "$(id)", ">4294967295"] {
            assert_eq!(node(range), None, "{range}");
        }
    }

    #[test]
    fn ranges_of_python() {
        for (range, version) in [
            (">=3.10", 13),
            (">=3.10,<3.13", 12),
            (">=3.8,<4.0", 13),
            (">=3.8,<4", 13),
            ("^3.10", 13),
            ("~3.10", 10),
            ("~=3.10", 13),
            ("~=3.11.2", 11),
            ("==3.11.*", 11),
            ("3.9.18", 9),
            (">=3", 13),
            (">=3.14", 14),
            ("<3.12, !=3.11.0", 11),
            ("3.7", 7),
            (">=2.7", 13),
        ] {
            assert_eq!(python(range), Some(version), "{range}");
        }
        for range in ["", "2.7", "pypy3.9", "3.99", "3.13\nRUN x"] {
            assert!(python(range).is_none_or(|version| version == 13), "{range}");
        }
    }
}
