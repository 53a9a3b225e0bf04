//! From compressed bytes to the bytes of a tar: decompressed, counted against a limit, hashed.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

/// Largest window of zstd, as a power of two: 128 MiB, the most that the format asks decoders to support.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The uncompressed tar.
pub(crate) struct TarStream<'a> {
    source: Box<dyn Read + 'a>,
    hash: Sha256,
    bytes: u64,
    limit: u64,
}

impl<'a> TarStream<'a> {
    /// Looks at the first bytes to tell what the compression is: media types are often wrong, and whatever
    /// comes out must have the promised diff id anyway.
    pub fn new(compressed: impl Read + 'a, limit: u64) -> io::Result<Self> {
        let mut compressed = BufReader::with_capacity(128 * 1024, compressed);
        let source: Box<dyn Read + 'a> = match compressed.fill_buf()? {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(compressed)),
            // A frame, or a skippable frame, with which zstd:chunked layers may begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let mut decoder = zstd::Decoder::with_buffer(compressed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                return Err(io::Error::other("it is compressed with xz, which is not supported"));
            }
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] => {
                return Err(io::Error::other("it is compressed with bzip2, which is not supported"));
            }
            _ => Box::new(compressed),
        };
        Ok(Self { source, hash: Sha256::new(), bytes: 0, limit })
    }

    /// Hash and length of everything that was read.
    pub fn finish(self) -> ([u8; 32], u64) {
        (self.hash.finalize().into(), self.bytes)
    }
}

impl Read for TarStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        if self.bytes > self.limit {
            return Err(io::Error::other(format!(
                "it holds more than {} bytes, all that is left of the image's limit",
                self.limit
            )));
        }
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read(compressed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let mut stream = TarStream::new(compressed, limit)?;
        let mut data = Vec::new();
        stream.read_to_end(&mut data)?;
        let (hash, bytes) = stream.finish();
        assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(&data)));
        assert_eq!(bytes, data.len() as u64);
        Ok(data)
    }

    #[test]
    fn gzip_zstd_and_plain_are_told_apart() {
        let data = b"some bytes".repeat(1000);
        assert_eq!(read(&gzip(&data), 1 << 20).unwrap(), data);
        assert_eq!(
            read(&[gzip(&data), gzip(b"more")].concat(), 1 << 20).unwrap(),
            [&data[..], b"more"].concat()
        );
        assert_eq!(read(&zstd::encode_all(&data[..], 3).unwrap(), 1 << 20).unwrap(), data);
        assert_eq!(read(&data, 1 << 20).unwrap(), data);
        assert_eq!(read(b"", 1 << 20).unwrap(), b"");
    }

    #[test]
    fn broken_and_foreign_streams_are_refused() {
        let data = b"some bytes".repeat(1000);
        let good = gzip(&data);
        assert!(read(&good[..good.len() - 9], 1 << 20).is_err(), "cut");
        let mut wrong = good.clone();
        let crc = wrong.len() - 8;
        wrong[crc] ^= 1;
        assert!(read(&wrong, 1 << 20).is_err(), "checksum");
        assert!(read(&[&good[..], b"garbage behind it"].concat(), 1 << 20).is_err());
        let frame = zstd::encode_all(&data[..], 3).unwrap();
        assert!(read(&frame[..frame.len() - 1], 1 << 20).is_err(), "cut zstd");
        assert!(read(b"\xfd7zXZ\0 rest", 1 << 20).unwrap_err().to_string().contains("xz"));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(read(&bomb, 1 << 20).unwrap_err().to_string().contains("limit"));
        assert!(read(&bomb, 10 << 20).is_ok());
    }

    #[test]
    fn a_zstd_window_beyond_the_limit_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&vec![7; 1 << 16]).unwrap();
        assert!(read(&encoder.finish().unwrap(), 1 << 20).is_err());
    }
}
