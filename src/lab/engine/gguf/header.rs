//! The head of a GGUF file, whatever model it holds: its keys with their values, and where its tensors are. Pure.
//!
//! The bytes are anyone's: every count is held against what is left of the file before anything is made of it, and texts are
//! borrowed.

use std::collections::HashMap;

use super::super::matrix::{BLOCK, WeightFormat};
use super::layout::keys;
use super::{GgufError, blocks};

/// What a file begins with.
const MAGIC: &[u8] = b"GGUF";
/// Versions that are alike but for the byte order, of which 3 has two.
const VERSIONS: [u32; 2] = [2, 3];
/// The longest name of a tensor, as in llama.cpp.
const LONGEST_NAME: usize = 64;
/// Where tensors begin, unless a file says otherwise: at multiples of this.
const ALIGNMENT: u64 = 32;

/// The head of a file.
pub struct Header<'a> {
    values: HashMap<&'a str, Value<'a>>,
    /// All tensors by their names.
    pub tensors: HashMap<&'a str, Entry<'a>>,
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A whole number that is not negative.
    Whole(u64),
    /// A number with a fraction.
    Fraction(f64),
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(Vec<&'a str>),
    /// A list of whole numbers of 32 bits.
    Wholes(Vec<i32>),
    /// Something that no model of ours needs.
    Other,
}

/// A tensor in a file.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Rows of numbers.
    pub rows: u64,
    /// Numbers in a row.
    pub columns: u64,
    /// How they are kept.
    pub format: WeightFormat,
    /// Their bytes.
    pub bytes: &'a [u8],
}

/// The type of a value, by its number in the file.
mod types {
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const TEXT: u32 = 8;
    pub const LIST: u32 = 9;
}

impl<'a> Header<'a> {
    /// Reads the head of a whole file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor { bytes, at: 0 };
        if bytes.get(..MAGIC.len()) != Some(MAGIC) {
            return Err(GgufError::Magic);
        }
        cursor.take(MAGIC.len() as u64, "its beginning")?;
        let version = cursor.u32("its beginning")?;
        if !VERSIONS.contains(&version) {
            return Err(GgufError::Version(version));
        }
        let (tensors, values) = (cursor.u64("its beginning")?, cursor.u64("its beginning")?);
        let values = cursor.values(values)?;
        let alignment = match values.get(keys::ALIGNMENT) {
            None => ALIGNMENT,
            Some(Value::Whole(number @ 8..=0x1_0000)) if number.is_power_of_two() => *number,
            Some(_) => return Err(GgufError::key(keys::ALIGNMENT, "is no power of two from 8 to 65536")),
        };
        let found = cursor.places(tensors)?;
        let data = bytes.get(cursor.at.next_multiple_of(alignment as usize)..).unwrap_or_default();
        let mut tensors = HashMap::new();
        for (name, place) in found {
            if tensors.insert(name, place.entry(name, data, alignment)?).is_some() {
                return Err(GgufError::tensor(name, "is there twice"));
            }
        }
        Ok(Self { values, tensors })
    }

    /// What stands under a key.
    pub fn value(&self, key: &str) -> Option<&Value<'a>> {
        self.values.get(key)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.values.keys().copied()
    }
}

/// Where a tensor is said to be.
struct Place {
    sizes: Vec<u64>,
    code: u32,
    offset: u64,
}

