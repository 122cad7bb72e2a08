//! An S3 bucket in the configuration: `"s3://bucket/prefix"`, and how it is reached.

use std::net::IpAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::place::Place;
use crate::section::Section;
use crate::setting::{Refusal, Setting, text};

/// Where held mail is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum QuarantinePlace {
    /// A folder in the folder of popgate's state: `"folder"`.
    Folder,
    /// A bucket of a server that speaks S3: `"s3://bucket/prefix"`.
    Bucket(Bucket),
}

/// A bucket and how it is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the names of all objects begin with, without `/` at either end; it may be empty.
    pub prefix: String,
    /// The server's URL; none: Amazon's, or what the environment says.
    pub endpoint: Option<String>,
    /// The region; none: what the environment says, else `us-east-1`.
    pub region: Option<String>,
    /// A file of credentials as Amazon's tools have it; none: what the environment says.
    pub credentials_file: Option<PathBuf>,
    /// Whether the server may be spoken to without encryption.
    pub cleartext: bool,
    /// The value of `quarantine`.
    pub place: Place,
    /// The value of `s3_credentials_file`, or the section.
    pub credentials_place: Place,
}

/// The keys that are about buckets alone.
const KEYS: [&str; 4] = ["s3_endpoint", "s3_region", "s3_credentials_file", "s3_cleartext"];

impl QuarantinePlace {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        // Before anything else, since a fault shows what was typed.
        let typed = section.value("s3_endpoint").and_then(|value| value.get_ref().as_str());
        let endpoint: Option<Endpoint> = if typed.is_some_and(|typed| typed.contains('@')) {
            let hint = "take them out, and write them into a file that `s3_credentials_file` names";
            section.fault(section.place(), "`s3_endpoint`: there are credentials in the URL", hint);
            None
        } else {
            section.get("s3_endpoint")
        };
        let region = section.get("s3_region");
        let credentials_file = section.path("s3_credentials_file");
        let cleartext = section.get("s3_cleartext").unwrap_or(false);
        let Some(Typed(Some((name, prefix)))) = section.get("quarantine") else {
            let is_bucket = section.value("quarantine").is_some_and(|value| value.get_ref().as_str() != Some("folder"));
            for key in KEYS.iter().filter(|key| !is_bucket && section.has(key)) {
                let hint = "write `quarantine = \"s3://bucket/prefix\"`, or remove it";
                section.fault(&section.place_of(key), format!("`{key}` has no effect: held mail is in a folder"), hint);
            }
            return Self::Folder;
        };
        if let Some(Endpoint { url, encrypted: false, local: false }) = &endpoint
            && !cleartext
        {
            let message = format!("`s3_endpoint`: `{url}` is not encrypted");
            let hint = "write `https://`, or add `s3_cleartext = true` if the network can be trusted with mail";
            section.fault(&section.place_of("s3_endpoint"), message, hint);
        }
        let cleartext = cleartext || endpoint.as_ref().is_some_and(|endpoint| !endpoint.encrypted);
        Self::Bucket(Bucket {
            name,
            prefix,
            endpoint: endpoint.map(|endpoint| endpoint.url),
            region,
            credentials_file,
            cleartext,
            place: section.place_of("quarantine"),
            credentials_place: section.place_of("s3_credentials_file"),
        })
    }
}

/// A bucket and a prefix; none for a folder.
struct Typed(Option<(String, String)>);

impl Setting for Typed {
    fn kind() -> String {
        "`folder` or the URL of a bucket".to_owned()
    }

    fn example() -> String {
        "\"s3://bucket/prefix\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        if text == "folder" {
            return Ok(Self(None));
        }
        let refusal = || {
            let hint = "write `folder`, or a bucket and a prefix as in `s3://bucket/prefix`";
            Refusal::value(format!("`{}` is no place for held mail", text.escape_debug()), hint)
        };
        let (bucket, prefix) =
            text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(refusal)?;
        // Source: the naming rules of buckets, which keep a name fit for a host's.
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket
                .bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-.".contains(&octet));
        let prefix = prefix.trim_matches('/');
        let is_plain = |part: &str| {
            !matches!(part, "." | "..")
                && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
        };
        let is_prefix = prefix.is_empty() || prefix.split('/').all(|part| !part.is_empty() && is_plain(part));
        match is_bucket && is_prefix {
            true => Ok(Self(Some((bucket.to_owned(), prefix.to_owned())))),
            false => Err(refusal()),
        }
    }
}

/// The URL of a server.
struct Endpoint {
    url: String,
    encrypted: bool,
    /// It is this machine.
    local: bool,
}

impl Setting for Endpoint {
    fn kind() -> String {
        "the URL of a server".to_owned()
    }

    fn example() -> String {
        "\"https://s3.internal\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        let refusal = || {
            let hint =
                "write `https://`, a host, and a port if it is another than 443, as in `https://s3.internal:9000`";
            Refusal::value(format!("`{}` is not the URL of a server", text.escape_debug()), hint)
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(refusal)?;
        let encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(refusal()),
        };
        let authority = rest.trim_end_matches('/');
        // No user, no path, nothing behind them: a password has no place here.
        if authority.is_empty()
            || authority.contains(['/', '@', '?', '#'])
            || !authority.bytes().all(|octet| octet.is_ascii_graphic())
        {
            return Err(refusal());
        }
        let host = authority
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or_else(|| authority.rsplit_once(':').map_or(authority, |(host, _)| host), |(host, _)| host);
        let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        Ok(Self { url: format!("{scheme}://{authority}"), encrypted, local })
    }
}
