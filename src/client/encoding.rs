//! Encodings: bodies that are still compressed when the HTTP library hands them on.
//!
//! Layer 3. The library unpacks what it asked for, where the host names it as the library does. Gzip is known by its
//! first byte, so that what a host says of it (`x-gzip`, `GZIP`, nothing at all) does not matter; everything else is
//! named and left alone.

use std::io::{self, Write as _};

use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use super::fault::{self, failure};
use crate::attempt::{Failure, FailureKind};

/// How many packed bytes are unpacked at once: deflate makes at most about a thousand of each, so that a limit on what
/// came out holds.
const STEP: usize = 1 << 10;

/// The first byte of gzip, with which no text begins.
const GZIP: u8 = 0x1F;

/// A body in gzip that is being unpacked, of one member or several.
pub(super) struct Gzip(MultiGzDecoder<Vec<u8>>);

impl Gzip {
    /// For a body that begins with these bytes, if it is gzip.
    pub fn begun_by(bytes: &[u8]) -> Option<Self> {
        (bytes.first() == Some(&GZIP)).then(|| Self(MultiGzDecoder::new(Vec::new())))
    }

    /// Unpacks the next bytes, and hands on what each step of it gives until that fails.
    ///
    /// # Errors
    ///
    /// With what is no gzip, and with what `take` fails with.
    pub fn unpack(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        for step in bytes.chunks(STEP) {
            let plain = self.step(step).map_err(|error| {
                failure(FailureKind::Malformed, format!("the body cannot be decompressed: {error}"))
            })?;
            take(&plain)?;
        }
        Ok(())
    }

    fn step(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(bytes)?;
        // What has come of an event is not kept waiting for the next one.
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

/// The body of an error, unpacked if it is gzip, until it is so long.
pub(super) fn unpacked(raw: Vec<u8>, most: usize) -> Vec<u8> {
    let Some(mut gzip) = Gzip::begun_by(&raw) else { return raw };
    let mut plain = Vec::new();
    // An error whose body breaks off is still that error.
    let _ = gzip.unpack(&raw, |step| {
        plain.extend_from_slice(step);
        if plain.len() < most { Ok(()) } else { Err(failure(FailureKind::TooLarge, "the rest is not looked at")) }
    });
    plain
}

/// The encoding that the headers still name, as the host writes it.
pub(super) fn left(headers: &HeaderMap) -> Option<String> {
    let named = String::from_utf8_lossy(headers.get(CONTENT_ENCODING)?.as_bytes()).into_owned();
    let named = fault::one_line(&named);
    (!named.is_empty() && !named.eq_ignore_ascii_case("identity")).then_some(named)
}

/// Says that a body is compressed in a way that it was not asked to be, if it is; it begins with these bytes. Hosts
/// name encodings of bodies that are plain (`utf-8`, `none`), so that the bytes decide.
pub(super) fn undecoded(named: Option<&str>, begins: &[u8]) -> Option<String> {
    let named = named?;
    let text = match std::str::from_utf8(begins) {
        Ok(text) => text,
        // A character that the end of what came cuts through.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&begins[..error.valid_up_to()]).ok()?,
        Err(_) => return Some(told(named)),
    };
    let packed = text.chars().any(|c| c.is_control() && !c.is_whitespace());
    packed.then(|| told(named))
}

fn told(named: &str) -> String {
    format!("the body is compressed as `{named}`, which was not asked for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_step_by_step_whatever_its_pieces_and_members() {
        let text = "data: {\"a\": 1}\n\n".repeat(500);
        let (one, two) = text.split_at(100);
        let members = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
        for packed in [gzip(text.as_bytes()), members] {
            for size in [1, 7, 4096] {
                let mut unpacker = Gzip::begun_by(&packed).unwrap();
                let mut plain = Vec::new();
                for piece in packed.chunks(size) {
                    unpacker
                        .unpack(piece, |step| {
                            plain.extend_from_slice(step);
                            Ok(())
                        })
                        .unwrap();
                }
                assert_eq!(plain, text.as_bytes(), "in pieces of {size}");
            }
        }
        assert!(Gzip::begun_by(b"{").is_none());
        let mut broken = Gzip::begun_by(&[GZIP]).unwrap();
        let failed = broken.unpack(b"\x1Fno gzip at all, for sure", |_| Ok(())).unwrap_err();
        assert_eq!(failed.kind, FailureKind::Malformed);
    }

    #[test]
    fn the_body_of_an_error_is_unpacked_as_far_as_it_is_looked_at() {
        assert_eq!(unpacked(b"no".to_vec(), 9), b"no");
        assert_eq!(unpacked(gzip(b"slow down"), 100), b"slow down");
        assert!(unpacked(gzip(&vec![b'a'; 9 << 20]), 1 << 10).len() <= 2 << 20);
    }

    #[test]
    fn an_encoding_is_named_only_where_the_bytes_are_no_text() {
        for plain in [&b"data: h\xC3"[..], b"{\"a\": 1}\r\n\t", "é".as_bytes(), b""] {
            assert_eq!(undecoded(Some("utf-8"), plain), None);
        }
        for packed in [&b"\x28\xB5\x2F\xFD\x04"[..], b"\x1F\x8B\x08", b"\x0B\x02"] {
            assert!(undecoded(Some("zstd"), packed).unwrap().contains("compressed as `zstd`"));
            assert_eq!(undecoded(None, packed), None);
        }
    }
}
