//! Constrained decoding: what an answer must look like, enforced token by token.
//!
//! An [`Expression`] says which bytes may come, [`schema`] makes one of a JSON Schema, and a [`Guide`] holds it against the
//! vocabulary while the engine draws. What has come can always be brought to an end, and all is bounded, so that an answer
//! under a guide ends by itself if there is room for it.

mod expression;
mod json;
mod number;
mod pattern;
pub mod schema;
mod thoughts;
mod vocabulary;

use std::sync::Arc;

pub use expression::Expression;
pub use schema::SchemaError;
pub use thoughts::{Length, Thoughts};
pub use vocabulary::Vocabulary;

use super::api::{Format, ToolChoice, Tools};
use super::engine::{Constraint, TokenMask};

/// The tokens that a guide knows by their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// Ends an answer.
    pub end: u32,
    /// Begins a call.
    pub call: u32,
    /// Ends the thoughts.
    pub thought_end: u32,
    /// A newline.
    pub newline: u32,
}

/// What an answer must look like, whoever writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// This text.
    Text(Expression),
    /// A call, with this text after the token that begins it.
    Call(Expression),
    /// Anything; but if it is a call, with this text.
    MaybeCall(Expression),
}

impl Form {
    /// What a request asks for, if it asks for anything.
    pub fn asked(format: &Format, tools: &Tools) -> Result<Option<Self>, SchemaError> {
        let calls = |name: Option<&str>| call(tools, name);
        match (&tools.choice, format) {
            (ToolChoice::Required, _) => Ok(Some(Self::Call(calls(None)?))),
            (ToolChoice::Named(name), _) => Ok(Some(Self::Call(calls(Some(name))?))),
            (ToolChoice::Auto, Format::Object) => Ok(Some(Self::Text(json::any_object(json::DEPTH)))),
            (ToolChoice::Auto, Format::Schema(schema)) => Ok(Some(Self::Text(schema::compile(schema)?))),
            (ToolChoice::Auto, Format::Text) if tools.offered.iter().any(|tool| tool.strict) => {
                Ok(Some(Self::MaybeCall(calls(None)?)))
            }
            (ToolChoice::Auto, Format::Text) => Ok(None),
        }
    }
}

/// The text of a call of one of the tools, or of the one with this name. Where calls are up to the model, arguments follow the
/// schema of tools that say so, and are any object otherwise.
fn call(tools: &Tools, name: Option<&str>) -> Result<Expression, SchemaError> {
    let chosen = tools.offered.iter().filter(|tool| name.is_none_or(|name| tool.name == name));
    let each = chosen.map(|tool| {
        let arguments = if tool.strict || tools.choice != ToolChoice::Auto {
            schema::compile(&tool.parameters)?
        } else {
            json::any_object(json::DEPTH)
        };
        let name = format!("\"{}\"", tool.name);
        Ok(Expression::literal(name.as_bytes()).then(json::comma()).then(member("arguments", arguments)))
    });
    let calls = Expression::either(each.collect::<Result<Vec<_>, _>>()?);
    Ok(Expression::literal(b"{").then(member("name", calls)).then(Expression::literal(b"}")))
}

fn member(key: &str, value: Expression) -> Expression {
    Expression::literal(format!("\"{key}\"").as_bytes()).then(json::colon()).then(value)
}

/// A form on its way through one answer.
pub struct Guide {
    vocabulary: Arc<Vocabulary>,
    signs: Signs,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Thoughts, in any words, until they end.
    Thinking(Form),
    /// A newline may come before what must.
    Break(Form),
    /// What must come.
    Due(Form),
    /// This is what is left of it.
    Inside(Expression),
}

impl Guide {
    /// A guide to this form, from the beginning of the answer.
    pub fn new(form: Form, vocabulary: Arc<Vocabulary>, signs: Signs) -> Self {
        Self { vocabulary, signs, stage: Stage::Due(form) }
    }

    /// The same, where thoughts come first.
    #[must_use]
    pub fn after_thoughts(mut self) -> Self {
        if let Stage::Due(form) = self.stage {
            self.stage = Stage::Thinking(form);
        }
        self
    }

    fn restrict_to_form(&self, form: &Form, mask: &mut TokenMask, also: Option<u32>) {
        match form {
            Form::Text(text) => self.restrict_to(text, mask, also),
            Form::Call(_) => mask.retain(|token| token == self.signs.call || Some(token) == also),
            Form::MaybeCall(_) => {}
        }
    }

    fn restrict_to(&self, text: &Expression, mask: &mut TokenMask, also: Option<u32>) {
        let allowed = self.vocabulary.allowed(text);
        let over = text.matches_empty().then_some(self.signs.end);
        mask.retain(|token| allowed.has(token) || Some(token) == over || Some(token) == also);
    }

    /// What is left once this token has come; the same where it could not have come.
    fn inside(&self, text: &Expression, token: u32) -> Stage {
        let left = self.vocabulary.after(text, token);
        Stage::Inside(if left.is_nothing() { text.clone() } else { left })
    }

    fn enter(&self, form: &Form, token: u32) -> Stage {
        match form {
            Form::Text(text) => self.inside(text, token),
            Form::Call(text) | Form::MaybeCall(text) if token == self.signs.call => Stage::Inside(text.clone()),
            form => Stage::Due(form.clone()),
        }
    }
}

impl Constraint for Guide {
    fn restrict(&self, mask: &mut TokenMask) {
        match &self.stage {
            // Thoughts have no end of their own but the token that ends them.
            Stage::Thinking(_) => mask.retain(|token| token != self.signs.end && token != self.signs.call),
            Stage::Break(form) => self.restrict_to_form(form, mask, Some(self.signs.newline)),
            Stage::Due(form) => self.restrict_to_form(form, mask, None),
            Stage::Inside(text) => self.restrict_to(text, mask, None),
        }
    }

    fn advance(&mut self, token: u32) {
        self.stage = match &self.stage {
            Stage::Thinking(form) if token == self.signs.thought_end => Stage::Break(form.clone()),
            Stage::Break(form) if token == self.signs.newline => Stage::Due(form.clone()),
            Stage::Break(form) | Stage::Due(form) => self.enter(form, token),
            Stage::Inside(text) => self.inside(text, token),
            Stage::Thinking(_) => return,
        };
    }
}

#[cfg(test)]
mod tests;
