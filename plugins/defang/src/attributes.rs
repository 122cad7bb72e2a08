//! The attributes of a tag: those that run something go, images from elsewhere are blocked.

use html5gum::emitters::default::StartTag;

use crate::{Active, Images, Report, Settings, css, link};

/// A transparent picture of one pixel.
const EMPTY: &str = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

/// Attributes that hold an address.
const ADDRESSES: [&[u8]; 16] = [
    b"href",
    b"src",
    b"action",
    b"formaction",
    b"background",
    b"poster",
    b"xlink:href",
    b"data",
    b"cite",
    b"longdesc",
    b"dynsrc",
    b"lowsrc",
    b"srcset",
    b"usemap",
    b"classid",
    b"codebase",
];

/// Attributes from which a picture is fetched unasked.
const PICTURES: [&[u8]; 6] = [b"src", b"srcset", b"background", b"poster", b"dynsrc", b"lowsrc"];

/// Attributes that go, besides event handlers.
const GONE: [&[u8]; 6] = [b"srcdoc", b"ping", b"formaction", b"http-equiv-refresh", b"manifest", b"autofocus"];

/// The tag as it is to be, if anything changes.
pub(crate) fn changed(tag: &StartTag<usize>, settings: Settings, report: &mut Report) -> Option<String> {
    let name = String::from_utf8_lossy(&tag.name).into_owned();
    let value_of = |name: &[u8]| tag.attributes.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let blocked = blocks_picture(&name, &value_of, settings.remote_images);
    let mut changed = false;
    let mut written = format!("<{name}");
    for (key, value) in &tag.attributes {
        let (key, value) = (&**key, String::from_utf8_lossy(value).into_owned());
        let new = attribute(&name, key, &value, settings, blocked, report);
        changed |= new.as_deref() != Some(&*value);
        if let Some(new) = new {
            written.push_str(&format!(" {}=\"{}\"", String::from_utf8_lossy(key), link::escaped(&new)));
        }
    }
    changed.then(|| written + if tag.self_closing { "/>" } else { ">" })
}

/// The value as it is to be; none if the attribute goes.
fn attribute(
    tag: &str,
    key: &[u8],
    value: &str,
    settings: Settings,
    blocked: Option<&'static str>,
    report: &mut Report,
) -> Option<String> {
    let name = String::from_utf8_lossy(key);
    let odd = !key.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b':' | b'.'));
    if settings.active == Active::Remove {
        let handler = key.starts_with(b"on");
        // What stands in an attribute's name where none belongs may be read as something else.
        if handler || odd || GONE.contains(&key) {
            report.note("ACTIVE_HTML", if odd { "attribute" } else { &name });
            return None;
        }
        if ADDRESSES.contains(&key) && link::runs(value, tag == "img" && key == b"src") {
            report.note("ACTIVE_HTML", &format!("{name} of {tag}"));
            return None;
        }
    }
    if PICTURES.contains(&key)
        && let Some(symbol) = blocked
        && is_remote(key, value)
    {
        report.note(symbol, &link::host(value).unwrap_or_default());
        return (key == b"src").then(|| EMPTY.to_owned());
    }
    if key == b"style" && (settings.active == Active::Remove || settings.remote_images == Images::All) {
        return css::harmless_style(value, settings, report);
    }
    Some(value.to_owned())
}

fn is_remote(key: &[u8], value: &str) -> bool {
    link::is_remote(value) || (key == b"srcset" && value.contains("//"))
}

/// The symbol under which the pictures of this tag are blocked, if they are.
fn blocks_picture(tag: &str, value_of: &impl Fn(&[u8]) -> Option<String>, images: Images) -> Option<&'static str> {
    match images {
        Images::Keep => None,
        Images::All => Some("REMOTE_IMAGE"),
        Images::Pixels => {
            let hidden = || is_hidden(&value_of(b"style").unwrap_or_default()) || value_of(b"hidden").is_some();
            let pixel = || is_pixel(length(b"width", value_of), length(b"height", value_of));
            (tag == "img" && (hidden() || pixel())).then_some("TRACKING_PIXEL")
        }
    }
}

/// A length in pixels, by the style or the attribute.
fn length(name: &[u8], value_of: &impl Fn(&[u8]) -> Option<String>) -> Option<f32> {
    let style = value_of(b"style").unwrap_or_default();
    let styled = css::property(&style, &String::from_utf8_lossy(name));
    let text = styled.or_else(|| value_of(name))?;
    let text = text.trim().trim_end_matches("!important").trim().trim_end_matches("px").trim();
    text.parse().ok()
}

fn is_pixel(width: Option<f32>, height: Option<f32>) -> bool {
    match (width, height) {
        (Some(width), Some(height)) => (width <= 3.0 && height <= 3.0) || width <= 1.0 || height <= 1.0,
        (Some(one), None) | (None, Some(one)) => one <= 1.0,
        (None, None) => false,
    }
}

fn is_hidden(style: &str) -> bool {
    let is = |name: &str, value: &str| css::property(style, name).is_some_and(|found| found.starts_with(value));
    is("display", "none")
        || is("visibility", "hidden")
        || is("opacity", "0") && !is("opacity", "0.")
        || is("max-height", "0")
        || is("max-width", "0")
}
