//! The end of what a command wrote. Pure.

/// As much as is kept, in bytes.
const TAIL_MAX: usize = 4 << 10;

/// Takes everything and keeps the last part.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if let Some(surplus) = self.bytes.len().checked_sub(TAIL_MAX).filter(|surplus| *surplus > 0) {
            self.bytes.drain(..surplus);
            self.is_cut = true;
        }
    }

    /// As text: nothing in it can move a terminal's cursor or break a log line but `\n` and `\t`.
    pub fn text(&self) -> String {
        // The rest of a character that was cut in two.
        let rest = self.bytes.iter().take_while(|byte| self.is_cut && (0x80..0xc0).contains(*byte)).count();
        let text = String::from_utf8_lossy(&self.bytes[rest..]);
        let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        clean.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_is_kept_as_clean_text() {
        let mut tail = Tail::default();
        tail.push(b"one\ttwo\r\n\x1b[31mred\x07\xff\n\n");
        assert_eq!(tail.text(), "one\ttwo\n[31mred\u{fffd}");

        let mut long = Tail::default();
        for _ in 0..10_000 {
            long.push("è".as_bytes());
        }
        long.push(b"!");
        assert_eq!(long.text(), format!("{}!", "è".repeat(2047)));
        assert!(long.bytes.capacity() < 4 * TAIL_MAX);
        assert_eq!(Tail::default().text(), "");
    }
}
