//! What the header of a part says about its body, where clients may understand it differently: all of it.

use super::Fault;
use crate::message::encoding::Encoding;
use crate::message::parameters::{self, Parameters};
use crate::message::part::{Part, Place};
use crate::message::{fields, words};

/// Fields of one name that are looked at.
const REPEATED_MAX: usize = 8;

/// Octets of a boundary, at most; RFC 2046 allows 70.
const BOUNDARY_MAX: usize = 1000;

/// The Content fields of a header block.
#[derive(Eq, PartialEq)]
pub(super) struct Entity {
    media_type: String,
    parameters: Parameters,
    disposition: Option<String>,
    disposition_parameters: Parameters,
    encoding: Encoding,
    faults: Vec<Fault>,
    pub(super) truncated: bool,
}

impl Entity {
    /// Reads a header block. Without a Content-Type the type is `default`.
    pub(super) fn parse(block: &[u8], default: &str) -> Self {
        let (mut types, mut encodings, mut dispositions) = (Vec::new(), Vec::new(), Vec::new());
        let mut faults = Vec::new();
        for line in fields::lines(block) {
            let values = match line.name {
                Some(name) if name.eq_ignore_ascii_case(b"content-type") => &mut types,
                Some(name) if name.eq_ignore_ascii_case(b"content-transfer-encoding") => &mut encodings,
                Some(name) if name.eq_ignore_ascii_case(b"content-disposition") => &mut dispositions,
                // Some end the header here, some skip the line.
                None if !line.is_envelope() => {
                    faults.push("bad-header-line");
                    continue;
                }
                _ => continue,
            };
            if values.len() < REPEATED_MAX {
                values.push(text(line.value));
            }
        }
        let repeated = [
            (types.len(), "duplicate-content-type"),
            (encodings.len(), "duplicate-transfer-encoding"),
            (dispositions.len(), "duplicate-disposition"),
        ];
        faults.extend(repeated.iter().filter(|(count, _)| *count > 1).map(|(_, fault)| *fault));
        let (media_type, parameters) = content_type(&types, default, &mut faults);
        let (disposition, disposition_parameters) = disposition(&dispositions);
        let encoding = transfer_encoding(&encodings, &mut faults);
        if parameters.odd || disposition_parameters.odd {
            faults.push("odd-parameter");
        }
        if names_differ(&parameters, &disposition_parameters) {
            faults.push("different-names");
        }
        let truncated = parameters.truncated || disposition_parameters.truncated;
        Self { media_type, parameters, disposition, disposition_parameters, encoding, faults, truncated }
    }

    pub(super) fn into_part(self, parent: Option<usize>, place: Place) -> Part {
        Part {
            media_type: self.media_type,
            parameters: self.parameters,
            disposition: self.disposition,
            disposition_parameters: self.disposition_parameters,
            encoding: self.encoding,
            parent,
            container: false,
            faults: self.faults,
            place,
            decoded: None,
        }
    }
}

fn text(value: &[u8]) -> String {
    let mut unfolded = words::unfold(value);
    // Programs written in C stop at NUL, others skip it.
    unfolded.retain(|octet| !matches!(octet, b'\0' | b'\r'));
    String::from_utf8_lossy(&unfolded).trim().to_owned()
}

/// A multipart among several types wins, since it shows more; else the first one.
fn content_type(values: &[String], default: &str, faults: &mut Vec<Fault>) -> (String, Parameters) {
    let mut all: Vec<_> = values.iter().map(|value| parameters::parse(value)).collect();
    if all.iter().any(|(media_type, _)| !is_media_type(media_type)) {
        faults.push("odd-content-type");
    }
    let chosen = all.iter().position(|(media_type, _)| media_type.starts_with("multipart/")).unwrap_or(0);
    if chosen >= all.len() {
        return (default.into(), Parameters::default());
    }
    let (media_type, mut parameters) = all.remove(chosen);
    all.into_iter().for_each(|(_, rest)| parameters.append(rest));
    let known = media_type.starts_with("multipart/") || is_media_type(&media_type);
    (if known { media_type } else { "text/plain".into() }, parameters)
}

/// Whether this is a type, a slash and a subtype (RFC 2045, section 5.1).
fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet))
    };
    text.split_once('/').is_some_and(|(main, sub)| token(main) && token(sub))
}

fn disposition(values: &[String]) -> (Option<String>, Parameters) {
    let mut all = values.iter().map(|value| parameters::parse(value));
    let Some((front, mut parameters)) = all.next() else { return (None, Parameters::default()) };
    all.for_each(|(_, rest)| parameters.append(rest));
    (Some(front).filter(|front| !front.is_empty()), parameters)
}

/// Of several encodings the first that changes anything: what is not decoded can be read as it stands.
fn transfer_encoding(values: &[String], faults: &mut Vec<Fault>) -> Encoding {
    let all: Vec<_> = values.iter().map(|value| Encoding::named(value)).collect();
    if all.iter().any(|(_, plain)| !plain) {
        faults.push("odd-transfer-encoding");
    }
    let encodings = all.into_iter().map(|(encoding, _)| encoding);
    encodings.into_iter().find(|encoding| *encoding != Encoding::Identity).unwrap_or(Encoding::Identity)
}

/// Whether Content-Type and Content-Disposition name files of different kinds.
fn names_differ(content_type: &Parameters, disposition: &Parameters) -> bool {
    let extension = |name: &str| name.trim_end().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match (content_type.first("name"), disposition.first("filename")) {
        (Some(one), Some(other)) => extension(one) != extension(other),
        _ => false,
    }
}

/// The boundaries of a multipart by all readings of its header.
pub(super) fn boundaries(part: &Part) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for value in part.parameters.all("boundary").take(REPEATED_MAX) {
        // Unquoted, a comment or a forgotten semicolon may follow it.
        let token = value.split([' ', '\t', '(']).next().unwrap_or_default();
        for name in [value.trim_end(), token] {
            if !name.is_empty() && name.len() <= BOUNDARY_MAX && !found.iter().any(|other| other == name.as_bytes()) {
                found.push(name.as_bytes().to_vec());
            }
        }
    }
    found
}
