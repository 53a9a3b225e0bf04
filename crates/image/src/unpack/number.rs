//! Numbers in a tar header: octal text, or base 256 where GNU and star need more room.

/// Reads a field. `None` when it is no number or does not fit.
pub(crate) fn parse(field: &[u8]) -> Option<i64> {
    match field.first()? {
        first if first & 0x80 != 0 => parse_base_256(field),
        _ => parse_octal(field),
    }
}

/// Octal digits with blanks or NULs around them; an empty field is 0.
fn parse_octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_padding(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !is_padding(byte)).map_or(start, |last| last + 1);
    field[start..end].iter().try_fold(0_i64, |number, byte| match byte {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

/// Two's complement, big-endian, with the topmost bit as the mark.
fn parse_base_256(field: &[u8]) -> Option<i64> {
    let is_negative = field[0] & 0x40 != 0;
    let first = if is_negative { field[0] } else { field[0] & 0x7f };
    let start = if is_negative { -1_i64 } else { 0 };
    let shift = |number: i64, byte: u8| number.checked_mul(256)?.checked_add(i64::from(byte));
    let head = if is_negative { shift(start, first)? } else { i64::from(first) };
    field[1..].iter().try_fold(head, |number, byte| shift(number, *byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_base_256() {
        assert_eq!(parse(b"0000644\0"), Some(0o644));
        assert_eq!(parse(b"   644 \0"), Some(0o644));
        assert_eq!(parse(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(parse(b"77777777777\0"), Some(0o77777777777));
        assert_eq!(parse(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(parse(&[0xff; 12]), Some(-1));
        assert_eq!(parse(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        assert_eq!(parse(b"0000648\0"), None);
        assert_eq!(parse(b"-000644\0"), None);
        assert_eq!(parse(b"00 0644\0"), None);
        assert_eq!(parse(b"0x1f\0\0\0\0"), None);
        assert_eq!(parse(b"\x80\0\0\x01\0\0\0\0\0\0\0\0"), None);
    }
}
