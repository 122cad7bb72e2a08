//! What is odd about a message: its header, its parts, its links.

use serde::Deserialize;

use crate::view::{View, address, belongs, domain};

/// Extensions of programs, scripts and shortcuts.
const EXECUTABLE: [&str; 18] = [
    "bat", "chm", "cmd", "com", "cpl", "exe", "hta", "iso", "jar", "js", "jse", "lnk", "msi", "pif", "ps1", "scr",
    "vbs", "wsf",
];

/// Extensions that people take for harmless.
const HARMLESS: [&str; 12] = ["doc", "docx", "gif", "htm", "jpg", "mp3", "pdf", "png", "rtf", "txt", "xls", "xlsx"];

/// Providers of free addresses, by the label before the last.
const FREE: [&str; 14] = [
    "aol",
    "gmail",
    "gmx",
    "hotmail",
    "icloud",
    "live",
    "mail",
    "msn",
    "outlook",
    "proton",
    "protonmail",
    "qq",
    "yahoo",
    "yandex",
];

/// Something odd; the name in the settings is in kebab case.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Anomaly {
    /// It can be read in more than one way.
    Ambiguous,
    /// A field that occurs once occurs again (RFC 5322, section 3.6).
    RepeatedField,
    /// `From` has no address.
    FromWithoutAddress,
    /// The name in `From` shows an address of another domain.
    FromShowsOtherAddress,
    /// Octets above 127 in `From` or `Subject` that are not encoded and not UTF-8.
    RawOctets,
    /// `Message-ID` is not of the form `<left@right>`.
    MessageIdMalformed,
    /// `Date` has no zone or no time.
    DateMalformed,
    /// Answers go to a free address of another domain than the author's.
    ReplyToFree,
    /// The subject has capitals alone.
    SubjectCapitals,
    /// The subject has letters with spaces or marks between them.
    SubjectSpaced,
    /// The subject claims to be an answer, and nothing says to what.
    FakeReply,
    /// HTML without a plain text beside it.
    HtmlOnly,
    /// Pictures and hardly any text.
    ImageOnly,
    /// Neither text nor files.
    Empty,
    /// HTML with a form.
    Form,
    /// HTML with a script.
    Script,
    /// HTML that hides text.
    HiddenText,
    /// A link to an address instead of a name.
    LinkToAddress,
    /// A link with a user before the host.
    LinkWithUser,
    /// A link to a port that is not one of the web's.
    LinkToOddPort,
    /// A link to a host with letters of other scripts, or in its encoded form.
    LinkInternational,
    /// A link whose text shows another host.
    LinkShowsOtherHost,
    /// An attachment that is started at a double click.
    Executable,
    /// An attachment with an extension that hides the real one.
    DoubleExtension,
    /// An attachment that is an HTML page.
    HtmlAttachment,
    /// More than 20 addresses in `To` and `Cc`.
    ManyRecipients,
    /// No address in `To` and `Cc`.
    NoRecipient,
}

impl Anomaly {
    pub(crate) fn is_in(self, view: &View<'_>) -> bool {
        match self {
            Self::Ambiguous => view.ambiguous,
            Self::RepeatedField => {
                ["From", "Subject", "Date", "Message-ID", "To"].iter().any(|name| view.headers(name).len() > 1)
            }
            Self::FromWithoutAddress => view.header("From").is_some() && !view.author.contains('@'),
            Self::FromShowsOtherAddress => from_shows_other(view),
            Self::RawOctets => ["From", "Subject"].iter().flat_map(|name| view.message.raw_headers(name)).any(is_raw),
            Self::MessageIdMalformed => view.headers("Message-ID").first().is_some_and(|id| !is_id(id.trim())),
            Self::DateMalformed => view.headers("Date").first().is_some_and(|date| !is_date(date)),
            Self::ReplyToFree => reply_to_free(view),
            Self::SubjectCapitals => subject_capitals(&subject(view)),
            Self::SubjectSpaced => subject_spaced(&subject(view)),
            Self::FakeReply => {
                let answers = ["In-Reply-To", "References"].iter().any(|name| view.header(name).is_some());
                subject(view).to_ascii_lowercase().starts_with("re:") && !answers
            }
            Self::HtmlOnly => view.has_html && !view.has_plain,
            Self::ImageOnly => {
                (view.images > 0 || view.lower.contains("<img")) && view.text.len() < 200 && view.has_html
            }
            Self::Empty => view.text.trim().is_empty() && view.attachments.is_empty() && view.images == 0,
            Self::Form => view.has_html && view.lower.contains("<form"),
            Self::Script => view.has_html && view.lower.contains("<script"),
            Self::HiddenText => view.has_html && hides_text(&view.lower),
            Self::LinkToAddress => view.links.iter().any(|link| is_address(&link.host)),
            Self::LinkWithUser => view.links.iter().any(|link| with_user(&link.rest)),
            Self::LinkToOddPort => view.links.iter().any(|link| to_odd_port(&link.rest)),
            Self::LinkInternational => view
                .links
                .iter()
                .any(|link| !link.host.is_ascii() || link.host.split('.').any(|label| label.starts_with("xn--"))),
            Self::LinkShowsOtherHost => view.has_html && shows_other_host(&view.lower),
            Self::Executable => view.attachments.iter().any(|file| EXECUTABLE.contains(&extension(&file.name))),
            Self::DoubleExtension => view.attachments.iter().any(|file| is_double(&file.name)),
            Self::HtmlAttachment => {
                view.attachments.iter().any(|file| matches!(extension(&file.name), "htm" | "html" | "shtml"))
            }
            Self::ManyRecipients => recipients(view) > 20,
            Self::NoRecipient => recipients(view) == 0,
        }
    }
}

