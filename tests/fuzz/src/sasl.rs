//! Credentials inside of SASL.

use popgate::pop3::sasl::{Plain, decode, encode, user_of};

/// Mechanisms that a client may name, and one that nobody knows.
const MECHANISMS: [&str; 10] = [
    "PLAIN",
    "LOGIN",
    "EXTERNAL",
    "CRAM-MD5",
    "DIGEST-MD5",
    "XOAUTH2",
    "OAUTHBEARER",
    "SCRAM-SHA-256",
    "GSSAPI",
    "X-OTHER",
];

/// A response is base64 or refused, what was read of it stays the same when written anew, PLAIN goes back and forth, and a name is only found where there is one.
///
/// The input is taken for a line of an exchange, and for what such a line encodes.
pub fn sasl(input: &[u8]) {
    response(input);
    response(encode(input).expose());
    assert_eq!(decode(encode(input).expose()).expect("base64 of our own").expose(), input);
}

fn response(line: &[u8]) {
    let message = decode(line);
    if let Ok(message) = &message {
        let again = decode(encode(message.expose()).expose()).expect("base64 of our own");
        assert_eq!(&again, message);
    }
    for mechanism in MECHANISMS {
        if let Some(user) = user_of(mechanism, line) {
            assert!(!user.is_empty() && message.is_ok(), "{mechanism}");
            if mechanism == "PLAIN" {
                assert!(!user.contains(&0));
            }
        }
    }
    match Plain::parse(line) {
        Ok(plain) => same(&plain, message.expect("it was base64").expose()),
        Err(_) => assert_eq!(user_of("PLAIN", line), None),
    }
}

fn same(plain: &Plain, message: &[u8]) {
    let fields = [&plain.authorization, plain.user.as_slice(), plain.password.expose()];
    assert!(!plain.user.is_empty());
    assert_eq!(fields.join(&0), message);
    assert_eq!(Plain::parse(plain.encode().expose()).as_ref(), Ok(plain));
    let breaks = fields.concat().iter().any(|octet| b"\r\n\0".contains(octet));
    assert_eq!(plain.clone().contained().is_ok(), !breaks);
}
