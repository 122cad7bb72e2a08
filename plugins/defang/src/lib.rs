//! The filter `defang`: HTML without active content and tracking pixels, and links that say where they lead.
//!
//! # Settings
//!
//! ```toml
//! [filter.config]
//! active = "remove"               # default; | "keep": scripts, forms, frames, embedded objects, event handlers
//! remote_images = "pixels"        # default: invisible ones are blocked; | "all" | "keep"
//! links = "mismatch"              # default: where the text shows another host than the link; | "all" | "keep"
//! signed = "keep"                 # default: signed and encrypted mail stays as it is; | "change"
//! attached = false                # default: HTML files that are attached stay as they are
//! ```
//!
//! * **Active content** goes: `script`, `iframe` and other frames, `object`, `applet` and `embed` (what they show instead stays),
//!   `form` and its fields, `base`, `link`, `meta` with `refresh`, `svg` and `math` (their text stays), all event handlers
//!   (`onload`), links that run something (`javascript:`, `data:text/html`) or lead to a file server, and from styles `@import`,
//!   `expression()`, `behavior` and `-moz-binding`.
//! * **Images** that are blocked get an empty picture in the place of their address, so that nothing moves. Those that count as
//!   invisible are at most three pixels wide and high, or one in one direction, or hidden by their style. Images that
//!   the mail brings along are not touched.
//! * HTML inside of a message that is attached in an encoded form can't be changed, and is reported as `HTML_LEFT_ALONE`.
//! * **Links** get the host behind their text, in brackets: `Your bank [evil.example]`.
//!
//! What was done is reported (`ACTIVE_HTML`, `TRACKING_PIXEL`, `LINK_MISMATCH`). HTML in which there is nothing to do stays as it
//! is, octet for octet; all else of the message does in any case. Something that was taken out is in the original, which the
//! proxy keeps in quarantine.

mod attributes;
mod css;
mod html;
mod link;

use std::collections::BTreeMap;

use popgate_plugin::{Failure, Filter, Finding, Message, Part, Verdict, text};
use serde::Deserialize;

/// The settings; see the crate's documentation.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    active: Active,
    remote_images: Images,
    links: Links,
    signed: Signed,
    attached: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            active: Active::Remove,
            remote_images: Images::Pixels,
            links: Links::Mismatch,
            signed: Signed::Keep,
            attached: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Active {
    Remove,
    Keep,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Images {
    Pixels,
    All,
    Keep,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Links {
    Mismatch,
    All,
    Keep,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Signed {
    Keep,
    Change,
}

/// What was done, by symbol: how often, and to what.
#[derive(Debug, Default)]
struct Report(BTreeMap<&'static str, BTreeMap<String, u32>>);

impl Report {
    /// Different things that are named for one symbol.
    const NAMED: usize = 12;

    fn note(&mut self, symbol: &'static str, what: &str) {
        let all = self.0.entry(symbol).or_default();
        let what = if all.len() < Self::NAMED || all.contains_key(what) { what } else { "others" };
        *all.entry(what.to_owned()).or_default() += 1;
    }

    fn findings(&self) -> impl Iterator<Item = Finding> {
        self.0.iter().map(|(symbol, all)| {
            let named = all.iter().map(|(what, count)| match count {
                1 => what.clone(),
                _ => format!("{what} ({count})"),
            });
            Finding::new(*symbol, text::clean(&named.collect::<Vec<_>>().join(", "), 300))
        })
    }
}

/// The filter.
#[derive(Debug)]
pub struct Defang(Settings);

impl Filter for Defang {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        /// The longest text that the host changes, in octets.
        const TEXT_MAX: usize = 16 << 20;

        let parts: Vec<_> = message.parts().filter(|part| self.is_shown(part)).collect();
        if parts.is_empty() {
            return Ok(Verdict::Pass);
        }
        if self.0.signed == Signed::Keep && message.is_signed_or_encrypted() {
            message.report(&Finding::new("HTML_LEFT_ALONE", "the message is signed or encrypted"))?;
            return Ok(Verdict::Pass);
        }
        let mut report = Report::default();
        for part in parts {
            // It fails where the content can't be looked into, and does not pass it as harmless.
            let html = part.read_text(TEXT_MAX)?;
            let changes = html::changes(&html, self.0, &mut report);
            if !changes.is_empty() && part.edit_text(&changes).is_err() {
                let why = format!("part {} lies inside of an encoded message", part.index());
                message.report(&Finding::new("HTML_LEFT_ALONE", why))?;
            }
        }
        report.findings().try_for_each(|finding| message.report(&finding))?;
        Ok(Verdict::Pass)
    }
}

impl Defang {
    fn is_shown(&self, part: &Part<'_>) -> bool {
        let attached = || part.disposition().as_deref() == Some("attachment");
        part.media_type() == "text/html" && (self.0.attached || !attached())
    }
}

popgate_plugin::export!(Defang);

#[cfg(test)]
mod tests;
