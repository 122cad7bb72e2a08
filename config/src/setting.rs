//! How one TOML value becomes a typed one. Each type of the configuration says so beside its definition; here are the
//! plain ones.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;

/// A type that a value in the file can have.
pub(crate) trait Setting: Sized {
    /// What it is, with its article: "a duration".
    fn kind() -> String;

    /// How it is typed, quotes included: `"10m"`.
    fn example() -> String;

    /// # Errors
    ///
    /// Whether the TOML type is wrong already, or what is wrong with the value.
    fn read(value: &DeValue<'_>) -> Result<Self, Refusal>;
}

/// Why a value was not taken.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// The TOML type is wrong.
    Kind,
    /// The type is right, the value is not.
    Value {
        /// What is wrong with it, with the value in backticks.
        message: String,
        /// What to write instead.
        hint: String,
    },
}

impl Refusal {
    pub(crate) fn value(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Value { message: message.into(), hint: hint.into() }
    }
}

/// The text of a string value.
pub(crate) fn text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, Refusal> {
    value.as_str().ok_or(Refusal::Kind)
}

/// The value of an integer, in whatever base it was typed.
pub(crate) fn integer(value: &DeValue<'_>) -> Result<i128, Refusal> {
    let typed = value.as_integer().ok_or(Refusal::Kind)?;
    i128::from_str_radix(typed.as_str(), typed.radix())
        .map_err(|_| Refusal::value(format!("`{typed}` is too large a number"), ""))
}

impl Setting for bool {
    fn kind() -> String {
        "`true` or `false`".to_owned()
    }

    fn example() -> String {
        "true".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        value.as_bool().ok_or(Refusal::Kind)
    }
}

/// Text that says something: the empty string is refused, and so are control characters, which no name needs.
impl Setting for String {
    fn kind() -> String {
        "a string".to_owned()
    }

    fn example() -> String {
        "\"name\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        if text.is_empty() {
            return Err(Refusal::value("the string is empty", "write something between the quotes, or remove the key"));
        }
        if text.chars().any(char::is_control) {
            let message = format!("`{}` holds a control character", text.escape_debug());
            return Err(Refusal::value(message, "write it in one line, without tabs and escapes"));
        }
        Ok(text.to_owned())
    }
}

/// The path of a file or folder, as it was typed.
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Setting for FilePath {
    fn kind() -> String {
        "a path".to_owned()
    }

    fn example() -> String {
        "\"/etc/popgate/file\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let path = String::read(value)?;
        if path == "~" || path.starts_with("~/") {
            let hint = "write the whole path; a relative one starts at the folder of this file";
            return Err(Refusal::value(format!("`{path}`: `~` means something to a shell only"), hint));
        }
        Ok(Self(path.into()))
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn kind() -> String {
                "a whole number".to_owned()
            }

            fn example() -> String {
                "100".to_owned()
            }

            fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
                let number = integer(value)?;
                number.try_into().map_err(|_| {
                    Refusal::value(format!("`{number}` is out of range"), format!("write a number from 0 to {}", Self::MAX))
                })
            }
        }
    )*};
}

whole_number!(u16, u32, usize);

/// A network; a lone address is the network of that address alone.
impl Setting for IpNet {
    fn kind() -> String {
        "a network".to_owned()
    }

    fn example() -> String {
        "\"10.0.0.0/8\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from));
        network.map_err(|_| {
            let hint = "write an address and the length of its prefix, as in `10.0.0.0/8` or `2001:db8::/32`";
            Refusal::value(format!("`{text}` is not a network"), hint)
        })
    }
}
