//! Slack, by incoming webhook: a message in Block Kit, within Slack's limits.
//!
//! Everything that varies is literal text of rich-text elements or of plain text, neither of which reads markup: what a
//! model says cannot mention, link or format anything. <https://docs.slack.dev/reference/block-kit/blocks>

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::Trouble;
use super::post::{Post, Response};
use super::receiver::Address;
use super::words::{self, Line};
use crate::alert::{Change, Event, Message};
use crate::report::escape;

/// Characters of a header.
pub const LONGEST_HEADER: usize = 150;
/// Characters of the text of one block; Slack says so of sections, and it holds here for every block.
pub const LONGEST_BLOCK: usize = 3000;
/// Blocks of a message.
pub const MOST_BLOCKS: usize = 50;
/// Characters of a message. Slack documents no such limit for blocks, and refuses messages of about 13,000.
pub const LONGEST_MESSAGE: usize = 10_000;

/// Characters that events may take: the rest is for title, notification and footer.
const ROOM_FOR_EVENTS: usize = LONGEST_MESSAGE - 2 * LONGEST_HEADER - LONGEST_FOOTER - LONGEST_REST;
const LONGEST_FOOTER: usize = 2000;
const LONGEST_REST: usize = 100;
/// Characters of one line of an event.
const LONGEST_LINE: usize = 400;
/// Characters of one quoted answer.
const LONGEST_ANSWER: usize = 300;
/// Characters of a link.
const LONGEST_LINK: usize = 800;

/// Sends a message to a channel.
pub(super) async fn send(address: &Address, message: &Message, now: Timestamp) -> Result<(), Trouble> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = payload(message).to_string();
    let post = Post { url: address.url(), headers, body, timeout: address.timeout };
    judge(&post.send(now).await?)
}

/// What Slack's response means: `ok`, trouble that passes, or a word for what someone must do.
fn judge(response: &Response) -> Result<(), Trouble> {
    let word = response.body.trim();
    let advice = match word {
        "ok" if response.status == 200 => return Ok(()),
        "no_service" | "no_service_id" | "invalid_token" => "the webhook is gone: make a new one",
        "no_team" | "team_disabled" => "the workspace is gone",
        "channel_is_archived" => "the channel is archived: make a webhook for another one",
        "channel_not_found" | "user_not_found" => "the channel is gone: make a webhook for another one",
        "action_prohibited" | "posting_to_general_channel_denied" => {
            "an administrator does not allow this webhook to post there"
        }
        "invalid_payload" | "no_text" | "too_many_attachments" | "msg_blocks_too_long" => {
            "Slack does not understand the message: this is a fault of samemodel"
        }
        _ => return response.taken(),
    };
    Err(Trouble::lasting(format!("{word}: {advice}")))
}

/// The message in Block Kit.
pub fn payload(message: &Message) -> Value {
    let headline = fit(&words::headline(message), LONGEST_HEADER);
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": headline, "emoji": false },
    })];
    blocks.extend(event_blocks(message));
    blocks.push(footer(message));
    // The notification is read as markup where blocks are not, hence the three characters that begin any.
    let text = headline.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": text, "mrkdwn": false, "blocks": blocks })
}

/// One block an event, in full while there is room, then in a line each, then as a number.
fn event_blocks(message: &Message) -> Vec<Value> {
    let most = MOST_BLOCKS - 3;
    let mut room = ROOM_FOR_EVENTS;
    let mut blocks = Vec::new();
    for (i, event) in message.events.iter().enumerate() {
        let rest = message.events.len() - i;
        let full = Block::of(event, message.at);
        let short = Block { lines: Vec::new(), quoted: None, ..full.clone() };
        let Some(block) = [full, short].into_iter().find(|block| block.length() <= room) else {
            blocks.push(more(rest));
            break;
        };
        if blocks.len() == most {
            blocks.push(more(rest));
            break;
        }
        room -= block.length();
        blocks.push(block.into_value());
    }
    blocks
}

fn more(events: usize) -> Value {
    let text = format!("… and {events} more: samemodel alert list");
    json!({ "type": "context", "elements": [{ "type": "plain_text", "text": text, "emoji": false }] })
}

