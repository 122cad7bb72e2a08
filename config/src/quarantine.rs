//! `[quarantine]`: how long held mail is kept, how much of it, and what its owner is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::keyword::Keyword;
use crate::place::Place;
use crate::section::Section;
use crate::size::Octets;

/// What becomes of held mail. Where it is kept is said by [`crate::Store`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quarantine {
    /// After how long a message is removed for good; none: never.
    pub keep: Option<Duration>,
    /// Octets of all messages together; 0: no limit.
    pub total: u64,
    /// Octets of the messages of one user; 0: no limit.
    pub per_user: u64,
    /// The language of the notice.
    pub language: Language,
    /// The file that is the notice, in place of the one in the language.
    pub notice: Option<PathBuf>,
    /// The value of `notice`, or the section.
    pub notice_place: Option<Place>,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            keep: Some(Duration::from_secs(30 * 86_400)),
            total: 10 << 30,
            per_user: 1 << 30,
            language: Language::English,
            notice: None,
            notice_place: None,
        }
    }
}

/// A language of the notices that popgate has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Language {
    /// `"en"`.
    #[default]
    English,
    /// `"de"`.
    German,
}

impl Keyword for Language {
    const WORDS: &'static [(&'static str, Self)] = &[("en", Self::English), ("de", Self::German)];

    const OTHER_WORDS: &'static [(&'static str, &'static str)] =
        &[("english", "en"), ("german", "de"), ("deutsch", "de"), ("en-us", "en"), ("en-gb", "en"), ("de-de", "de")];
}

impl Quarantine {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let keep = section.get("keep").map_or(default.keep, |keep: Duration| Some(keep).filter(|keep| !keep.is_zero()));
        let mut octets = |key, default| section.get(key).map_or(default, |Octets(octets)| octets);
        let (total, per_user) = (octets("total", default.total), octets("per_user", default.per_user));
        let language: Language = section.get("language").unwrap_or_default();
        let notice = section.path("notice");
        if language != Language::default() && notice.is_some() {
            let message = "`language` has no effect beside `notice`: the file has a language of its own";
            section.fault(&section.place_of("language"), message, "remove one of the two");
        }
        let notice_place = notice.as_ref().map(|_| section.place_of("notice"));
        section.finish();
        Self { keep, total, per_user, language, notice, notice_place }
    }
}
