//! From the keywords of a JSON Schema for strings and numbers to the expression of what follows them. Pure.

use serde_json::{Map, Value};

use super::{SchemaError, wrong};
use crate::lab::constrain::expression::Expression;
use crate::lab::constrain::json;
use crate::lab::constrain::number::{Bound, Kind, Number, Range};
use crate::lab::constrain::pattern::{self, Pattern};

/// The pattern that strings follow besides their bounds, if any.
pub fn pattern(
    keywords: &Map<String, Value>,
    (least, most): (u32, u32),
    place: &str,
) -> Result<Option<Pattern>, SchemaError> {
    let text = |name: &str| match keywords.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong(place, format!("`{name}` that is no text"))),
    };
    let pattern = match (text("pattern")?, text("format")?) {
        (None, None) => return Ok(None),
        (Some(pattern), None) => pattern.to_owned(),
        (None, Some(format)) => {
            pattern::of_format(format).ok_or_else(|| wrong(place, format!("the format `{format}`")))?
        }
        (Some(_), Some(_)) => return Err(wrong(place, "`pattern` beside `format`")),
    };
    // A character has at least one byte, so that a bound on bytes keeps one on characters.
    let longest = keywords.contains_key("maxLength").then_some(most);
    let pattern = Pattern::new(&pattern, longest).map_err(|error| wrong(place, error.to_string()))?;
    if pattern.least_characters() < least {
        return Err(wrong(place, "`minLength` beside a pattern that shorter strings follow"));
    }
    Ok(Some(pattern))
}

/// Numbers of this kind between their bounds.
pub fn number(keywords: &Map<String, Value>, kind: Kind, place: &str) -> Result<Expression, SchemaError> {
    let bound = |name: &str| match keywords.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(place, format!("`{name}` that is no number"))),
    };
    let mut range = Range::default();
    let mut bounded = false;
    for (least, most, how) in
        [("minimum", "maximum", Bound::Inclusive), ("exclusiveMinimum", "exclusiveMaximum", Bound::Exclusive)]
    {
        let (low, high) = (bound(least)?, bound(most)?);
        bounded |= low.is_some() || high.is_some();
        range = low.map_or(range, |low| range.at_least(low, how));
        range = high.map_or(range, |high| range.at_most(high, how));
    }
    match kind {
        _ if bounded => Ok(Number::within(range, kind).map_or_else(Expression::nothing, Expression::number)),
        Kind::Integer => Ok(json::integer()),
        Kind::Decimal => Ok(json::number()),
    }
}
