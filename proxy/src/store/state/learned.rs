//! Which messages filters have learned, so that none is learned twice.

use sqlx::{AnyConnection, Row};

use super::database::{Aborted, Work};
use super::{Owner, StateError};

/// What people say that a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Label {
    /// Mail that nobody wants.
    Spam,
    /// Mail that somebody wants.
    Ham,
}

/// A message that a filter has learned, or forgotten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lesson {
    /// Who has learned it, and for whom.
    pub owner: Owner,
    /// The hash of the message.
    pub message: [u8; 32],
    /// How it was learned before.
    pub before: Option<Label>,
    /// How it is learned now.
    pub now: Option<Label>,
}

impl Label {
    fn number(self) -> i64 {
        match self {
            Self::Spam => 1,
            Self::Ham => 2,
        }
    }

    fn of(number: i64) -> Option<Self> {
        [Self::Spam, Self::Ham].into_iter().find(|label| label.number() == number)
    }
}

/// Looks up how a message was learned.
pub(super) struct LookUp<'a> {
    pub(super) owner: &'a Owner,
    pub(super) message: &'a [u8; 32],
}

impl Work for LookUp<'_> {
    type Done = Option<Label>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Option<Label>, Aborted> {
        match super::sql::scope(connection, self.owner).await? {
            Some(row) => Ok(label_in(connection, row.id, self.message).await?),
            None => Ok(None),
        }
    }
}

async fn label_in(
    connection: &mut AnyConnection,
    scope: i64,
    message: &[u8; 32],
) -> Result<Option<Label>, sqlx::Error> {
    let row = sqlx::query("SELECT label FROM state_learned WHERE scope = $1 AND message = $2")
        .bind(scope)
        .bind(message.to_vec())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.and_then(Label::of))
}

/// Notes a lesson, in the transaction that has locked the scope.
pub(super) async fn note(connection: &mut AnyConnection, scope: i64, lesson: &Lesson, now: i64) -> Result<(), Aborted> {
    if label_in(connection, scope, &lesson.message).await? != lesson.before {
        return Err(StateError::Raced.into());
    }
    let query = match lesson.now {
        None => sqlx::query("DELETE FROM state_learned WHERE scope = $1 AND message = $2")
            .bind(scope)
            .bind(lesson.message.to_vec()),
        Some(label) => sqlx::query(
            "INSERT INTO state_learned (scope, message, label, learned) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (scope, message) DO UPDATE SET label = excluded.label, learned = excluded.learned",
        )
        .bind(scope)
        .bind(lesson.message.to_vec())
        .bind(label.number())
        .bind(now),
    };
    query.execute(connection).await?;
    Ok(())
}
