//! A file of ten gigabytes that is ten megabytes on its way: a pack of git's (gitformat-pack(5)) put together by hand,
//! as compressing so many zeros takes minutes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compress, Compression, Crc, FlushCompress};

use super::Repository;

const SIZE: u64 = 10 << 30;
/// Id of the file: SHA-1 of `blob 10737418240`, a zero byte and the file.
const ID: &str = "1119181c4708377b56e8dedc83bba16a2ce4a254";

impl Repository {
    /// Commits ten gigabytes of zeros under this name, and nothing else, to `main` of the bare repository. Gives the
    /// commit's id.
    pub fn commit_ten_gigabytes(&self, name: &str) -> Result<String> {
        let (pack, index) = files()?;
        let folder = self.bare().join("objects/pack");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("pack-zeros.pack"), pack)?;
        std::fs::write(folder.join("pack-zeros.idx"), index)?;
        let bare = format!("--git-dir={}", self.bare().display());
        let tree = self.git_with(&[&bare, "mktree"], format!("100644 blob {ID}\t{name}\n").as_bytes())?;
        let commit = self.git(&[&bare, "commit-tree", "-m", "ten gigabytes", &tree])?;
        self.git(&[&bare, "update-ref", "refs/heads/main", &commit])?;
        Ok(commit)
    }
}

/// A pack with one object, and its index.
fn files() -> Result<(Vec<u8>, Vec<u8>)> {
    let entry = [object_header(), zeros()?].concat();
    let mut crc = Crc::new();
    crc.update(&entry);
    let mut pack = [b"PACK".as_slice(), &2_u32.to_be_bytes(), &1_u32.to_be_bytes(), &entry].concat();
    let pack_sum = sha1(&pack)?;
    pack.extend_from_slice(&pack_sum);

    let id = hex::decode(ID)?;
    let mut index = [b"\xfftOc".as_slice(), &2_u32.to_be_bytes()].concat();
    // How many ids begin with this byte or a smaller one.
    for first in 0..=255_u8 {
        index.extend_from_slice(&u32::from(first >= id[0]).to_be_bytes());
    }
    index.extend_from_slice(&id);
    index.extend_from_slice(&crc.sum().to_be_bytes());
    // The object comes after a head of twelve bytes.
    index.extend_from_slice(&12_u32.to_be_bytes());
    index.extend_from_slice(&pack_sum);
    let index_sum = sha1(&index)?;
    index.extend_from_slice(&index_sum);
    Ok((pack, index))
}

/// Type (3: a file) and size, four bits first and then seven a byte, the lowest first.
fn object_header() -> Vec<u8> {
    let mut rest = SIZE >> 4;
    let mut header = vec![(3 << 4) | (SIZE & 15) as u8];
    while rest > 0 {
        if let Some(last) = header.last_mut() {
            *last |= 0x80;
        }
        header.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    header
}

/// The file, compressed (RFC 1950): what a megabyte becomes stands there for each.
fn zeros() -> Result<Vec<u8>> {
    let part = vec![0; 1 << 20];
    let mut compress = Compress::new(Compression::best(), true);
    let mut next = || {
        let mut out = Vec::with_capacity(64 * 1024);
        compress.compress_vec(&part, &mut out, FlushCompress::Full).context("compressing")?;
        anyhow::Ok(out)
    };
    let first = next()?;
    // Only the first has the head.
    let other = next()?;
    ensure!(first.ends_with(&other), "each megabyte is compressed alike");
    let mut whole = first;
    for _ in 1..SIZE >> 20 {
        whole.extend_from_slice(&other);
    }
    // An empty last block (RFC 1951, fixed codes), and Adler-32 of as many zeros.
    whole.extend_from_slice(&[3, 0]);
    let sum = ((SIZE % 65521) << 16) | 1;
    whole.extend_from_slice(&u32::try_from(sum)?.to_be_bytes());
    Ok(whole)
}

fn sha1(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("/usr/bin/sha1sum")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting sha1sum (package coreutils)")?;
    child.stdin.take().context("it has an input")?.write_all(bytes)?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(hex::decode(text.get(..40).context("a sum")?)?)
}
