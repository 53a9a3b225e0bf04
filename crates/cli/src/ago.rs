//! Moments for people.

use jiff::Timestamp;

/// `5 min ago` for an RFC 3339 text; a text that is none stays as it is.
pub fn ago(text: &str) -> String {
    since(text, Timestamp::now())
}

fn since(text: &str, now: Timestamp) -> String {
    let Ok(then) = text.parse::<Timestamp>() else { return text.to_owned() };
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        ..1 => "now".to_owned(),
        1..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_its_distance() {
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        for (text, told) in [
            ("2026-03-02T12:00:05Z", "now"),
            ("2026-03-02T11:59:30Z", "30 s ago"),
            ("2026-03-02T11:50:00.5Z", "9 min ago"),
            ("2026-03-02T06:00:00Z", "6 h ago"),
            ("2026-02-27T12:00:00Z", "3 d ago"),
            ("soon", "soon"),
        ] {
            assert_eq!(since(text, now), told, "{text}");
        }
    }
}
