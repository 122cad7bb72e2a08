//! The source of `first.wasm`: a filter that was built against `first.wit` alone, and calls every function in it.
//!
//! It is not compiled with popgate. What counts is the file that was compiled once, with `wit-bindgen` 0.61 as a `cdylib` for
//! `wasm32-wasip2`: authors do not build their filters again when the interface grows.

use std::cell::RefCell;

use exports::popgate::filter::filter::{Failure, Guest, Verdict};
use popgate::filter::mail::Message;
use popgate::filter::{data, log};

wit_bindgen::generate!({ path: "wit", world: "mail-filter" });

thread_local! {
    /// The settings, and what the data file `list` holds.
    static CONFIGURED: RefCell<(String, String)> = RefCell::default();
}

struct First;

impl Guest for First {
    fn configure(settings: String) -> Result<(), String> {
        if settings.contains("wrong") {
            return Err("the first filter takes no `wrong`".to_owned());
        }
        let octets = data::size("list").map_or(0, |size| u32::try_from(size).unwrap_or(u32::MAX));
        let list = String::from_utf8_lossy(&data::read("list", 0, octets)).into_owned();
        CONFIGURED.set((settings, list));
        Ok(())
    }

    fn filter(message: Message) -> Result<Verdict, Failure> {
        let subject = message.header("Subject").unwrap_or_default();
        log::write(log::Level::Info, &format!("looks at {subject}"));
        match &*subject {
            "hold" => return Ok(Verdict::Hold("as it says".to_owned())),
            "service" => return Err(Failure::Service("no service".to_owned())),
            "message" => return Err(Failure::Message("no message".to_owned())),
            "replace" => return replaced(&message).map_err(Failure::Message).map(|()| Verdict::Pass),
            _ => {}
        }
        edited(&message).map_err(Failure::Message)?;
        Ok(Verdict::Pass)
    }
}

/// A new message of the old header and another body.
fn replaced(message: &Message) -> Result<(), String> {
    let replacement = message.replace_message()?;
    let head = u32::try_from(message.header_size()).unwrap_or(u32::MAX);
    replacement.write(&message.read(0, head))?;
    replacement.write(b"another body\r\n")
}

/// What it finds goes into a header field; a part is replaced, and one removed.
fn edited(message: &Message) -> Result<(), String> {
    let (settings, list) = CONFIGURED.take();
    let fields: Vec<String> = message.header_fields(0, 10).iter().map(|field| field.name.clone()).collect();
    let mut seen = vec![
        format!("settings {settings}"),
        format!("list {list}"),
        format!("size {}", message.size()),
        format!("text at {:?}", message.find(b"the text", 0)),
        format!("user {:?}", message.fact("user")),
        format!("unknown {:?}", message.fact("of-tomorrow")),
        format!("to {:?}", message.headers("To")),
        format!("fields {fields:?}"),
        format!("findings {}", message.findings().len()),
    ];
    for index in 0..message.part_count() {
        let part = message.part(index).ok_or("a part is missing")?;
        let (mut content, stream) = (Vec::new(), part.content());
        loop {
            let octets = stream.read(7);
            if octets.is_empty() {
                break;
            }
            content.extend(octets);
        }
        seen.push(format!(
            "part {index} {} {:?} {:?} {:?} {:?} {} {} {} {:?}",
            part.media_type(),
            part.parameter("charset"),
            part.file_name(),
            part.disposition(),
            part.parent(),
            part.container(),
            part.ambiguous(),
            part.encoded_size(),
            String::from_utf8_lossy(&content)
        ));
    }
    for line in &seen {
        message.report("SEEN", 0.5, Some(1.0), line)?;
    }
    message.add_header("X-First", "added")?;
    message.set_header("Subject", "set")?;
    message.remove_header("X-Old")?;
    message.replace_part(1, "instead\r\n")?;
    message.remove_part(2)?;
    let refused = message.add_header("X-First", "a\r\nb").is_err();
    message.add_header("X-Refused", if refused { "yes" } else { "no" })
}

export!(First);
