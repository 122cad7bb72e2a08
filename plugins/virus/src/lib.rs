//! The filter `virus`: the EICAR test file, files known by their digest, and files that contain what a signature describes; in
//! attachments, and in archives and documents that are attached.
//!
//! # Settings
//!
//! ```toml
//! [[filter]]
//! name = "virus"
//! plugin = "virus"
//! data = { signatures = "virus.ndb" }     # optional; also hdb, hsb, ndb, hdu, hsu, ndu, and the names in `signatures` below; no others
//! [filter.config]
//! action = "hold"                         # or "strip": a notice takes the place of the infected part
//! unscannable = "tag"                     # or "hold", "pass"
//! ambiguous = "normalise"                 # or "hold", "pass"
//! sha256 = ["275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"]
//! signatures = []                         # names of further data files
//! max_depth = 16                          # archives in archives
//! max_files = 10000                       # in an attachment
//! max_inflated = 33554432                 # octets of all of them, by LZMA, xz and 7z twice, by bzip2 eight times; more takes more `cpu`
//! max_ratio = 250                         # octets that come out of each octet, from 8 MiB on
//! max_in_memory = 16777216                # octets of containers that can't be read as a stream
//! ```
//!
//! All keys are optional.
//!
//! * **What is examined** is the decoded content of every part, at any depth, whatever its name and type, and all that is
//!   inside of it: zip, gzip, bzip2, xz, LZMA, Zstandard, 7z, ARJ, LHA, tar, cpio, cabinets, TNEF (`winmail.dat`), OLE documents, and what is
//!   embedded in RTF, PDF, HTML, uuencode, base64 and BinHex. Then the message as it came.
//! * **EICAR**: the standard says that a file counts only if it begins with the test string. Here it counts
//!   anywhere in a file, and in the octets of the message behind its header: a part may begin with a blank line or a
//!   mark of its charset. A mail that quotes the whole string is a hit, too.
//! * **Signatures** stand in data files, one in each line, in the text formats of ClamAV: `MD5:SIZE:NAME`, `SHA1:SIZE:NAME` and
//!   `SHA256:SIZE:NAME` (`.hdb`, `.hsb`; the size may be `*`), `NAME:TARGET:OFFSET:BODY` (`.ndb`), and lists as md5sum, sha1sum and
//!   sha256sum write them: a digest, and perhaps a name. Formats may be mixed in a file. Empty lines and lines that begin with `#`
//!   are skipped; a line that is no signature is an error.
//! * **Bodies** have octets in hexadecimal digits, `??`, `a?`, `?a`, `*`, `{n}`, `{n-m}`, `{n-}`, `{-m}`, `(aa|bb)` and `!(aa|bb)`;
//!   offsets are `*`, `n`, `n,shift`, `EOF-n`, `EOF-n,shift`. Each piece between gaps needs two fixed octets in a row. Signatures
//!   that depend on the structure of a program (`EP+n`, `S1+n`, `VI` and the like) are left out, and the log says how many.
//!   The targets 3 (HTML) and 7 (text) are also searched in small letters; otherwise nothing is normalised.
//! * **As many as there are**: the signatures are part of the configured filter, so a hundred thousand cost a message as much as
//!   ten (`tests/bench filters`), but for some 9 µs that the system takes to look through a larger memory. An attachment, or the
//!   message as it came, is hashed only where a file of its size, or of any size, is listed.
//! * **What can't be looked into** is encrypted, damaged, ambiguous, of a kind that is known by name only, or beyond a limit.
//!   `tag` adds `X-Virus-Status: unscannable (PATH: REASON)`: holding every encrypted document would teach people to release
//!   whatever is held, and passing it in silence would call it clean. Incoming fields of this name are removed.
//! * **Ambiguous messages** can be read in more than one way, so a client may see a file that the filter did not.
//!   `normalise` builds such a message anew, as the filter saw it, and holds it where that is impossible.
//!
//! # Findings
//!
//! `EICAR`, `MD5_MATCH`, `SHA1_MATCH`, `SHA256_MATCH`, `SIGNATURE`, `UNSCANNABLE` and `AMBIGUOUS`, without points; the text names the
//! part, and what inside of it is meant: `a.zip/b.doc`.

mod bits;
mod bodies;
mod database;
mod digests;
mod eicar;
mod names;
mod scan;

use std::io::BufRead;

use popgate_archive::{HEAD, Limits, Visitor as _, plain, walk};
use popgate_plugin::{Failure, Filter, Finding, Message, Part, Verdict, data, log, text};
use serde::Deserialize;

use crate::database::Database;
use crate::digests::Listed;
use crate::scan::{Hit, Scan};

