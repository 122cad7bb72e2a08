//! `[tls]`: the certificate that clients see.

use std::path::PathBuf;

use crate::place::Place;
use crate::section::Section;

/// The certificate of all listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// The file of the certificate and its chain (PEM).
    pub certificate: PathBuf,
    /// The file of its private key (PEM).
    pub private_key: PathBuf,
    /// The section.
    pub place: Place,
    /// The value of `certificate`.
    pub certificate_place: Place,
    /// The value of `private_key`.
    pub private_key_place: Place,
}

impl Tls {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let tls = Self {
            certificate: section.require_path("certificate", "cert.pem").unwrap_or_default(),
            private_key: section.require_path("private_key", "key.pem").unwrap_or_default(),
            place: section.place().clone(),
            certificate_place: section.place_of("certificate"),
            private_key_place: section.place_of("private_key"),
        };
        section.finish();
        tls
    }
}
