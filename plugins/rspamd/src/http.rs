//! The little of HTTP that an answer to a request of version 1.0 has (RFC 9112 section 6).

use popgate_plugin::text;

/// The content of an answer.
///
/// # Errors
///
/// It is not whole, or not a success; in words.
pub(crate) fn body(answer: &[u8]) -> Result<&[u8], String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("half an answer")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let mut words = status.split(' ');
    if !words.next().is_some_and(|word| word.starts_with("HTTP/1.")) || words.next() != Some("200") {
        return Err(format!("it says: {}", text::clean(status, 200)));
    }
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<usize>().ok(),
            "transfer-encoding" => return Err("an answer in pieces, which was not asked for".into()),
            _ => {}
        }
    }
    let body = &answer[end + 4..];
    match length {
        Some(length) => body.get(..length).ok_or_else(|| "half an answer".into()),
        // Nothing tells a whole answer from half of one.
        None => Err("an answer without a length".into()),
    }
}
