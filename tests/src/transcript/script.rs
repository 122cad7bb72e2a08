//! A transcript as steps.

use super::line::{Pattern, octets};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Keys of the listener.
    pub(super) listener: Vec<String>,
    /// Keys of the upstream.
    pub(super) upstream: Vec<String>,
    /// More lines of the configuration.
    pub(super) config: Vec<String>,
    /// Files in the folder of the configuration: name and content.
    pub(super) files: Vec<(String, String)>,
    /// Whether the listener has no upstream of its own.
    pub(super) routed: bool,
    /// The conversation.
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Step {
    /// The line in the file, from 1.
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) action: Action,
}

/// The side of the proxy on which something happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Client,
    Upstream,
}

#[derive(Debug)]
pub(super) enum Action {
    Send(Side, Vec<u8>),
    Expect(Side, Pattern),
    Connect,
    Close(Side),
    Finish,
    ExpectEnd(Side),
    ExpectQuiet(Side),
    /// A multi-line reply of these lines in any order.
    ExpectLines(Vec<Pattern>),
    /// Greeting, USER and PASS on both sides.
    LogIn,
    StartTls(Side),
    LeftAlone,
    Log(String),
}

impl Script {
    /// # Errors
    ///
    /// The line that is not understood, and why.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut script = Self::default();
        for (at, line) in text.lines().enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                script.add(at + 1, line).map_err(|fault| (at + 1, fault))?;
            }
        }
        if script.steps.is_empty() {
            return Err((1, "nothing happens".to_owned()));
        }
        Ok(script)
    }

    fn add(&mut self, line: usize, text: &str) -> Result<(), String> {
        if text == "listener: routed" {
            self.routed = true;
        } else if let Some(key) = text.strip_prefix("listener: ") {
            self.listener.push(key.to_owned());
        } else if let Some(key) = text.strip_prefix("upstream: ") {
            self.upstream.push(key.to_owned());
        } else if let Some(key) = text.strip_prefix("config: ") {
            self.config.push(key.to_owned());
        } else if let Some(file) = text.strip_prefix("file: ") {
            let (name, content) = file.split_once(' ').ok_or("a file has a name and a line")?;
            self.files.push((name.to_owned(), format!("{content}\n")));
        } else {
            self.steps.push(Step { line, text: text.to_owned(), action: action(text)? });
        }
        Ok(())
    }
}

fn action(text: &str) -> Result<Action, String> {
    if let Some(wanted) = text.strip_prefix("log has ") {
        return Ok(Action::Log(wanted.to_owned()));
    }
    let (side, rest) = match text.split_once(' ') {
        Some(("client", rest)) => (Side::Client, rest),
        Some(("upstream", rest)) => (Side::Upstream, rest),
        _ => return Err(format!("not understood: `{text}`")),
    };
    match (side, rest) {
        (Side::Client, "connects") => return Ok(Action::Connect),
        (Side::Client, "finishes") => return Ok(Action::Finish),
        (Side::Client, "logs in") => return Ok(Action::LogIn),
        (Side::Upstream, "is left alone") => return Ok(Action::LeftAlone),
        (_, "closes") => return Ok(Action::Close(side)),
        (_, "ends") => return Ok(Action::ExpectEnd(side)),
        (_, "is quiet") => return Ok(Action::ExpectQuiet(side)),
        (_, "starts TLS") => return Ok(Action::StartTls(side)),
        _ => {}
    }
    if let (Side::Client, Some(lines)) = (side, rest.strip_prefix("lists ")) {
        return lines.split(" | ").map(Pattern::parse).collect::<Result<_, _>>().map(Action::ExpectLines);
    }
    // An empty line has no blank behind the colon.
    let (head, content) = rest.split_at_checked(2).ok_or_else(|| format!("not understood: `{text}`"))?;
    let content = content.strip_prefix(' ').unwrap_or(content);
    // The client sends what is marked C and gets what is marked S; for the server it is the other way round.
    let sends = matches!((side, &head[..1]), (Side::Client, "C") | (Side::Upstream, "S"));
    match (&head[..1], &head[1..]) {
        ("C" | "S", ":") if sends => Ok(Action::Send(side, [octets(content)?, b"\r\n".to_vec()].concat())),
        ("C" | "S", ">") if sends => Ok(Action::Send(side, octets(content)?)),
        ("C" | "S", ":") => Ok(Action::Expect(side, Pattern::parse(content)?)),
        _ => Err(format!("not understood: `{text}`")),
    }
}
