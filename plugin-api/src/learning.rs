//! Filters that learn from messages whose class people have told.

use crate::{Failure, Filter, Message};

/// What people say that a message is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Label {
    /// Mail that nobody wants.
    Spam,
    /// Mail that somebody wants.
    Ham,
}

/// A filter that learns. It is exported by `popgate_plugin::export!(Type, learning)`.
///
/// What is learned goes into [`crate::state`]. The host sees to it that a message is learned once, and that it is forgotten
/// before it is learned with the other label. Edits and findings are ignored.
pub trait Learning: Filter {
    /// Learns that the message has this label.
    ///
    /// # Errors
    ///
    /// Why it can't; nothing is written then.
    fn learn(&self, message: &Message, label: Label) -> Result<(), Failure>;

    /// Undoes what [`Self::learn`] did with the same message and label.
    ///
    /// # Errors
    ///
    /// Why it can't; nothing is written then.
    fn forget(&self, message: &Message, label: Label) -> Result<(), Failure>;
}

/// A filter that learns from messages that are gone, too. It is exported by `popgate_plugin::export!(Type, learning_by_token)`.
///
/// When it examines a message it leaves a token ([`Message::leave_learn_token`]) with all that it wants to know of it later. The
/// host keeps that for 30 days. A message and its token are the same lesson: what was learned by one may be forgotten by the
/// other, so both have to write the same.
///
/// ```
/// use popgate_plugin::state::{self, Scope};
/// use popgate_plugin::{Failure, Filter, Label, Learning, LearningByToken, Message, NoSettings, Verdict, testing};
///
/// /// Counts spam by sender.
/// struct Senders;
///
/// fn sender(message: &Message) -> Vec<u8> {
///     format!("from {}", message.header("From").unwrap_or_default()).into_bytes().into_iter().take(256).collect()
/// }
///
/// fn count(sender: &[u8], label: Label, times: i64) -> Result<(), Failure> {
///     let delta = if label == Label::Spam { times } else { 0 };
///     Ok(state::add(Scope::Shared, [(sender, delta)])?)
/// }
///
/// impl Filter for Senders {
///     type Settings = NoSettings;
///
///     fn configure(_: NoSettings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
///         message.leave_learn_token(&sender(message))?;
///         Ok(Verdict::Pass)
///     }
/// }
///
/// impl Learning for Senders {
///     fn learn(&self, message: &Message, label: Label) -> Result<(), Failure> {
///         count(&sender(message), label, 1)
///     }
///
///     fn forget(&self, message: &Message, label: Label) -> Result<(), Failure> {
///         count(&sender(message), label, -1)
///     }
/// }
///
/// impl LearningByToken for Senders {
///     fn learn_token(&self, token: &[u8], _user: Option<&str>, label: Label) -> Result<(), Failure> {
///         count(token, label, 1)
///     }
///
///     fn forget_token(&self, token: &[u8], _user: Option<&str>, label: Label) -> Result<(), Failure> {
///         count(token, label, -1)
///     }
/// }
///
/// popgate_plugin::export!(Senders, learning_by_token);
///
/// let message = Message::from("From: bob@example.org\n\ntext\n");
/// assert_eq!(testing::examine(&Senders, &message), Ok(Verdict::Pass));
/// let token = message.learn_token().unwrap();
/// testing::learn_token(&Senders, &token, None, Label::Spam).unwrap();
/// assert_eq!(state::counts(Scope::Shared, ["from bob@example.org"]).unwrap(), [1]);
/// ```
pub trait LearningByToken: Learning {
    /// Learns that the message of this token has this label. `user` is for whom: the login name, or none for all.
    ///
    /// # Errors
    ///
    /// Why it can't; nothing is written then.
    fn learn_token(&self, token: &[u8], user: Option<&str>, label: Label) -> Result<(), Failure>;

    /// Undoes what [`Self::learn_token`], or [`Learning::learn`], did with the same message, user and label.
    ///
    /// # Errors
    ///
    /// Why it can't; nothing is written then.
    fn forget_token(&self, token: &[u8], user: Option<&str>, label: Label) -> Result<(), Failure>;
}
