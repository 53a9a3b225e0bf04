//! The tar reader: headers to entries, in bounded memory.
//!
//! The `tar` crate names the fields of a header; how entries follow each other is decided here, because that
//! is where archives are read in two ways: which of two sizes counts (an extended header's always wins), what
//! a header without data of its own may carry (nothing), and which of two names counts (two are refused).

use std::io::{self, Read};

use tar::Header;

use super::number;
use super::pax::Extended;
use super::report::Refusal;

const BLOCK: usize = 512;
/// Most bytes of an extended header or a long name.
const MAX_EXTENSION: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    /// A character or block device.
    Device,
}

/// One entry, its data still in the stream.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As written; not yet safe.
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Target of a symbolic or hard link, as written.
    pub link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads entries one after the other.
pub(crate) struct Archive<R> {
    stream: R,
    /// Data and padding of the current entry that nobody read yet.
    remaining: u64,
    padding: u64,
}

/// What stood before an entry and belongs to it.
#[derive(Default)]
struct Before {
    extended: Option<Extended>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> Archive<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, remaining: 0, padding: 0 }
    }

    /// The next entry, or `None` at the end: two empty blocks, or nothing more. Data of the entry before that
    /// was not read is skipped.
    pub fn next(&mut self) -> Result<Option<Entry>, Refusal> {
        self.skip_data()?;
        let mut before = Before::default();
        loop {
            let Some(header) = self.header()? else {
                return if before.is_empty() {
                    Ok(None)
                } else {
                    Err(Refusal::invalid("a header without an entry"))
                };
            };
            let size = unsigned(&header.as_old().size, "size")?;
            match header.as_old().linkflag[0] {
                b'x' if before.is_empty() => {
                    let data = self.extension(size)?;
                    before.extended = Some(Extended::parse(&data)?);
                }
                b'L' if before.extended.is_none() && before.long_name.is_none() => {
                    before.long_name = Some(without_end(self.extension(size)?)?);
                }
                b'K' if before.extended.is_none() && before.long_link.is_none() => {
                    before.long_link = Some(without_end(self.extension(size)?)?);
                }
                b'x' | b'L' | b'K' => {
                    return Err(Refusal::invalid("two headers that say the same of one entry"));
                }
                // What a global header sets would count for every entry behind it; images have no use for that.
                b'g' if before.is_empty() => drop(self.extension(size)?),
                b'g' => return Err(Refusal::invalid("a global header between an entry and its header")),
                _ => return self.entry(&header, size, before).map(Some),
            }
        }
    }

    /// Reads data of the current entry; 0 at its end.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.stream.read(&mut buffer[..most]).map_err(stream_error)?;
        if count == 0 {
            return Err(Refusal::invalid("the layer ends in the middle of a file"));
        }
        self.remaining -= count as u64;
        Ok(count)
    }

    /// Bytes of the current entry that nobody read yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Reads what stands behind the last entry, so that all of the stream is counted and hashed.
    pub fn finish(mut self) -> Result<R, Refusal> {
        io::copy(&mut self.stream, &mut io::sink()).map_err(stream_error)?;
        Ok(self.stream)
    }

    fn skip_data(&mut self) -> Result<(), Refusal> {
        let rest = self.remaining + self.padding;
        let skipped = io::copy(&mut (&mut self.stream).take(rest), &mut io::sink()).map_err(stream_error)?;
        if skipped < self.remaining {
            return Err(Refusal::invalid("the layer ends in the middle of a file"));
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, Refusal> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return match self.block()? {
                Some(second) if second.iter().any(|byte| *byte != 0) => {
                    Err(Refusal::invalid("an empty block in the middle of the layer"))
                }
                _ => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum = number::parse(&header.as_old().cksum);
        if sum != Some(unsigned_sum(&block)) && sum != Some(signed_sum(&block)) {
            return Err(Refusal::invalid("a header whose checksum is wrong, or no tar at all"));
        }
        Ok(Some(header))
    }

    /// A whole block, or `None` when the stream ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Refusal> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.stream.read(&mut block[filled..]).map_err(stream_error)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(Refusal::invalid("the layer ends in the middle of a header")),
                count => filled += count,
            }
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        if size > MAX_EXTENSION {
            return Err(Refusal::invalid("an extended header is larger than 1 MiB"));
        }
        self.remaining = size;
        self.padding = padding(size);
        let mut data = Vec::new();
        (&mut self.stream).take(size).read_to_end(&mut data).map_err(stream_error)?;
        if data.len() as u64 != size {
            return Err(Refusal::invalid("the layer ends in the middle of a header"));
        }
        self.remaining = 0;
        self.skip_data()?;
        Ok(data)
    }

    fn entry(&mut self, header: &Header, size: u64, before: Before) -> Result<Entry, Refusal> {
        let old = header.as_old();
        let extended = before.extended.unwrap_or_default();
        let name = extended.path.or(before.long_name).unwrap_or_else(|| short_name(header));
        let refuse = |reason: &str| Refusal::entry(&name, reason);
        let kind = kind(old.linkflag[0], &name).ok_or_else(|| {
            refuse(&format!("entries of type {:?} are not supported", char::from(old.linkflag[0])))
        })?;
        let size = extended.size.unwrap_or(size);
        if kind != Kind::File && size != 0 {
            return Err(refuse("an entry with data that cannot have any"));
        }
        if kind == Kind::Device {
            check_device(header).ok_or_else(|| refuse("a device number that cannot exist"))?;
        }
        let mode = unsigned(&old.mode, "mode")?;
        let id = |extended: Option<u64>, field: &[u8], what| -> Result<u32, Refusal> {
            let id = extended.map_or_else(|| unsigned(field, what), Ok)?;
            // The highest number means "nobody in particular" to the kernel.
            u32::try_from(id)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| refuse("a user or group number that is too large"))
        };
        let mtime = match extended.mtime {
            Some(mtime) => mtime,
            None => (number::parse(&old.mtime).ok_or_else(|| refuse("its time is no number"))?, 0),
        };
        let (uid, gid) = (id(extended.uid, &old.uid, "uid")?, id(extended.gid, &old.gid, "gid")?);
        let link = extended.link.or(before.long_link).unwrap_or_else(|| until_nul(&old.linkname).to_vec());
        self.remaining = size;
        self.padding = padding(size);
        Ok(Entry {
            kind,
            link,
            mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
            uid,
            gid,
            mtime,
            xattrs: extended.xattrs,
            name,
        })
    }
}

