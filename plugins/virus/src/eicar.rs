//! The EICAR test string.
//!
//! Source: <https://www.eicar.org/download-anti-malware-testfile/>.

/// The test string written backwards, so that no virus scanner takes the filter itself for the test file.
const BACKWARDS: &str = r"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X";

/// The 68 octets of it.
pub(crate) fn test_string() -> Vec<u8> {
    BACKWARDS.bytes().rev().collect()
}
