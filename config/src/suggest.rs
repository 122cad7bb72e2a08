//! Hints for words that were not recognised.

/// The word among `known` that `typed` was probably meant to be.
///
/// A near miss is one edit in three letters, or the beginning or end of a word (`cert`, `key`).
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('-', "_");
    let allowed = (typed.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for word in known {
        let plain = word.to_lowercase().replace('-', "_");
        let part = typed.len() >= 3 && (plain.starts_with(&typed) || plain.ends_with(&typed));
        let distance = strsim::osa_distance(&typed, &plain);
        let distance = if part { distance.min(allowed) } else { distance };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, word));
        }
    }
    best.map(|(_, word)| word)
}

/// The words in backticks, with commas between.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_near_misses_only() {
        let known = ["address", "allow_cleartext", "certificate", "private_key", "stls-required", "tls"];
        for (typed, meant) in [
            ("adress", Some("address")),
            ("Address", Some("address")),
            ("allow-cleartext", Some("allow_cleartext")),
            ("stls_required", Some("stls-required")),
            ("cert", Some("certificate")),
            ("key", Some("private_key")),
            ("ssl", None),
            ("x", None),
            ("", None),
            ("banana", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
