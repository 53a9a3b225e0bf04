//! A tar writer that writes whatever it is told, right or wrong (POSIX ustar with pax extended headers).

const BLOCK: usize = 512;

/// A tar under way. Entries come out in the order in which they are added.
#[derive(Clone, Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// One entry, with every field free to be nonsense.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    /// `b'0'` file, `b'1'` hard link, `b'2'` symbolic link, `b'3'` character device, `b'4'` block device,
    /// `b'5'` directory, `b'6'` FIFO.
    pub kind: u8,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    /// What the header says; the length of `data` when `None`.
    pub size: Option<u64>,
    pub device: (u32, u32),
    /// Records of an extended header before the entry.
    pub pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry of root's, mode 0644.
    pub fn new(kind: u8, name: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1_700_000_000,
            link: Vec::new(),
            data: Vec::new(),
            size: None,
            device: (0, 0),
            pax: Vec::new(),
        }
    }

    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    #[must_use]
    pub fn link(mut self, link: impl Into<Vec<u8>>) -> Self {
        self.link = link.into();
        self
    }

    #[must_use]
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = data.into();
        self
    }

    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    #[must_use]
    pub fn device(mut self, major: u32, minor: u32) -> Self {
        self.device = (major, minor);
        self
    }

    #[must_use]
    pub fn pax(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.pax.push((key.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn xattr(self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// The header block, its checksum right.
    pub fn header(&self) -> [u8; BLOCK] {
        let mut block = [0_u8; BLOCK];
        put(&mut block[0..100], &self.name);
        octal(&mut block[100..108], self.mode.into());
        octal(&mut block[108..116], self.uid);
        octal(&mut block[116..124], self.gid);
        octal(&mut block[124..136], self.size.unwrap_or(self.data.len() as u64));
        octal(&mut block[136..148], self.mtime);
        block[156] = self.kind;
        put(&mut block[157..257], &self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], self.device.0.into());
        octal(&mut block[337..345], self.device.1.into());
        sign(&mut block);
        block
    }
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn dir(self, name: &str, mode: u32) -> Self {
        self.entry(Entry::new(b'5', name).mode(mode))
    }

    #[must_use]
    pub fn file(self, name: &str, data: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.entry(Entry::new(b'0', name).mode(mode).data(data))
    }

    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(Entry::new(b'2', name).mode(0o777).link(target))
    }

    #[must_use]
    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(Entry::new(b'1', name).link(target))
    }

    /// Adds an entry. Names and links that the header has no room for go into an extended one.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        let mut records = entry.pax.clone();
        for (key, value) in [("path", &entry.name), ("linkpath", &entry.link)] {
            if value.len() > 100 {
                records.push((key.to_owned(), value.clone()));
            }
        }
        if !records.is_empty() {
            let data = records.iter().flat_map(|(key, value)| record(key, value)).collect::<Vec<u8>>();
            let header = Entry::new(b'x', "pax").data(data);
            self = self.plain(&header);
        }
        self.plain(&entry)
    }

    /// Adds header and data as they are.
    #[must_use]
    pub fn plain(mut self, entry: &Entry) -> Self {
        self.bytes.extend_from_slice(&entry.header());
        self.bytes.extend_from_slice(&entry.data);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Adds bytes that need not be of a tar.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The tar, with its two empty blocks at the end.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    /// The tar without an end.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

/// Sets the checksum of a header block.
pub fn sign(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Octal, or base 256 when there is no room.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    if text.len() <= digits {
        put(field, text.as_bytes());
        return;
    }
    field.fill(0);
    field[0] = 0x80;
    let start = field.len() - 8;
    if start == 0 {
        field.copy_from_slice(&value.to_be_bytes());
        field[0] |= 0x80;
    } else {
        field[start..].copy_from_slice(&value.to_be_bytes());
    }
}

/// One record of an extended header: its length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}
