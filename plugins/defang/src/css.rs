//! Styles: what fetches or runs something goes.

use crate::{Active, Images, Report, Settings};

/// What makes a style active, as browsers of some age read it.
const ACTIVE: [&str; 6] = ["expression(", "behavior:", "-moz-binding", "javascript:", "vbscript:", "@import"];

/// The value of a property in the declarations of a `style` attribute, in lower case.
pub(crate) fn property(style: &str, name: &str) -> Option<String> {
    let plain = plain(style);
    let mut values = plain.split(';').filter_map(|declaration| {
        let (found, value) = declaration.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    });
    // The last one counts.
    values.by_ref().last()
}

/// A `style` attribute as it is to be; none if it goes.
pub(crate) fn harmless_style(style: &str, settings: Settings, report: &mut Report) -> Option<String> {
    let plain = plain(style);
    if settings.active == Active::Remove && ACTIVE.iter().any(|word| plain.contains(word)) {
        report.note("ACTIVE_HTML", "style");
        return None;
    }
    if settings.remote_images == Images::All && fetches(&plain) {
        report.note("REMOTE_IMAGE", "style");
        return None;
    }
    Some(style.to_owned())
}

/// A style sheet as it is to be; none if it stays.
pub(crate) fn harmless_sheet(sheet: &str, images: Images, report: &mut Report) -> Option<String> {
    let found = plain(sheet);
    let mut new = None;
    if found.contains("@import") {
        report.note("ACTIVE_HTML", "@import");
        new = Some(without_imports(sheet));
    }
    let current = new.as_deref().unwrap_or(sheet);
    let found = plain(current);
    // Escapes or comments hide what it is: then nothing of it stays.
    if ACTIVE.iter().any(|word| found.contains(word)) {
        report.note("ACTIVE_HTML", "style");
        return Some(String::new());
    }
    if images == Images::All && fetches(&found) {
        report.note("REMOTE_IMAGE", "style");
        return Some(String::new());
    }
    new
}

fn fetches(plain: &str) -> bool {
    plain.contains("url(") && plain.contains("//")
}

/// A sheet without its `@import` rules.
fn without_imports(sheet: &str) -> String {
    let lower = sheet.to_ascii_lowercase();
    let mut kept = String::new();
    let mut at = 0;
    while let Some(start) = lower[at..].find("@import").map(|found| at + found) {
        kept.push_str(&sheet[at..start]);
        let rule = &lower[start..];
        at = start
            + rule.find([';', '}', '<']).map_or(rule.len(), |end| end + usize::from(rule.as_bytes()[end] == b';'));
        // A semicolon may stand in the quotes or brackets of an address: what is left of it is no rule, and harmless.
    }
    kept.push_str(&sheet[at..]);
    kept
}

/// The style in lower case, without comments, with its escapes resolved (CSS Syntax, section 4.3.7), without white space in
/// front of brackets and colons.
fn plain(style: &str) -> String {
    let mut plain = String::with_capacity(style.len());
    let mut rest = style;
    while let Some(next) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            continue;
        }
        rest = &rest[next.len_utf8()..];
        match next {
            '\\' => {
                let digits = rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
                if digits > 0 {
                    let code = u32::from_str_radix(&rest[..digits], 16).ok().and_then(char::from_u32);
                    plain.extend(code.unwrap_or('\u{fffd}').to_lowercase());
                    rest = &rest[digits..];
                    rest = rest.strip_prefix([' ', '\t', '\n', '\r']).unwrap_or(rest);
                }
            }
            '(' | ':' => {
                plain.truncate(plain.trim_end().len());
                plain.push(next);
            }
            '\0' => {}
            _ => plain.extend(next.to_lowercase()),
        }
    }
    plain
}
