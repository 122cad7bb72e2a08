//! The filters that popgate brings along, as WebAssembly components.
//!
//! The build script compiles the folders beside this one; here their components are embedded, so that popgate is
//! one file. Their settings are in the documentation of `popgate-filter-NAME`. Nothing here runs them.

pub mod projects;

/// A filter that popgate brings along.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// What the configuration calls it: `plugin = "virus"`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The component.
    pub wasm: &'static [u8],
    /// The header fields that it writes whatever its settings are. Incoming ones of these names are forged.
    pub writes: &'static [&'static str],
    /// Whether it asks a service, whose address it has to be given.
    pub asks: bool,
    /// Whether it is of use by itself: without training, and without other filters. `popgate filter` runs those where no
    /// configuration names others.
    pub by_itself: bool,
}

/// All bundled filters, in the order of their names.
pub const BUNDLED: &[Bundled] = &[
    Bundled {
        name: "attachments",
        summary: "strips, holds or tags attachments by name, declared type and real type, in archives too",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/attachments.wasm")),
        writes: &["X-Attachment-Policy"],
        asks: false,
        by_itself: true,
    },
    Bundled {
        name: "clamav",
        summary: "holds what ClamAV's clamd finds",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/clamav.wasm")),
        writes: &[],
        asks: true,
        by_itself: false,
    },
    Bundled {
        name: "defang",
        summary: "takes active content and tracking pixels out of HTML, shows where links lead",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/defang.wasm")),
        writes: &[],
        asks: false,
        by_itself: false,
    },
    Bundled {
        name: "rewrite",
        summary: "rewrites the subject and other header fields by rules, puts banners and disclaimers",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/rewrite.wasm")),
        writes: &[],
        asks: false,
        by_itself: true,
    },
    Bundled {
        name: "rspamd",
        summary: "reports the score of rspamd",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/rspamd.wasm")),
        writes: &[],
        asks: true,
        by_itself: false,
    },
    Bundled {
        name: "rules",
        summary: "scores headers, text, links and attachments by rules",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/rules.wasm")),
        writes: &[],
        asks: false,
        by_itself: false,
    },
    Bundled {
        name: "spam",
        summary: "judges mail by what people called spam and ham",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/spam.wasm")),
        writes: &["X-Spam-Report"],
        asks: false,
        by_itself: false,
    },
    Bundled {
        name: "spamassassin",
        summary: "reports the score of SpamAssassin's spamd",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/spamassassin.wasm")),
        writes: &[],
        asks: true,
        by_itself: false,
    },
    Bundled {
        name: "verdict",
        summary: "adds up the points of all filters, and tags or holds spam",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/verdict.wasm")),
        writes: &["X-Spam-Flag", "X-Spam-Score", "X-Spam-Status"],
        asks: false,
        by_itself: false,
    },
    Bundled {
        name: "virus",
        summary: "holds or strips the EICAR test file and what signatures describe, in archives too",
        wasm: include_bytes!(concat!(env!("OUT_DIR"), "/virus.wasm")),
        writes: &["X-Virus-Status"],
        asks: false,
        by_itself: true,
    },
];

/// The bundled filter of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Bundled> {
    BUNDLED.iter().find(|bundled| bundled.name == name)
}

#[cfg(test)]
mod tests {
    use super::{BUNDLED, find};

    #[test]
    fn each_filter_is_a_component_of_the_track_that_the_host_knows() {
        assert_eq!(BUNDLED.len(), 10);
        for bundled in BUNDLED {
            // Magic, then version 13 of layer 1: a component, not a core module.
            assert_eq!(bundled.wasm[..8], *b"\0asm\x0d\0\x01\0", "{}", bundled.name);
            let export = b"popgate:filter/filter@0.1.0";
            assert!(bundled.wasm.windows(export.len()).any(|window| window == export), "{}", bundled.name);
            assert!(!bundled.summary.is_empty());
        }
    }

    #[test]
    fn filters_are_found_by_name() {
        assert!(BUNDLED.is_sorted_by_key(|bundled| bundled.name));
        assert_eq!(find("virus").map(|bundled| bundled.name), Some("virus"));
        assert!(find("Virus").is_none() && find("").is_none());
    }
}
