//! Figures for whoever reads the output of the long tests, and how long those are.

/// One line on standard error, which `--nocapture` shows.
#[expect(clippy::print_stderr, reason = "the figure is what the run is for")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// How often a long test does what it does: `SOAK_ROUNDS`, or its own number.
pub fn rounds(own: usize) -> usize {
    std::env::var("SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(own)
}
