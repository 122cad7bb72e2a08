//! What is denied by name and by declared type.

use std::fmt;

use serde::Deserialize;

/// The extensions that are denied when the settings name none: programs, scripts, installers, shortcuts and disk
/// images that Windows or macOS start at a double click.
pub const DENIED_EXTENSIONS: &[&str] = &[
    "ade",
    "adp",
    "appref-ms",
    "appx",
    "appxbundle",
    "bat",
    "chm",
    "cmd",
    "com",
    "cpl",
    "dll",
    "dmg",
    "exe",
    "gadget",
    "hlp",
    "hta",
    "img",
    "inf",
    "ins",
    "iso",
    "isp",
    "jar",
    "jnlp",
    "job",
    "js",
    "jse",
    "lnk",
    "mde",
    "msc",
    "msi",
    "msix",
    "msp",
    "mst",
    "pif",
    "pkg",
    "ps1",
    "psc1",
    "psm1",
    "reg",
    "scf",
    "scr",
    "sct",
    "settingcontent-ms",
    "shb",
    "shs",
    "sys",
    "url",
    "vb",
    "vbe",
    "vbs",
    "vhd",
    "vhdx",
    "vxd",
    "wim",
    "ws",
    "wsc",
    "wsf",
    "wsh",
    "xll",
];

/// The media types that are denied when the settings name none: a client gives such a part an extension of
/// its own if it has no name.
pub const DENIED_MEDIA_TYPES: &[&str] = &[
    "application/hta",
    "application/java-archive",
    "application/vnd.microsoft.portable-executable",
    "application/x-dosexec",
    "application/x-ms-shortcut",
    "application/x-msdos-program",
    "application/x-msdownload",
    "application/x-msi",
];

/// The end of file names, in lower case and without the first dot.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Extension(String);

impl Extension {
    pub(crate) fn defaults() -> Vec<Self> {
        DENIED_EXTENSIONS.iter().map(|&extension| Self(extension.to_owned())).collect()
    }

    /// True if one of the names, which are in lower case, ends in it.
    pub(crate) fn ends_any(&self, names: &[String]) -> bool {
        names.iter().any(|name| name.strip_suffix(&self.0).is_some_and(|stem| stem.ends_with('.')))
    }
}

impl TryFrom<String> for Extension {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let extension = written.strip_prefix("*.").or(written.strip_prefix('.')).unwrap_or(&written);
        if extension.is_empty() || extension.contains(['*', '/', '\\', ' ']) || extension.ends_with('.') {
            return Err(format!("`{written}` is not an extension like `exe`"));
        }
        Ok(Self(extension.to_lowercase()))
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A media type, or the beginning of several, in lower case.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum MediaTypes {
    One(String),
    StartingWith(String),
}

impl MediaTypes {
    pub(crate) fn defaults() -> Vec<Self> {
        DENIED_MEDIA_TYPES.iter().map(|&media_type| Self::One(media_type.to_owned())).collect()
    }

    /// True if the media type, which is in lower case, is among them.
    pub(crate) fn include(&self, media_type: &str) -> bool {
        match self {
            Self::One(own) => own == media_type,
            Self::StartingWith(beginning) => media_type.starts_with(beginning),
        }
    }
}

impl TryFrom<String> for MediaTypes {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let lower = written.trim().to_lowercase();
        let beginning = lower.strip_suffix('*');
        let (name, subtype) = beginning.unwrap_or(&lower).split_once('/').unwrap_or_default();
        let complete = beginning.is_some() || !subtype.is_empty();
        if name.is_empty() || !complete || name.contains('*') || subtype.contains(['*', '/', ';', ' ']) {
            return Err(format!("`{written}` is not a media type like `application/zip` or `video/*`"));
        }
        Ok(match beginning {
            Some(beginning) => Self::StartingWith(beginning.to_owned()),
            None => Self::One(lower),
        })
    }
}
