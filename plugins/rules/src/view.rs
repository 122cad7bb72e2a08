//! What rules look at, taken from a message once.

use std::cell::{OnceCell, RefCell};
use std::io::Read as _;
use std::rc::Rc;
use std::string::FromUtf8Error;

use popgate_plugin::{Message, Part};

use crate::markup;
use crate::rule::{Place, Places};

/// Octets of the decoded text of one part, and of all, that are looked at.
const PART_MAX: usize = 65_536;
const TEXT_MAX: usize = 131_072;

/// Parts and links that are looked at.
const PARTS_MAX: usize = 100;
const LINKS_MAX: usize = 256;

/// Values of a header field in which patterns are looked for, and characters of each.
const VALUES_MAX: usize = 64;
const VALUE_MAX: usize = 4096;

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
    places: &'m Places,
    /// For each place which of its patterns stand there, once somebody has asked.
    held: Vec<OnceCell<Vec<bool>>>,
    /// Header fields that somebody has asked for.
    fields: RefCell<Vec<(String, Rc<[String]>)>>,
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
    pub(crate) fn of(message: &'m Message, places: &'m Places) -> Self {
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
            author: String::new(),
            places,
            held: places.iter().map(|_| OnceCell::new()).collect(),
            fields: RefCell::default(),
        };
        view.author = view.header("From").map(|from| address(&from)).unwrap_or_default();
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
        // The last character may be cut.
        let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = String::from_utf8(octets).unwrap_or_else(lossy);
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

    /// The values of a header field. The host is asked once for each field: to ask it costs more than to look here.
    pub(crate) fn headers(&self, name: &str) -> Rc<[String]> {
        let mut fields = self.fields.borrow_mut();
        if let Some((_, values)) = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Rc::clone(values);
        }
        let values: Rc<[String]> = self.message.headers(name).into();
        fields.push((name.to_owned(), Rc::clone(&values)));
        values
    }

    /// The first of them.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).first().cloned()
    }

    /// Whether the pattern of this number stands in a text of this place.
    pub(crate) fn held(&self, place: usize, pattern: usize) -> bool {
        let held = self.held[place].get_or_init(|| {
            let (place, patterns) = &self.places[place];
            let mut held = Vec::new();
            let mut look = |text: &str| patterns.look(text, &mut held);
            match place {
                Place::Header(name) => self.headers(name).iter().take(VALUES_MAX).for_each(|value| look(start(value))),
                Place::Body => look(&self.text),
                Place::Source => look(&self.source),
                Place::Url => self.links.iter().for_each(|link| look(&link.rest)),
                Place::Attachment => self.attachments.iter().for_each(|file| look(&file.name)),
            }
            held
        });
        held.get(pattern).is_some_and(|held| *held)
    }
}

/// As much of a value as patterns are looked for in.
fn start(value: &str) -> &str {
    value.char_indices().nth(VALUE_MAX).map_or(value, |(end, _)| &value[..end])
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
