//! Addresses: where they lead, and what runs when they are followed.

/// The longest visible text of a link that is looked at, in octets.
const TEXT_MAX: usize = 1024;

/// A link and its visible text.
#[derive(Debug)]
pub(crate) struct Anchor {
    /// Where it leads.
    pub(crate) host: String,
    /// Whether the address itself is made to deceive.
    odd: bool,
    text: String,
}

impl Anchor {
    /// The link with this address, if it leads to another host.
    pub(crate) fn new(href: &str) -> Option<Self> {
        let host = host(href)?;
        let authority = authority(&squeezed(href)).unwrap_or_default().to_owned();
        let odd = authority.contains('@') || !host.is_ascii() || host.starts_with("xn--") || host.contains(".xn--");
        Some(Self { host, odd, text: String::new() })
    }

    /// More of its text.
    pub(crate) fn add(&mut self, text: &str) {
        let room = TEXT_MAX.saturating_sub(self.text.len());
        let end = (0..=room.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
        self.text.push_str(&text[..end]);
    }

    /// The host that the text shows, if it is another one; the text itself of an address that is made to deceive.
    pub(crate) fn mismatch(&self) -> Option<String> {
        let mut shown =
            self.text.split(|next: char| next.is_whitespace() || "<>()[]\"',;".contains(next)).filter_map(shown_host);
        let other = shown.find(|shown| !same_site(shown, &self.host));
        other.or_else(|| self.odd.then(|| popgate_plugin::text::clean(self.text.trim(), 60)))
    }
}

/// The host that a word shows: of an address, or a name that looks like one.
fn shown_host(word: &str) -> Option<String> {
    if let Some((_, behind)) = word.split_once("://") {
        return Some(host_of(behind)).filter(|host| host.contains('.'));
    }
    let word = word.split(['/', '?', '#']).next().unwrap_or_default().trim_end_matches(['.', ':']);
    let labels: Vec<_> = word.split('.').collect();
    let last = labels.last()?;
    let name = |label: &&str| !label.is_empty() && label.chars().all(|next| next.is_alphanumeric() || next == '-');
    let fits = labels.len() > 1 && labels.iter().all(name) && last.len() > 1 && last.chars().all(char::is_alphabetic);
    // `e.g`, `etc.and` and file names are no hosts.
    let certain =
        labels[0].eq_ignore_ascii_case("www") || DOMAINS.contains(&&*last.to_ascii_lowercase()) || labels.len() > 2;
    (fits && certain).then(|| word.to_lowercase())
}

/// Top-level domains by which a name of two labels is taken for a host.
const DOMAINS: [&str; 28] = [
    "com", "org", "net", "edu", "gov", "info", "biz", "eu", "de", "at", "ch", "uk", "fr", "nl", "it", "es", "pl", "us",
    "ca", "au", "jp", "cn", "br", "ru", "in", "bank", "example", "test",
];

/// Whether two hosts belong to one owner, as far as their names say.
fn same_site(one: &str, other: &str) -> bool {
    site(one) == site(other)
}

/// The part of a host's name that its owner has registered; by the usual form of names, since there is no list here.
fn site(host: &str) -> String {
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    let second_level = labels.len() > 2
        && labels[labels.len() - 1].len() == 2
        && matches!(labels[labels.len() - 2], "co" | "com" | "org" | "net" | "ac" | "gov" | "edu" | "ne" | "or" | "gv");
    let count = if second_level { 3 } else { 2 };
    labels[labels.len().saturating_sub(count)..].join(".").to_lowercase()
}

/// The host of an address; none for one that leads nowhere else.
pub(crate) fn host(address: &str) -> Option<String> {
    let squeezed = squeezed(address);
    authority(&squeezed).map(host_of).filter(|host| !host.is_empty())
}

/// User, host and port of an address, and what follows.
fn authority(address: &str) -> Option<&str> {
    let lower = address.to_ascii_lowercase();
    let scheme =
        ["http:", "https:", "ftp:", "//", "\\\\", "/\\", "\\/"].into_iter().find(|scheme| lower.starts_with(scheme))?;
    Some(address[scheme.len()..].trim_start_matches(['/', '\\']))
}

/// The host in what follows `//`.
fn host_of(behind: &str) -> String {
    let authority = behind.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    popgate_plugin::text::clean(host.unwrap_or_default(), 253).to_lowercase()
}

/// Whether an address is fetched from elsewhere.
pub(crate) fn is_remote(address: &str) -> bool {
    authority(&squeezed(address)).is_some()
}

/// Whether something runs where this address is followed or fetched, or a file server is asked, which a program may
/// introduce itself to. `image` allows pictures inside of the address.
pub(crate) fn runs(address: &str, image: bool) -> bool {
    let squeezed = squeezed(address).to_ascii_lowercase();
    if squeezed.starts_with("\\\\") {
        return true;
    }
    let Some((scheme, behind)) = squeezed.split_once(':') else { return false };
    match scheme {
        "javascript" | "vbscript" | "livescript" | "mocha" | "jscript" | "file" | "smb" | "ms-its" | "mhtml" | "mk"
        | "search-ms" | "ms-msdt" | "jar" | "view-source" => true,
        "data" => {
            let picture = ["image/png", "image/gif", "image/jpeg", "image/webp", "image/bmp", "image/jpg"];
            !(image && picture.iter().any(|picture| behind.starts_with(picture)))
        }
        _ => false,
    }
}

/// An address as browsers read it (WHATWG URL, section 4.4): without line ends and tabs, and blanks around it.
fn squeezed(address: &str) -> String {
    let around = |next: char| next <= ' ';
    address.trim_matches(around).replace(['\t', '\n', '\r'], "")
}

/// A text as HTML, in quotes or not.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
