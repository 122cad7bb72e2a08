//! KPOP: the Kerberos exchange `sendauth` in front of the POP3 conversation, as framing alone.
//!
//! The client speaks first. Every message but one has its length in front, four octets, the most significant first:
//!
//! | from | what |
//! | --- | --- |
//! | client | the version of sendauth, then that of the application, each a message |
//! | server | one octet without a length: 0 to go on, anything else refuses a version |
//! | client | AP-REQ: the ticket |
//! | server | a message of no octets, or KRB-ERROR and the end |
//! | server | AP-REP, if the client wants the server to prove itself, too |
//!
//! Whether AP-REP comes is said inside of AP-REQ, but need not be read there: a length within [`MAX_MESSAGE`] begins with
//! NUL, and the greeting, which comes next in any case, does not. What the messages say is not looked at: it is between
//! the client and the server, and sealed.
//!
//! Sources: `krb5_sendauth` and `krb5_recvauth` of MIT Kerberos, RFC 4120 section 5.5 for the messages.

/// The longest message of the exchange, in octets.
pub const MAX_MESSAGE: u32 = 64 * 1024;

/// Whose octets come next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// The client's.
    Client,
    /// The server's.
    Server,
    /// The exchange is complete: the server's greeting, and POP3 from there on.
    Greeting,
    /// Nobody's: the server has refused.
    Refused(Refusal),
}

/// What a server has refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The version of sendauth.
    #[error("the server refuses the client's version of sendauth")]
    Sendauth,
    /// The version of the application.
    #[error("the server refuses the client's application, it wants another version of KPOP")]
    Application,
    /// Something, for a reason that has no name.
    #[error("the server refuses the client's versions with status {0}")]
    Status(u8),
    /// The ticket.
    #[error("the server refuses the client's ticket (KRB-ERROR)")]
    Ticket,
}

/// What is no part of an exchange. Nothing of it may be passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SendauthFault {
    /// The client's first octets are no length: it speaks something else, text most likely.
    #[error("the client does not begin with Kerberos's sendauth")]
    NotSendauth,
    /// A message of the client beyond [`MAX_MESSAGE`].
    #[error("the client announces a message of {0} octets, {MAX_MESSAGE} are allowed")]
    ClientLength(u32),
    /// A message of the server beyond [`MAX_MESSAGE`].
    #[error("the server announces a message of {0} octets, {MAX_MESSAGE} are allowed")]
    ServerLength(u32),
    /// The server speaks when it is not its turn, or in text.
    #[error("the server speaks out of turn, as one does that knows no KPOP")]
    OutOfTurn,
}

/// The exchange, fed with the octets of both sides as they come.
#[derive(Clone, Debug)]
pub struct Sendauth(At);

#[derive(Clone, Copy, Debug)]
enum At {
    /// Before or inside of a message.
    Message(Part, Frame),
    /// Before the octet that has no length.
    Status,
    Complete,
    Refused(Refusal),
}

/// The messages in their order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Version,
    Application,
    Request,
    Verdict,
    Proof,
}

#[derive(Clone, Copy, Debug)]
enum Frame {
    /// The octets of the length that are there.
    Length { value: u32, count: u8 },
    /// How many octets are missing.
    Content(usize),
}

impl Frame {
    const START: Self = Self::Length { value: 0, count: 0 };
}

impl Part {
    fn is_clients(self) -> bool {
        matches!(self, Self::Version | Self::Application | Self::Request)
    }

    fn too_long(self, length: u32) -> SendauthFault {
        match self {
            Self::Version => SendauthFault::NotSendauth,
            part if part.is_clients() => SendauthFault::ClientLength(length),
            _ => SendauthFault::ServerLength(length),
        }
    }

    /// What follows this message once all of it is there.
    fn next(self, length_was_zero: bool) -> At {
        match self {
            Self::Version => At::Message(Self::Application, Frame::START),
            Self::Application => At::Status,
            Self::Request => At::Message(Self::Verdict, Frame::START),
            Self::Verdict if length_was_zero => At::Message(Self::Proof, Frame::START),
            Self::Verdict => At::Refused(Refusal::Ticket),
            Self::Proof => At::Complete,
        }
    }
}

impl Default for Sendauth {
    fn default() -> Self {
        Self(At::Message(Part::Version, Frame::START))
    }
}

impl Sendauth {
    /// Who has to speak.
    #[must_use]
    pub fn turn(&self) -> Turn {
        match self.0 {
            At::Message(part, _) if part.is_clients() => Turn::Client,
            At::Message(..) | At::Status => Turn::Server,
            At::Complete => Turn::Greeting,
            At::Refused(refusal) => Turn::Refused(refusal),
        }
    }

    /// Takes octets of the client in; gives how many of them go to the server now. The others have to wait.
    ///
    /// # Errors
    ///
    /// When they are no part of an exchange.
    pub fn client(&mut self, octets: &[u8]) -> Result<usize, SendauthFault> {
        self.take(octets, Turn::Client)
    }

    /// Takes octets of the server in; gives how many of them go to the client now. What is behind them is POP3.
    ///
    /// # Errors
    ///
    /// When they are no part of an exchange.
    pub fn server(&mut self, octets: &[u8]) -> Result<usize, SendauthFault> {
        // Heimdal's server refuses a version before it has read the other one.
        let early = matches!(self.0, At::Message(Part::Application, _)) && !matches!(octets, [] | [0, ..]);
        if early {
            self.0 = At::Status;
        }
        if self.turn() == Turn::Client && !octets.is_empty() {
            return Err(SendauthFault::OutOfTurn);
        }
        self.take(octets, Turn::Server)
    }

    fn take(&mut self, octets: &[u8], side: Turn) -> Result<usize, SendauthFault> {
        let mut taken = 0;
        while taken < octets.len() && self.turn() == side {
            taken += self.step(&octets[taken..])?;
        }
        Ok(taken)
    }

    /// One step on; gives how many octets it took, which is none only where the state becomes another's turn.
    fn step(&mut self, octets: &[u8]) -> Result<usize, SendauthFault> {
        let Some(&first) = octets.first() else { return Ok(0) };
        match self.0 {
            At::Complete | At::Refused(_) => Ok(0),
            At::Status => {
                self.0 = status(first)?;
                Ok(1)
            }
            At::Message(Part::Proof, Frame::Length { count: 0, .. }) if first != 0 => {
                self.0 = At::Complete;
                Ok(0)
            }
            At::Message(part, Frame::Length { value, count }) => {
                let (value, count) = (value << 8 | u32::from(first), count + 1);
                self.0 = match count {
                    4 if value > MAX_MESSAGE => return Err(part.too_long(value)),
                    4 if value == 0 => part.next(true),
                    4 => At::Message(part, Frame::Content(value as usize)),
                    _ => At::Message(part, Frame::Length { value, count }),
                };
                Ok(1)
            }
            At::Message(part, Frame::Content(missing)) => {
                let count = missing.min(octets.len());
                self.0 = match missing - count {
                    0 => part.next(false),
                    missing => At::Message(part, Frame::Content(missing)),
                };
                Ok(count)
            }
        }
    }
}

fn status(octet: u8) -> Result<At, SendauthFault> {
    Ok(match octet {
        0 => At::Message(Part::Request, Frame::START),
        1 => At::Refused(Refusal::Sendauth),
        2 => At::Refused(Refusal::Application),
        // A greeting that was late enough to look like an answer.
        b'+' | b'-' => return Err(SendauthFault::OutOfTurn),
        other => At::Refused(Refusal::Status(other)),
    })
}

#[cfg(test)]
mod tests;
