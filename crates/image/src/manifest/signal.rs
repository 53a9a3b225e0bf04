//! Stop signals by name.

/// Signals that can end or wake a process, with their Linux numbers on x86-64.
const SIGNALS: [(&str, i32); 28] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("PWR", 30),
    ("SYS", 31),
];
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of `SIGTERM`, `TERM`, `15` or `SIGRTMIN+3`. `None` for what is no signal and for KILL and STOP,
/// which leave a process no time to stop: the caller then uses TERM.
pub(super) fn parse(text: &str) -> Option<i32> {
    let text = text.trim();
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let offset = |rest: &str, sign: char| rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from);
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => RTMIN,
        (Some(rest), _) => RTMIN + offset(rest, '+')?,
        (_, Some("")) => RTMAX,
        (_, Some(rest)) => RTMAX - offset(rest, '-')?,
        _ => text.parse().ok()?,
    };
    let is_known = SIGNALS.iter().any(|(_, known)| *known == number) || (RTMIN..=RTMAX).contains(&number);
    is_known.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [("SIGQUIT", 3), ("TERM", 15), ("15", 15), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)]
        {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["", "SIGKILL", "9", "STOP", "19", "999", "-1", "; id", "SIGRTMIN+99", "sigterm"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