impl Place {
    fn entry<'a>(self, name: &str, data: &'a [u8], alignment: u64) -> Result<Entry<'a>, GgufError> {
        let wrong = |what: &str| GgufError::tensor(name, what);
        let (columns, rows) = match self.sizes[..] {
            [columns] => (columns, 1),
            [columns, rows] => (columns, rows),
            _ => return Err(wrong("has neither one dimension nor two")),
        };
        let format = blocks::of_code(self.code)
            .ok_or_else(|| wrong("is in a format other than f32, f16, q8_0, q5_0 and q4_0"))?;
        if columns == 0 || !columns.is_multiple_of(BLOCK as u64) {
            return Err(wrong("has rows that are not multiples of 32"));
        }
        let row = (columns / BLOCK as u64).checked_mul(blocks::block_bytes(format) as u64);
        let end = row.and_then(|row| row.checked_mul(rows)).and_then(|size| size.checked_add(self.offset));
        let bytes = end.filter(|_| self.offset.is_multiple_of(alignment)).and_then(|end| {
            let range = usize::try_from(self.offset).ok()?..usize::try_from(end).ok()?;
            data.get(range)
        });
        Ok(Entry { rows, columns, format, bytes: bytes.ok_or_else(|| wrong("is not within the file"))? })
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], GgufError> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let bytes = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(GgufError::Short(what))?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        self.take(N as u64, what)?.try_into().map_err(|_| GgufError::Short(what))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn text(&mut self, what: &'static str) -> Result<&'a str, GgufError> {
        let length = self.u64(what)?;
        std::str::from_utf8(self.take(length, what)?)
            .map_err(|_| GgufError::Wrong { place: what.to_owned(), wrong: "is not in UTF-8".to_owned() })
    }

    fn values(&mut self, count: u64) -> Result<HashMap<&'a str, Value<'a>>, GgufError> {
        let mut values = HashMap::new();
        for _ in 0..count {
            let key = self.text("the name of a key")?;
            let kind = self.u32("a value")?;
            let value = self.value(key, kind)?;
            if values.insert(key, value).is_some() {
                return Err(GgufError::key(key, "is there twice"));
            }
        }
        Ok(values)
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value<'a>, GgufError> {
        const WHAT: &str = "a value";
        let whole = |number: i64| u64::try_from(number).map_or(Value::Other, Value::Whole);
        Ok(match kind {
            0 => Value::Whole(u8::from_le_bytes(self.array(WHAT)?).into()),
            1 => whole(i8::from_le_bytes(self.array(WHAT)?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.array(WHAT)?).into()),
            3 => whole(i16::from_le_bytes(self.array(WHAT)?).into()),
            types::U32 => Value::Whole(self.u32(WHAT)?.into()),
            types::I32 => whole(i32::from_le_bytes(self.array(WHAT)?).into()),
            6 => Value::Fraction(f32::from_le_bytes(self.array(WHAT)?).into()),
            // Flags say how texts are prepared, which is the prompter's business.
            7 => self.array::<1>(WHAT).map(|_| Value::Other)?,
            types::TEXT => Value::Text(self.text(WHAT)?),
            types::LIST => self.list(key)?,
            10 => Value::Whole(self.u64(WHAT)?),
            11 => whole(i64::from_le_bytes(self.array(WHAT)?)),
            12 => Value::Fraction(f64::from_le_bytes(self.array(WHAT)?)),
            _ => return Err(GgufError::key(key, "is of an unknown type")),
        })
    }

    fn list(&mut self, key: &str) -> Result<Value<'a>, GgufError> {
        const WHAT: &str = "a list";
        let (kind, count) = (self.u32(WHAT)?, self.u64(WHAT)?);
        let width = match kind {
            types::TEXT => {
                // Each takes bytes of the file, so their number needs no limit of its own.
                return (0..count).map(|_| self.text(WHAT)).collect::<Result<_, _>>().map(Value::Texts);
            }
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            types::U32 | types::I32 | 6 => 4,
            10..=12 => 8,
            _ => return Err(GgufError::key(key, "is a list of lists, or of an unknown type")),
        };
        let bytes = self.take(count.checked_mul(width).ok_or(GgufError::Short(WHAT))?, WHAT)?;
        if kind != types::I32 && kind != types::U32 {
            return Ok(Value::Other);
        }
        Ok(Value::Wholes(bytes.as_chunks().0.iter().map(|number| i32::from_le_bytes(*number)).collect()))
    }

    fn places(&mut self, count: u64) -> Result<Vec<(&'a str, Place)>, GgufError> {
        const WHAT: &str = "the list of tensors";
        let mut places = Vec::new();
        for _ in 0..count {
            let name = self.text(WHAT)?;
            if name.len() > LONGEST_NAME {
                let wrong = format!("has a name of more than {LONGEST_NAME} bytes");
                return Err(GgufError::Wrong { place: "a tensor".to_owned(), wrong });
            }
            let dimensions = self.u32(WHAT)?;
            if dimensions > 4 {
                return Err(GgufError::tensor(name, "has more than four dimensions"));
            }
            let sizes = (0..dimensions).map(|_| self.u64(WHAT)).collect::<Result<_, _>>()?;
            places.push((name, Place { sizes, code: self.u32(WHAT)?, offset: self.u64(WHAT)? }));
        }
        Ok(places)
    }
}
