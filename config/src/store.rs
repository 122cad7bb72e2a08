//! `[store]`: where filters keep what they remember, where held mail is, and what is known of messages afterwards.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::bucket::QuarantinePlace;
use crate::place::Place;
use crate::section::Section;
use crate::setting::{Refusal, Setting, text};
use crate::size::Octets;

/// Where filters keep what they remember, and how much of it; where held mail is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// The database.
    pub database: Database,
    /// Octets of keys and values that one filter may keep, of all users together.
    pub kv_per_filter: u64,
    /// Octets of keys and values that one filter may keep of one user.
    pub kv_per_user: u64,
    /// Octets of memory for what was read lately, of all filters together.
    pub kv_cache: u64,
    /// Octets of verdicts that are known, of all filters with `cache` together.
    pub verdict_cache: u64,
    /// Where held mail is kept.
    pub quarantine: QuarantinePlace,
    /// How long it is known what became of messages; none: nothing is noted.
    pub history: Option<Duration>,
    /// Whether their subjects are noted, too.
    pub history_subject: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            database: Database::Sqlite,
            kv_per_filter: 256 << 20,
            kv_per_user: 16 << 20,
            kv_cache: 64 << 20,
            verdict_cache: 64 << 20,
            quarantine: QuarantinePlace::Folder,
            history: Some(Duration::from_secs(30 * 86_400)),
            history_subject: false,
        }
    }
}

/// A database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Database {
    /// A file in the folder of popgate's state: `"sqlite"`.
    Sqlite,
    /// A server: `"postgres://user@host/database"`.
    Postgres {
        /// The URL; no password is in it.
        url: String,
        /// The file that holds the password and nothing else; none: PGPASSWORD or `~/.pgpass`, where there is one.
        password_file: Option<PathBuf>,
        /// The value of `database`.
        place: Place,
        /// The value of `password_file`, or the section.
        password_file_place: Place,
    },
}

impl Store {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let mut octets = |key, default| section.get(key).map_or(default, |Octets(octets)| octets);
        let kv_per_filter = octets("kv_per_filter", default.kv_per_filter);
        let kv_per_user = octets("kv_per_user", default.kv_per_user);
        let kv_cache = octets("kv_cache", default.kv_cache);
        let verdict_cache = octets("verdict_cache", default.verdict_cache);
        let database = read_database(&mut section);
        let quarantine = QuarantinePlace::read(&mut section);
        let history =
            section.get("history").map_or(default.history, |keep: Duration| Some(keep).filter(|keep| !keep.is_zero()));
        let history_subject = section.get("history_subject").unwrap_or(default.history_subject);
        section.finish();
        Self { database, kv_per_filter, kv_per_user, kv_cache, verdict_cache, quarantine, history, history_subject }
    }
}

fn read_database(section: &mut Section<'_>) -> Database {
    let password_file = section.path("password_file");
    // Before anything else, since a fault shows what was typed.
    let typed = section.value("database").and_then(|value| value.get_ref().as_str());
    if typed.is_some_and(has_password) {
        let hint = "take it out, write it into a file of its own, and add `password_file = \"database.password\"`";
        section.fault(section.place(), "`database`: there is a password in the URL", hint);
        return Database::Sqlite;
    }
    match section.get("database") {
        Some(Url(Some(url))) => Database::Postgres {
            url,
            password_file,
            place: section.place_of("database"),
            password_file_place: section.place_of("password_file"),
        },
        Some(Url(None)) | None => {
            if password_file.is_some() && typed.is_none_or(|typed| typed == "sqlite") {
                let place = section.place_of("password_file");
                section.fault(&place, "`password_file` has no effect: SQLite has no passwords", "remove it");
            }
            Database::Sqlite
        }
    }
}

/// Whether a URL has a password, wherever one can stand in it.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let in_user = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    in_user || query.split('&').any(|pair| pair.to_ascii_lowercase().starts_with("password="))
}

/// A server's URL; none for SQLite.
struct Url(Option<String>);

impl Setting for Url {
    fn kind() -> String {
        "`sqlite` or the URL of a PostgreSQL server".to_owned()
    }

    fn example() -> String {
        "\"postgres://popgate@db.internal/popgate\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        match text {
            "sqlite" => Ok(Self(None)),
            _ if is_url && text.bytes().all(|octet| octet.is_ascii_graphic()) => Ok(Self(Some(text.to_owned()))),
            _ => Err(Refusal::value(
                format!("`{}` is no database", text.escape_debug()),
                "write `sqlite`, or a URL such as `postgres://popgate@db.internal/popgate`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_password;

    #[test]
    fn a_password_is_found_wherever_it_stands() {
        for url in
            ["postgres://u:p@h/d", "postgresql://u:@h", "postgres://h/d?user=u&password=p", "postgres://u:a@b@h/d"]
        {
            assert!(has_password(url), "{url}");
        }
        for url in ["sqlite", "postgres://u@h:5432/d", "postgres:///d?host=/run/postgresql", "postgres://h:5432"] {
            assert!(!has_password(url), "{url}");
        }
    }
}
