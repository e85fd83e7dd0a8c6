//! Encodings: bodies that are still compressed when the HTTP library hands them on.
//!
//! Layer 3. The library unpacks deflate and Brotli, where the host names them as the library does. Gzip is unpacked
//! here, since the library reads the first member of a body alone. It is known by its first byte, so that what a host
//! says of it (`gzip`, `x-gzip`, `GZIP`, nothing at all) does not matter; everything else is named and left alone.

use std::io::{self, Write as _};

use flate2::write::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use super::fault::{self, failure};
use crate::attempt::{Failure, FailureKind};

/// The encodings that hosts are asked for.
pub(super) const ASKED_FOR: &str = "gzip, deflate, br";

/// How many packed bytes are unpacked at once: deflate makes at most about a thousand of each, so that a limit on what
/// came out holds.
const STEP: usize = 1 << 10;

/// The first byte of gzip, with which no text begins.
const GZIP: u8 = 0x1F;

/// A body in gzip that is being unpacked: one member after the other (RFC 1952, § 2.2).
pub(super) struct Gzip {
    member: GzDecoder<Vec<u8>>,
    /// Whether the last member is over. What stands behind it, such as zeros, is none of the body.
    over: bool,
}

impl Gzip {
    /// For a body that begins with these bytes, if it is gzip.
    pub fn begun_by(bytes: &[u8]) -> Option<Self> {
        (bytes.first() == Some(&GZIP)).then(|| Self { member: GzDecoder::new(Vec::new()), over: false })
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

    /// Takes the end of the body.
    ///
    /// # Errors
    ///
    /// Where its last member is cut off, or has not the checksum that it ends in.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        self.member.try_finish().map_err(|error| {
            failure(FailureKind::CutStream, format!("the compressed body is cut off or damaged: {error}"))
        })
    }

    fn step(&mut self, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        while let Some(&next) = bytes.first().filter(|_| !self.over) {
            let taken = self.member.write(bytes)?;
            bytes = &bytes[taken..];
            if taken == 0 {
                self.member.try_finish()?;
                plain.append(self.member.get_mut());
                self.member = GzDecoder::new(Vec::new());
                self.over = next != GZIP;
            }
        }
        // What has come of an event is not kept waiting for the next one.
        self.member.flush()?;
        plain.append(self.member.get_mut());
        Ok(plain)
    }
}

/// A body that is held whole, unpacked if it is gzip, until it is so long. Of one that breaks off, what came is handed on.
pub(super) fn unpacked(raw: Vec<u8>, most: usize) -> Vec<u8> {
    let Some(mut gzip) = Gzip::begun_by(&raw) else { return raw };
    let mut plain = Vec::new();
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
    format!("the body is compressed as `{named}`, though the host was asked for {ASKED_FOR}")
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
        let members = [gzip(one.as_bytes()), gzip(b""), gzip(two.as_bytes())].concat();
        let filled = [members.as_slice(), &[0; 9]].concat();
        for packed in [gzip(text.as_bytes()), members, filled] {
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
                assert!(unpacker.finish().is_ok(), "in pieces of {size}");
            }
        }
        assert!(Gzip::begun_by(b"{").is_none());
        let mut broken = Gzip::begun_by(&[GZIP]).unwrap();
        let failed = broken.unpack(b"\x1Fno gzip at all, for sure", |_| Ok(())).unwrap_err();
        assert_eq!(failed.kind, FailureKind::Malformed);
    }

    #[test]
    fn a_last_member_that_is_cut_off_or_damaged_is_told() {
        let ends = |packed: &[u8]| {
            let mut unpacker = Gzip::begun_by(packed).unwrap();
            unpacker.unpack(packed, |_| Ok(())).unwrap();
            unpacker.finish().map_err(|failed| failed.kind)
        };
        let whole = gzip(b"hello");
        assert_eq!(ends(&whole), Ok(()));
        for length in [1, 9, 12, whole.len() - 8, whole.len() - 1] {
            assert_eq!(ends(&whole[..length]), Err(FailureKind::CutStream), "{length} bytes");
        }
        let mut damaged = whole.clone();
        damaged[whole.len() - 8] ^= 1;
        assert_eq!(ends(&damaged), Err(FailureKind::CutStream));
        assert_eq!(ends(&[whole.clone(), damaged].concat()), Err(FailureKind::CutStream));
        assert_eq!(ends(&[whole, vec![0; 9]].concat()), Ok(()));
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
