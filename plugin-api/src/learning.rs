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