fn subject(view: &View<'_>) -> String {
    view.header("Subject").unwrap_or_default()
}

fn recipients(view: &View<'_>) -> usize {
    let count = |name: &&str| view.headers(name).iter().map(|value| value.matches('@').count()).sum::<usize>();
    ["To", "Cc"].iter().map(count).sum()
}

fn from_shows_other(view: &View<'_>) -> bool {
    let from = view.header("From").unwrap_or_default();
    let Some((name, _)) = from.rsplit_once('<') else { return false };
    let shown = address(name);
    let (shown, real) = (domain(&shown), domain(&view.author));
    shown.contains('.') && !real.is_empty() && !belongs(shown, real) && !belongs(real, shown)
}

/// Neither ASCII nor UTF-8.
fn is_raw(value: Vec<u8>) -> bool {
    String::from_utf8(value).is_err()
}

fn is_id(id: &str) -> bool {
    let inside = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    let sides = inside.and_then(|inside| inside.split_once('@'));
    sides.is_some_and(|(left, right)| !left.is_empty() && !right.is_empty() && !id.contains(char::is_whitespace))
}

/// A time and a zone (RFC 5322, section 3.3), obsolete ones included.
fn is_date(date: &str) -> bool {
    let zone = |word: &str| {
        let numeric =
            word.len() == 5 && word.starts_with(['+', '-']) && word[1..].bytes().all(|octet| octet.is_ascii_digit());
        numeric || (word.len() <= 4 && word.bytes().all(|octet| octet.is_ascii_uppercase()))
    };
    let mut words = date.split_whitespace().skip_while(|word| !word.contains(':'));
    words.next().is_some() && words.next().is_some_and(zone)
}

fn reply_to_free(view: &View<'_>) -> bool {
    let reply_to = view.header("Reply-To").map(|value| address(&value)).unwrap_or_default();
    let (reply_to, author) = (domain(&reply_to), domain(&view.author));
    let free = reply_to.split('.').next().is_some_and(|label| FREE.contains(&label));
    free && !author.is_empty() && reply_to != author
}

fn subject_capitals(subject: &str) -> bool {
    let letters = subject.chars().filter(|next| next.is_alphabetic());
    let (capitals, all) =
        letters.fold((0, 0), |(capitals, all), next| (capitals + u32::from(next.is_uppercase()), all + 1));
    all >= 8 && capitals == all && subject.contains(' ')
}

/// Five single letters in a row, with one character between them that is none.
fn subject_spaced(subject: &str) -> bool {
    let mut run = 0;
    for word in subject.split([' ', '.', '-', '_', '*']) {
        let single = word.len() == 1 && word.bytes().all(|octet| octet.is_ascii_alphabetic());
        run = if single { run + 1 } else { 0 };
        if run == 5 {
            return true;
        }
    }
    false
}

/// Styles that take text out of sight, in a source in lower case.
fn hides_text(source: &str) -> bool {
    let compact: String = source.chars().filter(|next| !next.is_whitespace()).collect();
    ["display:none", "visibility:hidden", "font-size:0;", "font-size:0px", "font-size:1px", "font-size:0\""]
        .iter()
        .any(|style| compact.contains(style))
}

/// Whether the text of a link is another host than that to which it leads, in a source in lower case.
fn shows_other_host(source: &str) -> bool {
    source.split("<a ").skip(1).take(200).any(|link| {
        let Some((tag, rest)) = link.split_once('>') else { return false };
        let Some((_, target)) = tag.split_once("://") else { return false };
        let shown = rest.split('<').next().unwrap_or_default().trim();
        let shown = shown.split_once("://").map_or(shown, |(_, host)| host);
        let (target, shown) = (host_of(target), host_of(shown));
        let named = shown.contains('.')
            && shown.rsplit('.').next().is_some_and(|last| {
                (2..=6).contains(&last.len()) && last.bytes().all(|octet| octet.is_ascii_alphabetic())
            });
        named && last_two(target) != last_two(shown)
    })
}

fn host_of(text: &str) -> &str {
    let end =
        text.find(|next: char| !(next.is_ascii_alphanumeric() || matches!(next, '.' | '-'))).unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

fn last_two(host: &str) -> &str {
    host.rmatch_indices('.').nth(1).map_or(host, |(at, _)| &host[at + 1..])
}

fn is_address(host: &str) -> bool {
    host.contains('.') && host.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
}

fn with_user(rest: &str) -> bool {
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn to_odd_port(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| !matches!(port, 80 | 443 | 8080 | 8443))
}

fn extension(name: &str) -> &str {
    name.trim_end_matches([' ', '.']).rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_double(name: &str) -> bool {
    let Some((stem, last)) = name.trim_end_matches([' ', '.']).rsplit_once('.') else { return false };
    EXECUTABLE.contains(&last) && HARMLESS.contains(&extension(stem))
}
