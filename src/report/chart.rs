//! A bar for an effect with its interval, beside the tolerance, in plain characters.
//!
//! Layer 4, pure. The bar says the same without colour, and with ASCII alone where a terminal has nothing else.

use crate::verdict::Effect;

/// The characters of which bars are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// Lines and dots.
    #[default]
    Unicode,
    /// What every terminal has.
    Ascii,
}

/// Characters by what they stand for.
struct Set {
    low: char,
    high: char,
    between: char,
    estimate: char,
    tolerance: char,
}

impl Glyphs {
    fn set(self) -> Set {
        match self {
            Self::Unicode => Set { low: '├', high: '┤', between: '─', estimate: '●', tolerance: '┊' },
            Self::Ascii => Set { low: '[', high: ']', between: '-', estimate: 'o', tolerance: ':' },
        }
    }

    /// What the characters mean, in a line.
    pub fn legend(self) -> String {
        let Set { low, high, between, estimate, tolerance } = self.set();
        format!("{low}{between}{estimate}{between}{high} estimate within its interval   {tolerance} tolerance")
    }

    /// Text with its dashes as these glyphs have them.
    pub fn text(self, text: &str) -> String {
        match self {
            Self::Unicode => text.to_owned(),
            Self::Ascii => text.chars().map(plain).collect(),
        }
    }
}

/// What stands for a character that ASCII does not have.
fn plain(c: char) -> char {
    match c {
        '–' | '−' => '-',
        '…' => '~',
        '·' => '|',
        '↓' => 'v',
        '↑' => '^',
        c if c.is_ascii() => c,
        _ => '?',
    }
}

/// The range of effects that a chart shows, the same for all of its bars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    columns: usize,
}

impl Scale {
    /// A scale on which zero, all intervals and twice the largest tolerance have room.
    pub fn of<'a>(effects: impl IntoIterator<Item = (&'a Effect, f64)>, columns: usize) -> Self {
        let mut scale = Self { low: 0.0, high: 0.0, columns: columns.max(8) };
        for (effect, tolerance) in effects {
            let finite =
                [effect.low, effect.high, effect.estimate, 2.0 * tolerance].into_iter().filter(|x| x.is_finite());
            for value in finite {
                scale.low = scale.low.min(value);
                scale.high = scale.high.max(value);
            }
        }
        if scale.high - scale.low <= f64::EPSILON {
            scale.high = scale.low + 1.0;
        }
        scale
    }

    /// The column of a value, held within the chart.
    fn column(self, value: f64) -> usize {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        if share.is_nan() { 0 } else { (share * (self.columns - 1) as f64).round() as usize }
    }

    /// The bar of an effect, exactly as wide as the chart; only the tolerance where nothing was measured.
    pub fn bar(self, effect: Option<&Effect>, tolerance: f64, glyphs: Glyphs) -> String {
        let set = glyphs.set();
        let mut row = vec![' '; self.columns];
        if let Some(effect) = effect {
            let (low, high) = (self.column(effect.low), self.column(effect.high));
            for cell in &mut row[low..=high.max(low)] {
                *cell = set.between;
            }
            row[low] = set.low;
            row[high] = set.high;
        }
        row[self.column(tolerance)] = set.tolerance;
        if self.low < -tolerance {
            row[self.column(-tolerance)] = set.tolerance;
        }
        if let Some(effect) = effect {
            row[self.column(effect.estimate)] = set.estimate;
        }
        row.into_iter().collect()
    }

    /// What stands below the bars: the values at both ends, and zero where that is neither.
    pub fn axis(self) -> String {
        let mut row: Vec<char> = vec![' '; self.columns];
        let mut put = |text: &str, from: usize| {
            for (cell, c) in row.iter_mut().skip(from).zip(text.chars()) {
                *cell = c;
            }
        };
        let (low, high) = (end(self.low), end(self.high));
        put(&high, self.columns.saturating_sub(high.chars().count()));
        put(&low, 0);
        if self.low < 0.0 && self.column(0.0) > low.len() + 1 && self.column(0.0) + high.len() + 2 < self.columns {
            put("0", self.column(0.0));
        }
        row.into_iter().collect::<String>().trim_end().to_owned()
    }
}

/// An end of the axis, in ASCII: with a decimal where it would read as nothing below or above zero.
fn end(value: f64) -> String {
    let shown = |digits: usize| format!("{:.digits$} %", 100.0 * value);
    [0, 1]
        .map(shown)
        .into_iter()
        .find(|text| text.contains(|c: char| ('1'..='9').contains(&c)))
        .unwrap_or_else(|| "0 %".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verdict::EffectName;

    fn effect(estimate: f64, low: f64, high: f64) -> Effect {
        Effect { name: EffectName::Substitution, estimate, low, high }
    }

    #[test]
    fn a_bar_has_its_interval_its_estimate_and_the_tolerance_at_their_places() {
        let drift = effect(0.3, 0.2, 0.4);
        let scale = Scale::of([(&drift, 0.05)], 21);
        assert_eq!(scale.bar(Some(&drift), 0.05, Glyphs::Unicode), "   ┊      ├────●────┤");
        assert_eq!(scale.bar(Some(&drift), 0.05, Glyphs::Ascii), "   :      [----o----]");
        assert_eq!(scale.bar(None, 0.05, Glyphs::Ascii), "   :                 ");
        assert_eq!(scale.axis(), "0 %              40 %");
    }

    #[test]
    fn effects_below_zero_have_their_tolerance_too() {
        let loss = effect(-0.3, -0.4, -0.2);
        let scale = Scale::of([(&loss, 0.1)], 31);
        assert_eq!(scale.bar(Some(&loss), 0.1, Glyphs::Ascii), "[----o----]    :         :     ");
        assert_eq!(scale.axis(), "-40 %               0      20 %");
    }

    #[test]
    fn the_ends_of_an_axis_are_no_negative_nothing() {
        assert_eq!([-0.001, -0.0001, 0.0, 0.004, 0.1].map(end), ["-0.1 %", "0 %", "0 %", "0.4 %", "10 %"]);
    }

    proptest! {
        #[test]
        fn every_bar_is_as_wide_as_its_chart(
            values in prop::collection::vec(prop::num::f64::ANY, 3),
            tolerance in prop::num::f64::ANY,
            columns in 0_usize..90,
        ) {
            let odd = effect(values[0], values[1], values[2]);
            let scale = Scale::of([(&odd, tolerance)], columns);
            for bar in [scale.bar(Some(&odd), tolerance, Glyphs::Ascii), scale.bar(None, tolerance, Glyphs::Unicode)] {
                prop_assert_eq!(bar.chars().count(), columns.max(8));
            }
            prop_assert!(scale.axis().chars().count() <= columns.max(8));
        }
    }
}
