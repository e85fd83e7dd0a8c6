//! Chat templates: the model's own, and those of hosts that have it wrong.

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::api::{Thinking, Tool};
use super::assets;
use super::fault::Template;
use super::prompt::{Call, Message};

const RIGHT: &str = "right";
const NO_NEWLINES: &str = "no newlines";
const NO_ROLES: &str = "no roles";

/// The messages follow each other as plain text, whoever speaks, and what is offered to the model is not told.
const PLAIN_TEXT: &str = "{{ '<s>' }}{% for message in messages %}{{ message['content'] + '\\n' }}{% endfor %}";

/// All templates, read once.
pub struct Templates {
    environment: Environment<'static>,
}

/// What a template makes one text of.
#[derive(Debug, Clone, PartialEq)]
pub struct Talk {
    /// The conversation.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it is to think first.
    pub thinking: Thinking,
    /// What is wrong with the template, if anything.
    pub wrong: Option<Template>,
}

impl Talk {
    /// Whether the prompt ends within the assistant's thoughts.
    pub fn ends_in_thought(&self) -> bool {
        self.thinking != Thinking::Off && matches!(self.wrong, None | Some(Template::NoNewlines))
    }
}

impl Templates {
    /// Reads them. The one without newlines is the model's own with every newline that it writes taken out.
    pub fn load() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.add_template(RIGHT, assets::CHAT_TEMPLATE)?;
        environment.add_template_owned(NO_NEWLINES, assets::CHAT_TEMPLATE.replace("\\n", ""))?;
        environment.add_template(NO_ROLES, PLAIN_TEXT)?;
        Ok(Self { environment })
    }

    /// The text of a prompt that ends where the assistant is to speak.
    pub fn render(&self, talk: &Talk) -> Result<String, minijinja::Error> {
        let name = match talk.wrong {
            None | Some(Template::NoGenerationPrompt) => RIGHT,
            Some(Template::NoNewlines) => NO_NEWLINES,
            Some(Template::NoRoles) => NO_ROLES,
        };
        let tools = talk.tools.iter().map(|tool| Value::from(Serde(tool.shown()))).collect::<Vec<_>>();
        self.environment.get_template(name)?.render(context! {
            messages => talk.messages.iter().map(shown).collect::<Vec<_>>(),
            tools => (!tools.is_empty()).then_some(tools),
            add_generation_prompt => talk.wrong != Some(Template::NoGenerationPrompt),
            enable_thinking => talk.thinking != Thinking::Off,
        })
    }
}

/// A message as templates know it.
fn shown(message: &Message) -> Value {
    let call = |call: &Call| {
        context! { type => "function", function => context! { name => call.name.as_str(), arguments => call.arguments.as_str() } }
    };
    let calls = message.calls.iter().map(call).collect::<Vec<_>>();
    context! {
        role => message.role.name(),
        content => message.content.as_str(),
        tool_calls => (!calls.is_empty()).then_some(calls),
    }
}