/// The header field that says what could not be looked into.
const STATUS: &str = "X-Virus-Status";

/// Characters of a line for people: at most 1,024 octets, however many each of them has.
const LINE: usize = 250;

/// The data files that need not be named in the settings.
const FILES: [&str; 7] = ["signatures", "hdb", "hsb", "ndb", "hdu", "hsu", "ndu"];

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    action: Action,
    unscannable: Unscanned,
    ambiguous: Ambiguous,
    sha256: Vec<Listed>,
    signatures: Vec<String>,
    max_depth: usize,
    max_files: usize,
    max_inflated: u64,
    max_ratio: u64,
    max_in_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let Limits { depth, entries, inflated, ratio, memory } = Limits::default();
        Self {
            action: Action::Hold,
            unscannable: Unscanned::Tag,
            ambiguous: Ambiguous::Normalise,
            sha256: Vec::new(),
            signatures: Vec::new(),
            max_depth: depth,
            max_files: entries,
            max_inflated: inflated,
            max_ratio: ratio,
            max_in_memory: memory,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Action {
    Hold,
    Strip,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Unscanned {
    Tag,
    Hold,
    Pass,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Ambiguous {
    Normalise,
    Hold,
    Pass,
}

/// The filter.
#[derive(Debug)]
pub struct Virus {
    action: Action,
    unscannable: Unscanned,
    ambiguous: Ambiguous,
    limits: Limits,
    database: Database,
}

/// What was found in a message.
#[derive(Debug, Default)]
struct Examined {
    threats: Vec<Threat>,
    /// What could not be looked into, and why, in a line each.
    unscannable: Vec<String>,
}

/// What was found in a part.
#[derive(Debug)]
struct Threat {
    /// The position of the part; none for the message as a whole.
    part: Option<u32>,
    symbol: &'static str,
    /// One line for people.
    text: String,
}

impl Filter for Virus {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        let limits = Limits {
            depth: settings.max_depth,
            entries: settings.max_files,
            inflated: settings.max_inflated,
            ratio: settings.max_ratio,
            memory: settings.max_in_memory,
        };
        let database = database(&settings)?;
        let Settings { action, unscannable, ambiguous, .. } = settings;
        Ok(Self { action, unscannable, ambiguous, limits, database })
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let Examined { threats, unscannable } = self.examine(message)?;
        for threat in &threats {
            message.report(&Finding::new(threat.symbol, &*threat.text))?;
        }
        for line in &unscannable {
            message.report(&Finding::new("UNSCANNABLE", &**line))?;
        }
        let in_parts = threats.iter().all(|threat| threat.part.is_some());
        if let Some(threat) = threats.first().filter(|_| self.action == Action::Hold || !in_parts) {
            return Ok(Verdict::hold(&*threat.text));
        }
        if let Some(line) = unscannable.first().filter(|_| self.unscannable == Unscanned::Hold) {
            return Ok(Verdict::Hold(format!("it can't be scanned: {line}")));
        }
        if self.ambiguous != Ambiguous::Pass && message.is_ambiguous() {
            message.report(&Finding::new("AMBIGUOUS", "the message can be read in more than one way"))?;
            let verdict = self.resolve(message, &threats)?;
            self.tag(message, &unscannable)?;
            return Ok(verdict);
        }
        let mut replaced = None;
        for threat in &threats {
            // One notice for each part, whatever else is in it.
            if let Some(part) = threat.part.filter(|part| replaced != Some(*part)).and_then(|index| message.part(index))
            {
                part.replace(&notice(threat))?;
                replaced = Some(part.index());
            }
        }
        self.tag(message, &unscannable)?;
        Ok(Verdict::Pass)
    }
}

/// Reads all signatures.
fn database(settings: &Settings) -> Result<Database, String> {
    let mut database = Database::new(&settings.sha256)?;
    let read = |name: &String| FILES.contains(&name.as_str()) || settings.signatures.contains(name);
    if let Some(unread) = data::names().into_iter().find(|name| !read(name)) {
        return Err(format!(
            "nothing reads the data file `{unread}`: call it `{}`, or name it in `signatures`",
            FILES.join("`, `")
        ));
    }
    let own = settings.signatures.iter().map(|name| (&**name, true));
    for (name, wanted) in FILES.into_iter().map(|name| (name, false)).chain(own) {
        let Some(file) = data::open(name) else {
            if wanted {
                return Err(format!("`signatures`: the configuration has no data file `{name}`"));
            }
            continue;
        };
        let read = database.read(name, file)?;
        if read.left_out > 0 {
            log::warn(format!(
                "{} signatures of the data file `{name}` look for what is not looked for",
                read.left_out
            ));
        }
        if read.signatures == 0 {
            log::warn(format!("the data file `{name}` has no signature"));
        }
    }
    database.finish();
    Ok(database)
}

impl Virus {
    fn examine(&self, message: &Message) -> Result<Examined, Failure> {
        let mut examined = Examined::default();
        for part in message.parts().filter(|part| !part.is_container()) {
            let size = (!self.database.digests.is_empty()).then(|| part.content_size());
            if self.is_clean(&part, size) {
                continue;
            }
            let mut scan = Scan::new(&self.database, size);
            let name = part.file_name().unwrap_or_else(|| format!("part {}", part.index()));
            walk(&mut part.content(), &name, &self.limits, &mut scan);
            for hit in scan.hits {
                let text = text::clean(&format!("{} {}", place(&hit, &part), hit.what), LINE);
                examined.threats.push(Threat { part: Some(part.index()), symbol: hit.symbol, text });
            }
            let line = |(path, reason): &(String, _)| format!("{}: {reason}", text::clean(path, 200));
            examined.unscannable.extend(scan.unscannable.iter().map(line));
        }
        if examined.threats.is_empty() {
            examined.threats.extend(self.examine_whole(message)?);
        }
        Ok(examined)
    }

    /// Whether it is clear without looking at all octets that nothing is in a part of this size: where EICAR is all that can be in it,
    /// the host finds it or not.
    fn is_clean(&self, part: &Part<'_>, size: Option<u64>) -> bool {
        // What calls itself text mostly is, and something may be encoded in it.
        self.database.has_eicar_alone(size)
            && !part.media_type().starts_with("text/")
            && plain(&part.start(HEAD), |octets, start| part.find(octets, start)).is_some()
            && part.find(&eicar::test_string(), 0).is_none()
    }

    /// Looks at the message as it came.
    fn examine_whole(&self, message: &Message) -> Result<Option<Threat>, Failure> {
        let threat = |symbol, text: &str| Some(Threat { part: None, symbol, text: text.to_owned() });
        if message.find(&eicar::test_string(), message.header_size()).is_some() {
            return Ok(threat("EICAR", "the message has the EICAR test file outside of its parts"));
        }
        let size = Some(message.size());
        if !self.database.bodies.are_for_mail() && !self.database.digests.may_have(size) {
            return Ok(None);
        }
        let mut scan = Scan::new(&self.database, size);
        scan.begin_mail();
        let mut reader = message.reader();
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            scan.octets(0, chunk);
            let length = chunk.len();
            reader.consume(length);
        }
        scan.end();
        Ok(scan.hits.first().and_then(|hit| threat(hit.symbol, &format!("the message {}", hit.what))))
    }

    /// What becomes of a message that can be read in more than one way.
    fn resolve(&self, message: &Message, threats: &[Threat]) -> Result<Verdict, Failure> {
        if self.ambiguous == Ambiguous::Hold {
            return Ok(Verdict::hold("the message can be read in more than one way"));
        }
        let replacement = |part: &Part<'_>| threats.iter().find(|threat| threat.part == Some(part.index())).map(notice);
        match message.rebuild(replacement) {
            Ok(()) => Ok(Verdict::Pass),
            Err(fault) => Ok(Verdict::Hold(format!("the message can be read in more than one way ({fault})"))),
        }
    }

    /// Says in the header what could not be looked into.
    fn tag(&self, message: &Message, unscannable: &[String]) -> Result<(), Failure> {
        let Some(first) = unscannable.first().filter(|_| self.unscannable == Unscanned::Tag) else { return Ok(()) };
        let more = match unscannable.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        message.set_header(STATUS, &format!("unscannable ({first}{more})"))?;
        Ok(())
    }
}

/// What a reader finds in the place of an infected part.
fn notice(threat: &Threat) -> String {
    format!("A part of this message was removed: {}.\r\n", threat.text)
}

/// Where something was found, for people.
fn place(hit: &Hit, part: &Part<'_>) -> String {
    hit.path.as_ref().map_or_else(|| describe(part), |path| format!("`{}`", text::clean(path, 200)))
}

/// The part for people, by its name if it has one.
fn describe(part: &Part<'_>) -> String {
    let name = text::clean(&part.file_name().unwrap_or_default(), 100);
    match (name.is_empty(), part.index()) {
        (false, _) => format!("`{name}`"),
        (true, 0) => "the message".to_owned(),
        (true, _) => format!("an unnamed part of type `{}`", text::clean(&part.media_type(), 100)),
    }
}

popgate_plugin::export!(Virus);

#[cfg(test)]
mod tests;
