//! What rules look at, taken from a message once.

use std::io::Read as _;

use popgate_plugin::{Message, Part};

use crate::markup;

/// Octets of the decoded text of one part, and of all, that are looked at.
const PART_MAX: usize = 65_536;
const TEXT_MAX: usize = 131_072;

/// Parts and links that are looked at.
const PARTS_MAX: usize = 100;
const LINKS_MAX: usize = 256;

/// A message as rules see it.
pub(crate) struct View<'m> {
    pub(crate) message: &'m Message,
    /// What people read, without markup, white space as single spaces.
    pub(crate) text: String,
    /// The same with its markup.
    pub(crate) source: String,
    /// The source in lower case; empty if none of it is HTML.
    pub(crate) lower: String,
    /// Links: their hosts in lower case, and what stands behind the scheme.
    pub(crate) links: Vec<Link>,
    /// Parts that have a name or are attachments.
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) has_html: bool,
    pub(crate) has_plain: bool,
    pub(crate) images: usize,
    pub(crate) ambiguous: bool,
    /// The address of the author, in lower case.
    pub(crate) author: String,
}

pub(crate) struct Link {
    pub(crate) host: String,
    pub(crate) rest: String,
}

pub(crate) struct Attachment {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) media_type: String,
}

impl<'m> View<'m> {
    pub(crate) fn of(message: &'m Message) -> Self {
        let author = message.header("From").map(|from| address(&from)).unwrap_or_default();
        let mut view = Self {
            message,
            text: String::new(),
            source: String::new(),
            lower: String::new(),
            links: Vec::new(),
            attachments: Vec::new(),
            has_html: false,
            has_plain: false,
            images: 0,
            ambiguous: message.fact("ambiguous").is_some(),
            author,
        };
        for part in message.parts().take(PARTS_MAX) {
            view.add(&part);
        }
        view.links = links(&view.source);
        if view.has_html {
            view.lower = view.source.to_ascii_lowercase();
        }
        view
    }

    fn add(&mut self, part: &Part<'_>) {
        self.ambiguous |= part.is_ambiguous();
        if part.is_container() {
            return;
        }
        let media_type = part.media_type();
        let name = part.file_name().unwrap_or_default().to_lowercase();
        let attached = part.disposition().is_some_and(|disposition| disposition == "attachment");
        self.images += usize::from(media_type.starts_with("image/"));
        if media_type.starts_with("text/") && !attached {
            self.add_text(part, media_type == "text/html");
        }
        if attached || !name.is_empty() {
            self.attachments.push(Attachment { name, media_type });
        }
    }

    fn add_text(&mut self, part: &Part<'_>, html: bool) {
        let limit = PART_MAX.min(TEXT_MAX.saturating_sub(self.source.len()));
        let mut octets = Vec::new();
        // Reading from the host never fails.
        let _ = part.text().take(limit as u64).read_to_end(&mut octets);
        let source = String::from_utf8_lossy(&octets);
        self.has_html |= html;
        self.has_plain |= !html;
        if html {
            markup::strip(&source, &mut self.text);
        } else {
            markup::squeeze(&source, &mut self.text);
        }
        self.source.push_str(&source);
        self.source.push('\n');
        self.text.push(' ');
    }

    /// The values of a header field.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        self.message.headers(name)
    }
}

/// The address in a value, in lower case: that in angle brackets, else the first word with `@`.
pub(crate) fn address(value: &str) -> String {
    let inside = value.rsplit_once('<').map(|(_, behind)| behind.split('>').next().unwrap_or_default());
    let word = || value.split([' ', ',', '"', '(', ')']).find(|word| word.contains('@'));
    inside.filter(|inside| inside.contains('@')).or_else(word).unwrap_or_default().trim().to_lowercase()
}

/// The domain of an address.
pub(crate) fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Whether a host is this domain or belongs to it.
pub(crate) fn belongs(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The links in a text with markup.
fn links(source: &str) -> Vec<Link> {
    let found = memchr::memmem::find_iter(source.as_bytes(), b"://");
    found.take(LINKS_MAX).map(|at| link(&source[at + 3..])).collect()
}

fn link(behind: &str) -> Link {
    let ends = |next: char| next.is_whitespace() || matches!(next, '<' | '>' | '"' | '\'' | ')' | ']');
    let rest: String = behind.chars().take(300).take_while(|&next| !ends(next)).collect();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_lowercase();
    Link { host, rest }
}
