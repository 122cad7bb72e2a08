//! Patterns of user names: `*@dept.example`.

use std::fmt;

use toml::de::DeValue;

use crate::setting::{Refusal, Setting, text};

/// What stands between a mailbox and its domain: `@` everywhere, `+` and `%` in old clients and SDPS, `#` before a server.
const SEPARATORS: [char; 4] = ['@', '+', '%', '#'];

/// A user name, or many: `*` stands for any characters, none included.
///
/// The domain of the user name, what follows its last `@`, `+`, `%` or `#`, is compared without regard to case (ASCII
/// letters), the rest exactly.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserPattern(String);

impl UserPattern {
    /// Whether the pattern stands for this user.
    pub fn matches(&self, user: &str) -> bool {
        let domain = user.rfind(SEPARATORS).unwrap_or(user.len());
        let same = |position: usize, typed: u8| {
            let octet = user.as_bytes()[position]; // `wild` asks for positions within the user only
            octet == typed || position > domain && octet.eq_ignore_ascii_case(&typed)
        };
        wild(self.0.as_bytes(), user.len(), same)
    }

    /// Whether it stands for every user.
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|octet| octet == b'*')
    }

    /// The pattern as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last separator in the pattern, which is where a matching user is cut in two.
    pub(crate) fn separator(&self) -> Option<char> {
        self.0.rfind(SEPARATORS).and_then(|position| self.0[position..].chars().next())
    }

    pub(crate) fn any() -> Self {
        Self("*".to_owned())
    }
}

/// Matches with `*` by going back to the last star alone: time is at most the product of both lengths.
fn wild(pattern: &[u8], length: usize, same: impl Fn(usize, u8) -> bool) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < length {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(&typed) if same(position, typed) => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((stars, taken)) = star else { return false };
                star = Some((stars, taken + 1));
                at = stars + 1;
                position = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|octet| *octet == b'*')
}

/// The pattern as it was typed.
impl fmt::Display for UserPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for UserPattern {
    fn kind() -> String {
        "a user name, which may hold `*`".to_owned()
    }

    fn example() -> String {
        "\"*@dept.example\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        text(value)?;
        // An empty one matches nobody, which no one means.
        String::read(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_users() {
        for (pattern, user, matches) in [
            ("*", "", true),
            ("*", "alice", true),
            ("alice", "alice", true),
            ("alice", "Alice", false),
            ("alice", "alice2", false),
            ("*@dept.example", "alice@dept.example", true),
            ("*@dept.example", "alice@DEPT.Example", true),
            ("*@Dept.Example", "alice@dept.example", true),
            ("*@dept.example", "bob+tag@dept.example", true),
            ("*@dept.example", "@dept.example", true),
            ("*@dept.example", "alice@sub.dept.example", false),
            ("*@dept.example", "alice@dept.example.evil", false),
            ("*@dept.example", "alice@dept.example#pop.example.org", false),
            ("*+dept.example", "alice+dept.example", true),
            ("*+dept.example", "alice@dept.example", false),
            ("*%dept.example", "alice%Dept.example", true),
            ("*%dept.example", "alice@dept.example", false),
            ("*#dept.example", "alice@x#DEPT.example", true),
            ("*#dept.example", "alice#dept.example@x", false),
            ("Alice@*", "alice@dept.example", false),
            ("a*b*c@*.example", "aXXbYYbc@x.EXAMPLE", true),
            ("a*b*c@*.example", "aXXbYY@x.example", false),
            ("*ü@x", "gruü@X", true),
            ("**", "x", true),
        ] {
            assert_eq!(UserPattern(pattern.to_owned()).matches(user), matches, "{pattern} {user}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = UserPattern("*a".repeat(200) + "b");
        assert!(!pattern.matches(&"a".repeat(10_000)));
    }
}
