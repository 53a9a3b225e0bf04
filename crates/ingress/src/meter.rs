//! How much of what a client of HTTP/2 sends is about requests.
//!
//! Settings, pings, priorities and frames of unknown kinds are answered or skipped one by one, and their number has no
//! limit in the protocol (RFC 9113, 10.5). A little of them belongs to every connection; a flood is work for nothing.

use std::time::Duration;

/// So much is nobody's concern, and so much more a second.
const FREE: u64 = 64 << 10;
const FREE_A_SECOND: u64 = 1 << 10;

/// Bytes that are not about requests, for each one that is.
const RATIO: u64 = 8;

const PREFACE: usize = 24;
const HEAD: usize = 9;

/// DATA, HEADERS and CONTINUATION.
const ABOUT_REQUESTS: [u8; 3] = [0, 1, 9];

/// Follows the frames of one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    preface_left: usize,
    head: [u8; HEAD],
    head_filled: usize,
    payload_left: u64,
    about_requests: bool,
    useful: u64,
    other: u64,
}

impl Meter {
    /// At the beginning of a connection.
    pub(crate) fn new() -> Self {
        Self {
            preface_left: PREFACE,
            head: [0; HEAD],
            head_filled: 0,
            payload_left: 0,
            about_requests: false,
            useful: 0,
            other: 0,
        }
    }

    /// Takes in what the client sent.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        let preface = self.preface_left.min(bytes.len());
        self.preface_left -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let count = self.payload_left.min(bytes.len() as u64);
                self.payload_left -= count;
                *if self.about_requests { &mut self.useful } else { &mut self.other } += count;
                bytes = &bytes[count as usize..];
                continue;
            }
            let count = (HEAD - self.head_filled).min(bytes.len());
            self.head[self.head_filled..self.head_filled + count].copy_from_slice(&bytes[..count]);
            self.head_filled += count;
            bytes = &bytes[count..];
            if self.head_filled == HEAD {
                self.head_filled = 0;
                let [high, middle, low, kind, ..] = self.head;
                self.payload_left = u32::from_be_bytes([0, high, middle, low]).into();
                self.about_requests = ABOUT_REQUESTS.contains(&kind);
                self.other += HEAD as u64;
            }
        }
    }

    /// Whether it is a flood, on a connection of this age whose client took so many bytes of answers.
    pub(crate) fn is_flooded(&self, age: Duration, delivered: u64) -> bool {
        let free = FREE + FREE_A_SECOND * age.as_secs();
        self.other > free.saturating_add(RATIO.saturating_mul(self.useful.saturating_add(delivered)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE_TEXT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut frame = (payload as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 0]);
        frame.extend(vec![0; payload]);
        frame
    }

    fn after(frames: &[u8], piece: usize) -> Meter {
        let mut meter = Meter::new();
        for piece in [PREFACE_TEXT, frames].concat().chunks(piece) {
            meter.follow(piece);
        }
        meter
    }

    #[test]
    fn frames_are_told_apart_however_they_arrive() {
        let frames = [frame(4, 6), frame(1, 100), frame(6, 8), frame(0, 1000), frame(0, 0)].concat();
        for piece in [1, 2, 7, 10, 5000] {
            let meter = after(&frames, piece);
            assert_eq!((meter.useful, meter.other), (1100, 5 * 9 + 6 + 8), "by {piece}");
        }
    }

    #[test]
    fn pings_alone_are_a_flood_and_among_messages_they_are_not() {
        let pings = after(&frame(6, 8).repeat(100_000), 4096);
        assert!(pings.is_flooded(Duration::ZERO, 0));
        assert!(!pings.is_flooded(Duration::ZERO, 1 << 20), "the client takes answers");
        assert!(!pings.is_flooded(Duration::from_secs(3600), 0), "a ping now and then");
        let messages = [frame(0, 20), frame(6, 8), frame(8, 4), frame(8, 4)].concat();
        assert!(!after(&messages.repeat(100_000), 4096).is_flooded(Duration::ZERO, 0));
    }
}
