//! Capability lists.

use super::sasl;

/// The lines of a CAPA reply, in their order.
///
/// Source: RFC 2449 section 5.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Capabilities(Vec<String>);

impl Capabilities {
    /// Reads the lines of a reply leniently: what is not text is left out, and control characters count as blanks.
    #[must_use]
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let text = |line: &[u8]| {
            let line = std::str::from_utf8(line).ok()?.replace(char::is_control, " ");
            Some(line.trim().to_owned())
        };
        Self(lines.into_iter().filter_map(text).filter(|line| !line.is_empty()).collect())
    }

    /// What a server without CAPA is taken to offer.
    #[must_use]
    pub fn unannounced() -> Self {
        ["USER", "TOP", "UIDL"].into_iter().collect()
    }

    /// The arguments of a capability; none where it is not offered.
    #[must_use]
    pub fn arguments(&self, tag: &str) -> Option<impl Iterator<Item = &str>> {
        let line = self.0.iter().find(|line| word(line).eq_ignore_ascii_case(tag))?;
        Some(line.split_ascii_whitespace().skip(1))
    }

    /// True if the capability is offered.
    #[must_use]
    pub fn offers(&self, tag: &str) -> bool {
        self.arguments(tag).is_some()
    }

    /// The SASL mechanisms in capitals; what can't be the name of one is left out.
    #[must_use]
    pub fn mechanisms(&self) -> Vec<String> {
        let Some(words) = self.arguments("SASL") else { return Vec::new() };
        words.filter(|word| sasl::is_mechanism(word.as_bytes())).map(str::to_ascii_uppercase).collect()
    }

    /// The lines, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The capability lines whose tag is one of `tags`.
    pub fn only<'a>(&'a self, tags: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.iter().filter(|line| tags.iter().any(|tag| word(line).eq_ignore_ascii_case(tag)))
    }
}

impl<S: Into<String>> FromIterator<S> for Capabilities {
    fn from_iter<T: IntoIterator<Item = S>>(lines: T) -> Self {
        Self(lines.into_iter().map(Into::into).collect())
    }
}

fn word(line: &str) -> &str {
    line.split_ascii_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_real_servers_send() {
        // Dovecot lists CAPA itself, mailutils glues EXPIRE to its argument.
        let lines: [&[u8]; 6] = [b"CAPA", b"EXPIRENEVER", b"sasl plain login", b"LOGIN-DELAY 10", b"\xff", b""];
        let list = Capabilities::parse(lines);
        assert_eq!(list.iter().count(), 4);
        assert_eq!(list.mechanisms(), ["PLAIN", "LOGIN"]);
        assert!(list.offers("LOGIN-DELAY") && !list.offers("EXPIRE") && !list.offers("LOGIN"));
        assert_eq!(list.only(&["LOGIN-DELAY", "TOP"]).collect::<Vec<_>>(), ["LOGIN-DELAY 10"]);
    }

    #[test]
    fn nothing_in_a_list_can_end_a_reply() {
        let list = Capabilities::parse([&b"SASL . PLAIN -ERR\x07 a:b"[..], b"LANG\r.\rx\tde"]);
        assert_eq!(list.mechanisms(), ["PLAIN", "-ERR"]);
        assert_eq!(list.only(&["LANG"]).collect::<Vec<_>>(), ["LANG . x de"]);
    }
}
