//! Banners and disclaimers: texts that are put into the body of a message, in plain text and in HTML.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use popgate_plugin::{Failure, Finding, Message, Part, Splice};
use serde::Deserialize;

use crate::condition::Condition;
use crate::template::Template;

/// A text for the body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Banner {
    text: BodyText,
    html: Option<BodyText>,
    #[serde(default)]
    place: Place,
    pub(crate) when: Option<Condition>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Place {
    #[default]
    Top,
    Bottom,
}

/// Lines with placeholders.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct BodyText(Vec<Template>);

impl TryFrom<String> for BodyText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("a banner has a text".to_owned());
        }
        Ok(Self(text.trim_end().lines().map(|line| Template::try_from(line.to_owned())).collect::<Result<_, _>>()?))
    }
}

impl BodyText {
    /// The lines, each with this line end.
    fn fill(&self, message: &Message, end: &str, escape: impl Fn(String) -> String) -> String {
        let clean = |value: String| escape(popgate_plugin::text::clean(&value, 200));
        self.0.iter().map(|line| line.fill_with(message, clean) + end).collect()
    }
}

/// Properties by which the rest of the mail might hide the box.
const SHOWN: &str = "display:block !important;visibility:visible !important;opacity:1 !important;\
    position:static !important;max-height:none !important;overflow:visible !important;";

/// How the box looks.
const BOX: &str = "margin:0 0 1em 0;padding:8px 12px;border:1px solid #b58900;background-color:#fff8dc;color:#222;\
    font:14px/1.4 sans-serif;text-align:left";

impl Banner {
    fn plain(&self, message: &Message, end: &str) -> String {
        let text = self.text.fill(message, end, |value| value);
        match self.place {
            Place::Top => text + end,
            Place::Bottom => format!("{end}{text}"),
        }
    }

    fn html(&self, message: &Message, end: &str) -> String {
        match &self.html {
            Some(html) => html.fill(message, end, |value| escaped(&value)),
            None => {
                let lines = self.text.fill(message, "\n", |value| value);
                let lines = escaped(lines.trim_end()).replace('\n', &format!("<br>{end}"));
                format!("<div style=\"{SHOWN}{BOX}\">{lines}</div>{end}")
            }
        }
    }
}

/// Puts banners into the body.
pub(crate) fn put(banners: &[&Banner], message: &Message) -> Result<(), Failure> {
    /// The longest text that a banner is put into, in octets: the host changes no longer one.
    const TEXT_MAX: usize = 16 << 20;

    if banners.is_empty() {
        return Ok(());
    }
    if message.is_signed_or_encrypted() {
        let finding = Finding::new("BODY_LEFT_ALONE", "no banner: the message is signed or encrypted");
        return Ok(message.report(&finding)?);
    }
    let mut placed = false;
    for body in message.bodies() {
        let Ok(text) = body.read_text(TEXT_MAX) else { continue };
        let changes = changes(banners, message, &body, &text);
        placed |= body.edit_text(&changes).is_ok();
    }
    if !placed {
        message.report(&Finding::new("NO_PLACE_FOR_BANNER", "no banner: the message shows no text"))?;
    }
    Ok(())
}

/// The banners as changes of a text, in the order of their places.
fn changes(banners: &[&Banner], message: &Message, body: &Part<'_>, text: &str) -> Vec<Splice> {
    let html = body.media_type() == "text/html";
    let end = if text.contains('\n') && !text.contains("\r\n") { "\n" } else { "\r\n" };
    let join = |place: Place| -> String {
        let here = banners.iter().filter(|banner| banner.place == place);
        here.map(|banner| if html { banner.html(message, end) } else { banner.plain(message, end) }).collect()
    };
    let (top, bottom) = if html { places(text) } else { (0, text.len()) };
    let mut new = vec![Splice::insert(top, join(Place::Top)), Splice::insert(bottom, join(Place::Bottom))];
    if !html && !text.is_empty() && !text.ends_with('\n') {
        new[1].text.insert_str(0, end);
    }
    new.retain(|splice| !splice.text.trim().is_empty());
    new
}

/// Where the body of an HTML document begins and ends, in octets.
fn places(html: &str) -> (usize, usize) {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    let (mut head, mut body, mut end) = (0, None, None);
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::Doctype(doctype) if head == 0 => head = doctype.span.end,
            Token::StartTag(tag) if body.is_none() && **tag.name == *b"html" => head = tag.span.end,
            Token::EndTag(tag) if body.is_none() && **tag.name == *b"head" => head = tag.span.end,
            Token::StartTag(tag) if body.is_none() && **tag.name == *b"body" => body = Some(tag.span.end),
            // What stands behind the end of the body is shown in it.
            Token::EndTag(tag) if **tag.name == *b"body" || (**tag.name == *b"html" && end.is_none()) => {
                end = Some(tag.span.start);
            }
            _ => {}
        }
    }
    let top = body.unwrap_or(head);
    (top, end.unwrap_or(html.len()).max(top))
}

/// A text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn the_body_of_a_document_is_found() {
        for (html, expected) in [
            ("<p>x</p>", "|<p>x</p>|"),
            (
                "<html><head><title><body></title></head><body class=a>x</body></html>",
                "<html><head><title><body></title></head><body class=a>|x|</body></html>",
            ),
            ("<!-- <body> --><BODY\r\n bgcolor='>'>\r\nx", "<!-- <body> --><BODY\r\n bgcolor='>'>|\r\nx|"),
            ("<!DOCTYPE html>\r\n<html>\r\n<p>x</html>\r\n", "<!DOCTYPE html>\r\n<html>|\r\n<p>x|</html>\r\n"),
            (
                "<script>'<body>'</script>\u{e9}\r\n<body>\u{e9}</body>",
                "<script>'<body>'</script>\u{e9}\r\n<body>|\u{e9}|</body>",
            ),
            ("", "||"),
        ] {
            let (top, bottom) = places(html);
            assert_eq!(format!("{}|{}|{}", &html[..top], &html[top..bottom], &html[bottom..]), expected);
        }
    }
}