/// What is said of an event, cut to size.
#[derive(Clone)]
struct Block {
    sentence: String,
    lines: Vec<(String, String)>,
    quoted: Option<String>,
}

impl Block {
    fn of(event: &Event, at: Timestamp) -> Self {
        let line = |Line { about, text }: Line| (format!("\n{about}: "), fit(&text, LONGEST_LINE));
        let example = event.facts.example.as_ref().filter(|_| event.change != Change::Resolved);
        let quoted = example.map(|example| {
            let [reference, endpoint] = [&example.reference, &example.endpoint].map(|text| fit(text, LONGEST_ANSWER));
            let (probe, who) = (fit(&example.probe, 100), fit(&event.subject.endpoint, 100));
            format!("to {probe}\nthe reference: {reference}\n{who}: {endpoint}")
        });
        Self {
            sentence: fit(&words::sentence(event), LONGEST_HEADER),
            lines: words::lines(event, at).into_iter().map(line).collect(),
            quoted,
        }
    }

    fn length(&self) -> usize {
        let lines: usize = self.lines.iter().map(|(about, text)| units(about) + units(text)).sum();
        units(&self.sentence) + lines + self.quoted.as_deref().map_or(0, units)
    }

    fn into_value(self) -> Value {
        let mut said = vec![bold(&self.sentence)];
        for (about, text) in &self.lines {
            said.push(literal(about));
            said.push(literal(text));
        }
        let mut elements = vec![json!({ "type": "rich_text_section", "elements": said })];
        if let Some(quoted) = self.quoted {
            elements.push(json!({ "type": "rich_text_preformatted", "elements": [literal(&quoted)] }));
        }
        json!({ "type": "rich_text", "elements": elements })
    }
}

/// Links, how to silence, and the key: it is also the block's id, by which a copy can be told.
fn footer(message: &Message) -> Value {
    let mut said = Vec::new();
    for (about, text) in words::footer(message) {
        if !said.is_empty() {
            said.push(literal(" · "));
        }
        match about {
            "report" | "notes" if units(&text) <= LONGEST_LINK => {
                said.push(json!({ "type": "link", "url": text, "text": about }));
            }
            "silence" => {
                said.push(literal("silence: "));
                said.push(json!({ "type": "text", "text": fit(&text, 300), "style": { "code": true } }));
            }
            _ => said.push(literal(&format!("{about} {}", fit(&text, 100)))),
        }
    }
    json!({
        "type": "rich_text",
        "block_id": format!("samemodel-{}", fit(&message.key, 64)),
        "elements": [{ "type": "rich_text_section", "elements": said }],
    })
}

fn literal(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn bold(text: &str) -> Value {
    json!({ "type": "text", "text": text, "style": { "bold": true } })
}

/// One harmless line of at most so many characters, as Slack counts them; never empty, which Slack refuses.
fn fit(text: &str, most: usize) -> String {
    let line = escape::line(text);
    if line.is_empty() {
        return "–".to_owned();
    }
    if units(&line) <= most {
        return line;
    }
    let mut length = 1;
    let kept = line.chars().take_while(|c| {
        length += c.len_utf16();
        length <= most
    });
    kept.collect::<String>() + "…"
}

/// Slack's clients count UTF-16 units; that is never fewer than characters.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<(), Trouble> {
        judge(&Response { status, body: body.into(), wait: None })
    }

    #[test]
    fn words_of_slack_that_need_someone_are_told_from_trouble_that_passes() {
        assert_eq!(judged(200, "ok"), Ok(()));
        for (status, word) in [
            (404, "no_service"),
            (410, "channel_is_archived"),
            (400, "invalid_payload"),
            (403, "action_prohibited"),
            (404, "channel_not_found"),
            (403, "invalid_token"),
        ] {
            let trouble = judged(status, word).unwrap_err();
            assert!(matches!(&trouble, Trouble::Lasting { reason } if reason.starts_with(word)), "{trouble:?}");
        }
        for (status, body) in [(429, "rate_limited"), (500, "rollup_error"), (503, "<html>")] {
            assert!(matches!(judged(status, body), Err(Trouble::Passing { .. })), "{status}");
        }
        assert!(matches!(judged(302, ""), Err(Trouble::Lasting { .. })), "no redirect is followed");
    }
}
