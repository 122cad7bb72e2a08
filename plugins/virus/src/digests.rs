//! Known files by their digests.

use md5::Md5;
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::bits::Bits;
use crate::names::Name;

/// A SHA-256 digest, 64 hexadecimal digits in the settings.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Listed(pub(crate) [u8; 32]);

impl TryFrom<String> for Listed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let octets = octets(text.trim()).and_then(|octets| octets.try_into().ok());
        octets.map(Self).ok_or_else(|| format!("`{text}` is not a SHA-256 digest: 64 hexadecimal digits"))
    }
}

/// The octets that hexadecimal digits stand for.
pub(crate) fn octets(digits: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

/// Any size, where a list has none.
pub(crate) const ANY_SIZE: u64 = u64::MAX;

/// Files by one kind of digest, in the order of the digests.
#[derive(Debug)]
struct List<const N: usize> {
    entries: Vec<([u8; N], u64, Name)>,
    /// The beginnings of the digests, and what follows on them: a digest of another file is hardly ever in both.
    bits: [Bits; 2],
    /// The sizes of the files in octets, in order, each once; of another size none need be hashed. [`ANY_SIZE`] is the last of them.
    sizes: Vec<u64>,
}

impl<const N: usize> Default for List<N> {
    fn default() -> Self {
        Self { entries: Vec::new(), bits: <[Bits; 2]>::default(), sizes: Vec::new() }
    }
}

impl<const N: usize> List<N> {
    fn add(&mut self, digest: [u8; N], size: u64, name: Name) {
        self.entries.push((digest, size, name));
    }

    fn finish(&mut self) {
        self.entries.sort_unstable();
        self.entries.shrink_to_fit();
        self.sizes = self.entries.iter().map(|(_, size, _)| *size).collect();
        self.sizes.sort_unstable();
        self.sizes.dedup();
        self.sizes.shrink_to_fit();
        self.bits = [0, 8].map(|at| Bits::of(self.entries.iter().map(|(digest, ..)| eight(digest, at))));
    }

    /// Whether there is any of this size, which is not known of all.
    fn may_have(&self, size: Option<u64>) -> bool {
        let known = |size| self.has_any_size() || self.sizes.binary_search(&size).is_ok();
        !self.sizes.is_empty() && size.is_none_or(known)
    }

    /// Whether there is any that is as large as this, or larger.
    fn reaches(&self, size: u64) -> bool {
        self.sizes.last().is_some_and(|largest| size <= *largest)
    }

    fn has_any_size(&self) -> bool {
        self.sizes.last() == Some(&ANY_SIZE)
    }

    fn find(&self, digest: &[u8], size: u64) -> Option<Name> {
        if !self.bits.iter().zip([0, 8]).all(|(bits, at)| bits.may_have(eight(digest, at))) {
            return None;
        }
        let start = self.entries.partition_point(|(known, ..)| known[..] < *digest);
        let same = self.entries[start..].iter().take_while(|(known, ..)| known[..] == *digest);
        // Of several the last, which has a name if any of them has.
        same.filter(|(_, known, _)| *known == size || *known == ANY_SIZE).last().map(|&(.., name)| name)
    }
}

/// Eight octets of a digest from `at` on, which are as random as any.
fn eight(digest: &[u8], at: usize) -> u64 {
    digest[at..].first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// All known files.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    md5: List<16>,
    sha1: List<20>,
    sha256: List<32>,
}

impl Digests {
    /// Adds a file; false for octets that are no digest.
    pub(crate) fn add(&mut self, digest: &[u8], size: u64, name: Name) -> bool {
        if let Ok(digest) = digest.try_into() {
            self.md5.add(digest, size, name);
        } else if let Ok(digest) = digest.try_into() {
            self.sha1.add(digest, size, name);
        } else if let Ok(digest) = digest.try_into() {
            self.sha256.add(digest, size, name);
        } else {
            return false;
        }
        true
    }

    /// Puts them in order; nothing is found before.
    pub(crate) fn finish(&mut self) {
        self.md5.finish();
        self.sha1.finish();
        self.sha256.finish();
    }

    /// Whether there is any of this size, which is not known of all.
    pub(crate) fn may_have(&self, size: Option<u64>) -> bool {
        self.md5.may_have(size) || self.sha1.may_have(size) || self.sha256.may_have(size)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.md5.entries.is_empty() && self.sha1.entries.is_empty() && self.sha256.entries.is_empty()
    }

    /// Begins with a new file of this size in octets, if it is known.
    pub(crate) fn hash(&self, size: Option<u64>) -> Hashing {
        Hashing {
            size: 0,
            md5: self.md5.may_have(size).then(Md5::new),
            sha1: self.sha1.may_have(size).then(Sha1::new),
            sha256: self.sha256.may_have(size).then(Sha256::new),
        }
    }
}

/// A file on its way through the digests of which there are lists.
#[derive(Debug)]
pub(crate) struct Hashing {
    size: u64,
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
}

impl Hashing {
    pub(crate) fn update(&mut self, digests: &Digests, octets: &[u8]) {
        self.size += octets.len() as u64;
        // What is larger than all that are known need not be hashed to its end.
        self.md5 = self.md5.take().filter(|_| digests.md5.reaches(self.size));
        self.sha1 = self.sha1.take().filter(|_| digests.sha1.reaches(self.size));
        self.sha256 = self.sha256.take().filter(|_| digests.sha256.reaches(self.size));
        if let Some(md5) = &mut self.md5 {
            md5.update(octets);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(octets);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(octets);
        }
    }

    /// The symbol and the name of the file, if it is known.
    pub(crate) fn known(self, digests: &Digests) -> Option<(&'static str, Name)> {
        let size = self.size;
        let sha256 = self.sha256.and_then(|hash| digests.sha256.find(&hash.finalize(), size));
        let sha1 = || self.sha1.and_then(|hash| digests.sha1.find(&hash.finalize(), size));
        let md5 = || self.md5.and_then(|hash| digests.md5.find(&hash.finalize(), size));
        sha256
            .map(|name| ("SHA256_MATCH", name))
            .or_else(|| sha1().map(|name| ("SHA1_MATCH", name)))
            .or_else(|| md5().map(|name| ("MD5_MATCH", name)))
    }
}