impl Before {
    fn is_empty(&self) -> bool {
        self.extended.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

/// Sorts type flags. Contiguous files, sparse files, volume labels, parts of a multi-volume archive and what
/// nobody knows are `None`.
fn kind(flag: u8, name: &[u8]) -> Option<Kind> {
    Some(match flag {
        // Archives from before POSIX have no flag for directories.
        b'0' | 0 if name.ends_with(b"/") => Kind::Directory,
        b'0' | 0 => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' | b'4' => Kind::Device,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return None,
    })
}

/// The name in the header; only the POSIX form has a prefix.
fn short_name(header: &Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    match header.as_ustar().map(|ustar| until_nul(&ustar.prefix)) {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

fn check_device(header: &Header) -> Option<()> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        _ => return Some(()),
    };
    let is_possible =
        (0..1 << 12).contains(&number::parse(major)?) && (0..1 << 20).contains(&number::parse(minor)?);
    is_possible.then_some(())
}

/// A GNU long name ends with NUL; one inside would be read in two ways.
fn without_end(mut name: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    if name.last() == Some(&0) {
        name.pop();
    }
    if name.is_empty() || name.contains(&0) {
        Err(Refusal::invalid("a long name that is broken"))
    } else {
        Ok(name)
    }
}

fn unsigned(field: &[u8], what: &str) -> Result<u64, Refusal> {
    number::parse(field)
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| Refusal::invalid(format!("a header whose {what} is no number")))
}

fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Sum of a header's bytes with the checksum's own as blanks.
fn unsigned_sum(block: &[u8; BLOCK]) -> i64 {
    summed(block).map(i64::from).sum()
}

/// The same with signed bytes, as some old programs wrote it.
fn signed_sum(block: &[u8; BLOCK]) -> i64 {
    summed(block).map(|byte| i64::from(byte.cast_signed())).sum()
}

fn summed(block: &[u8; BLOCK]) -> impl Iterator<Item = u8> {
    block.iter().enumerate().map(|(index, byte)| if (148..156).contains(&index) { b' ' } else { *byte })
}

/// What the stream says when it cannot go on; see [`super::stream`].
fn stream_error(error: io::Error) -> Refusal {
    Refusal::invalid(super::report::printable(error.to_string().as_bytes()))
}
