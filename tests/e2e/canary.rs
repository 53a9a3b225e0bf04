//! Looks for secrets where none may be: files of the installation, its run folder, and what every process of the
//! machine shows of its arguments and environment.

use std::fs;
use std::path::Path;

use crate::harness::Installation;

/// Where a secret was found, as `place: which`. The secret itself is not repeated.
pub fn hits(darsena: &Installation, secrets: &[(&str, &str)]) -> Vec<String> {
    let mut hits = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for (name, secret) in secrets {
            if holds(bytes, secret.as_bytes()) || holds(bytes, base64(secret).as_bytes()) {
                hits.push(format!("{place}: {name}"));
            }
        }
    };
    look_into(darsena.data(), &mut look);
    look_into(&darsena.run_folder(), &mut look);
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if entry.file_name().to_string_lossy().parse::<u32>().is_ok() {
            for file in ["cmdline", "environ"] {
                // A process may have ended meanwhile.
                let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
                look(&entry.path().join(file).display().to_string(), &bytes);
            }
        }
    }
    hits
}

fn look_into(folder: &Path, look: &mut dyn FnMut(&str, &[u8])) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            look_into(&path, look);
        } else if kind.is_file() {
            look(&path.display().to_string(), &content(&path).unwrap_or_default());
        }
    }
}

/// The bytes of a file, without its holes: the filesystem of an application's builds is mostly hole.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    use rustix::fs::{SeekFrom, seek};
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(path)?;
    let (mut bytes, mut at) = (Vec::new(), 0);
    // It ends with ENXIO where no data comes any more.
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(start))?;
        let mut piece = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(&mut piece, start)?;
        bytes.append(&mut piece);
        at = end;
    }
    Ok(bytes)
}

/// Looks at the last byte of each place, and goes on by as much as that byte allows (Horspool, 1980): there are a hundred
/// megabytes to look through, in a debug build.
fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    let last = wanted.len() - 1;
    let mut steps = [wanted.len(); 256];
    for (place, byte) in wanted[..last].iter().enumerate() {
        steps[usize::from(*byte)] = last - place;
    }
    let mut end = last;
    while let Some(byte) = bytes.get(end) {
        if *byte == wanted[last] && bytes[end - last..=end] == *wanted {
            return true;
        }
        end += steps[usize::from(*byte)];
    }
    false
}

/// As a secret would stand in a `Basic` header, for any length of the user name before it: the part in the middle
/// that does not depend on its neighbours.
fn base64(secret: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = secret.as_bytes().chunks_exact(3).flat_map(|three| {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize] as char)
    });
    whole.collect()
}

#[test]
fn a_text_is_found_where_it_is() {
    let text = b"a needle in a haystack of needles";
    for wanted in ["a needle", "needles", "k of", "haystack", "a needle in a haystack of needles"] {
        assert!(holds(text, wanted.as_bytes()), "{wanted}");
    }
    for wanted in ["needless", "neeedle", "b", "haystack  "] {
        assert!(!holds(text, wanted.as_bytes()), "{wanted}");
    }
}
