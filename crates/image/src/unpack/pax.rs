//! Extended headers: records of `LENGTH KEY=VALUE\n` (POSIX pax, "pax Extended Header").

use super::report::Refusal;

/// What an extended header sets for the entry behind it. A later record of a key replaces an earlier one, and
/// an empty value takes the key back.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds and nanoseconds.
    pub mtime: Option<(i64, u32)>,
    /// Name and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extended {
    /// Reads every record. Sparse files are refused: their size is not the size of their data.
    pub fn parse(mut data: &[u8]) -> Result<Self, Refusal> {
        let mut extended = Self::default();
        while !data.is_empty() {
            let (key, value, rest) =
                record(data).ok_or_else(|| Refusal::invalid("an extended header is broken"))?;
            extended.set(key, value)?;
            data = rest;
        }
        Ok(extended)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let broken =
            || Refusal::invalid(format!("the extended header {} is broken", super::report::printable(key)));
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let number = || match value {
            b"" => Ok(None),
            digits => decimal(digits).map(Some).ok_or_else(broken),
        };
        match key {
            b"path" | b"linkpath" if value.contains(&0) => return Err(broken()),
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => {
                self.mtime = if value.is_empty() { None } else { Some(moment(value).ok_or_else(broken)?) };
            }
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(Refusal::invalid("sparse files are not supported in image layers"));
            }
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Takes the first record off: key, value, rest.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(12).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&data[..space])?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let is_plain = (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if is_plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// `[-]SECONDS[.FRACTION]`; the fraction counts towards later.
fn moment(value: &[u8]) -> Option<(i64, u32)> {
    let (is_negative, value) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let point = value.iter().position(|byte| *byte == b'.').unwrap_or(value.len());
    let seconds = i64::try_from(decimal(&value[..point])?).ok()?;
    let fraction = value.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |index: usize| u32::from(fraction.get(index).map_or(0, |byte| byte - b'0'));
    let nanos = (0..9).fold(0, |nanos, index| nanos * 10 + digit(index));
    Some(match (is_negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_of(key: &str, value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let length = (1..).map(|digits| body + digits).find(|n| n.to_string().len() + body == *n).unwrap();
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn records_are_read_by_their_length() {
        let data = [
            record_of("path", b"a\xe9\n=b"),
            record_of("linkpath", b"b c"),
            record_of("size", b"6"),
            record_of("size", b"7"),
            record_of("comment", b"anything"),
            record_of("mtime", b"1700000000.5"),
            record_of("SCHILY.xattr.user.x", b"a\0b"),
        ]
        .concat();
        let extended = Extended::parse(&data).unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a\xe9\n=b"[..]));
        assert_eq!(extended.link.as_deref(), Some(&b"b c"[..]));
        assert_eq!(extended.size, Some(7));
        assert_eq!(extended.mtime, Some((1_700_000_000, 500_000_000)));
        assert_eq!(extended.xattrs, [(b"user.x".to_vec(), b"a\0b".to_vec())]);

        let taken_back = [record_of("path", b"a"), record_of("path", b"")].concat();
        assert_eq!(Extended::parse(&taken_back).unwrap().path, None);
    }

    #[test]
    fn moments_have_fractions_and_signs() {
        assert_eq!(moment(b"12"), Some((12, 0)));
        assert_eq!(moment(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(moment(b"1e3"), None);
        assert_eq!(moment(b"."), None);
    }

    #[test]
    fn broken_records_are_refused() {
        for data in [
            &b"10 path=a"[..],
            b"9 path=aX",
            b"99 path=a\n",
            b"0 path=a\n",
            b"-9 path=a\n",
            b"path=a\n",
            b"6 path\n",
            b"5 =a\n",
            b"11 path=a\0b\n",
            b"10 size=-\n",
            b"18 GNU.sparse.x=1\n",
            b"9 path=a\n\0\0\0",
        ] {
            assert!(Extended::parse(data).is_err(), "{}", String::from_utf8_lossy(data));
        }
    }
}
