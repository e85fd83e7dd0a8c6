//! Tables as comma-separated values, after RFC 4180.
//!
//! Layer 4, pure. One line of names, then the rows, each ended by CR LF. An absent value is an empty field, and an empty text is a pair
//! of quotes, so that both come back. Values are never altered: a spreadsheet takes a text that begins with `=` for a formula, which
//! is a matter of how it is opened.

use std::fmt::Write as _;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// There is none.
    Absent,
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Any number.
    Number(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        i64::try_from(count).map_or(Self::Number(count as f64), Self::Whole)
    }
}

impl From<u32> for Cell {
    fn from(count: u32) -> Self {
        Self::Whole(count.into())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Absent }
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// A table with as many names as each row has cells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The names of the columns.
    pub names: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// The table as text.
pub fn render(table: &Table) -> String {
    let mut out = table.names.join(",") + "\r\n";
    for row in &table.rows {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            field(cell, &mut out);
        }
        out.push_str("\r\n");
    }
    out
}

fn field(cell: &Cell, out: &mut String) {
    match cell {
        Cell::Absent => {}
        Cell::Whole(number) => {
            let _ = write!(out, "{number}");
        }
        Cell::Number(number) => {
            let _ = write!(out, "{number:?}");
        }
        Cell::Text(text) if text.is_empty() || text.contains([',', '"', '\r', '\n']) => {
            out.push('"');
            out.push_str(&text.replace('"', "\"\""));
            out.push('"');
        }
        Cell::Text(text) => out.push_str(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absent_values_are_empty_and_empty_texts_are_quoted() {
        let rows = vec![vec![Cell::Absent, "".into(), 7_u64.into(), 0.1.into(), f64::NAN.into(), "a \"b\", c".into()]];
        let table = Table { names: vec!["a", "b", "c", "d", "e", "f"], rows };
        assert_eq!(render(&table), "a,b,c,d,e,f\r\n,\"\",7,0.1,,\"a \"\"b\"\", c\"\r\n");
    }

    proptest! {
        #[test]
        fn whatever_a_host_said_comes_back_from_another_reader(texts in prop::collection::vec("(?s).{0,20}", 2..4)) {
            let names = ["a", "b", "c"][..texts.len()].to_vec();
            let rows = vec![texts.iter().map(|t| Cell::from(t.as_str())).collect(); 2];
            let text = render(&Table { names, rows });
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let read: Vec<Vec<String>> =
                reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(read, vec![texts; 2]);
        }

        #[test]
        fn numbers_come_back_to_the_bit(number in prop::num::f64::NORMAL) {
            let text = render(&Table { names: vec!["n"], rows: vec![vec![number.into()]] });
            let read: f64 = text.lines().nth(1).unwrap().parse().unwrap();
            prop_assert_eq!(read.to_bits(), number.to_bits());
        }
    }
}
