//! Makes attachments.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use md5::Md5;
use sha1::Sha1;
use sha2::Digest as _;

pub(super) fn base64(content: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, group) in content.chunks(3).enumerate() {
        let bits = group.iter().fold(0, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        text.extend((0..=group.len()).map(|digit| char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])));
        text.push_str(&"=".repeat(3 - group.len()));
        text.push_str(if index % 19 == 18 { "\n" } else { "" });
    }
    text
}

/// A zip archive of one deflated file.
pub(super) fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    let packed = encoder.finish().unwrap();
    let mut header = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for field in [packed.len(), content.len()] {
        header.extend((field as u32).to_le_bytes());
    }
    header.extend((name.len() as u16).to_le_bytes());
    header.extend([0, 0]);
    let local = [b"PK\x03\x04", &*header, name.as_bytes(), &packed].concat();
    let central = [b"PK\x01\x02\x14\0", &*header, &[0; 14], name.as_bytes()].concat();
    let mut zip = [local.as_slice(), &central, b"PK\x05\x06\0\0\0\0\x01\0\x01\0"].concat();
    zip.extend((central.len() as u32).to_le_bytes());
    zip.extend((local.len() as u32).to_le_bytes());
    zip.extend([0, 0]);
    zip
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// An attachment of Outlook's.
pub(super) fn tnef(name: &str, content: &[u8]) -> Vec<u8> {
    let mut octets = b"\x78\x9f\x3e\x22\x01\0".to_vec();
    let name = format!("{name}\0");
    for (attribute, content) in
        [(0x0006_9002_u32, &[0; 14][..]), (0x0001_8010, name.as_bytes()), (0x0006_800f, content)]
    {
        octets.push(2);
        octets.extend(attribute.to_le_bytes());
        octets.extend((content.len() as u32).to_le_bytes());
        octets.extend(content);
        octets.extend(content.iter().fold(0u16, |sum, &octet| sum.wrapping_add(u16::from(octet))).to_le_bytes());
    }
    octets
}

/// MD5 and SHA-1, in hexadecimal digits.
pub(super) fn digests(content: &[u8]) -> (String, String) {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
    (hex(&Md5::digest(content)), hex(&Sha1::digest(content)))
}
