//! Configuration files.

use std::path::Path;

/// Any text is a configuration or has faults that can be told, and means the same when it is read twice.
///
/// The input is the text.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let path = Path::new("/etc/popgate/popgate.toml");
    match popgate_config::parse(text, path) {
        Ok(config) => {
            assert!(!config.listeners.is_empty() && !config.upstreams.is_empty());
            assert_eq!(popgate_config::parse(text, path).ok(), Some(config));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
