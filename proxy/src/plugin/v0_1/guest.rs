//! What a guest of track 0.1 exports, called.

use wasmtime::component::Resource;
use wasmtime::{Result, Store};

use super::{export, learning, learning_by_token};
use crate::filter::{Failure, Label, Verdict};
use crate::plugin::host::Host;

/// An instance of a filter.
pub(in crate::plugin) struct Guest {
    pub(super) filter: export::Guest,
    pub(super) learning: Option<learning::Guest>,
    pub(super) by_token: Option<learning_by_token::Guest>,
}

impl Guest {
    /// Calls `configure`. The inner error is the guest's own.
    ///
    /// # Errors
    /// A trap or a limit.
    pub(in crate::plugin) async fn configure(
        &self,
        store: &mut Store<Host>,
        settings: &str,
    ) -> Result<Result<(), String>> {
        self.filter.call_configure(store, settings).await
    }

    /// Calls `filter`. The inner error is the guest's own.
    ///
    /// # Errors
    /// A trap or a limit.
    pub(in crate::plugin) async fn filter(&self, store: &mut Store<Host>) -> Result<Result<Verdict, Failure>> {
        store.data_mut().hands_out();
        let answer = self.filter.call_filter(store, Resource::new_own(0)).await?;
        Ok(match answer {
            Ok(export::Verdict::Pass) => Ok(Verdict::Pass),
            Ok(export::Verdict::Hold(reason)) => Ok(Verdict::Hold(reason)),
            Err(failure) => Err(failure.into()),
        })
    }

    /// Calls `learn`. The inner error is the guest's own.
    ///
    /// # Errors
    /// A trap or a limit.
    pub(in crate::plugin) async fn learn(&self, store: &mut Store<Host>, label: Label) -> Result<Result<(), Failure>> {
        let Some(learning) = &self.learning else { return Ok(Err(does_not_learn())) };
        let answer = learning.call_learn(store, Resource::new_own(0), label.into()).await?;
        Ok(answer.map_err(Failure::from))
    }

    /// Calls `forget`. The inner error is the guest's own.
    ///
    /// # Errors
    /// A trap or a limit.
    pub(in crate::plugin) async fn forget(&self, store: &mut Store<Host>, label: Label) -> Result<Result<(), Failure>> {
        let Some(learning) = &self.learning else { return Ok(Err(does_not_learn())) };
        let answer = learning.call_forget(store, Resource::new_own(0), label.into()).await?;
        Ok(answer.map_err(Failure::from))
    }

    /// Calls `learn-token`. The inner error is the guest's own.
    ///
    /// # Errors
    /// A trap or a limit.
    pub(in crate::plugin) async fn learn_token(
        &self,
        store: &mut Store<Host>,
        token: &[u8],
        user: Option<&str>,
        label: Label,
    ) -> Result<Result<(), Failure>> {
        let Some(by_token) = &self.by_token else { return Ok(Err(does_not_learn())) };
        let answer = by_token.call_learn_token(store, token, user, label.into()).await?;
        Ok(answer.map_err(Failure::from))
    }

    /// Calls `forget-token`. The inner error is the guest's own.
    ///
    /// # Errors
    /// A trap or a limit.
    pub(in crate::plugin) async fn forget_token(
        &self,
        store: &mut Store<Host>,
        token: &[u8],
        user: Option<&str>,
        label: Label,
    ) -> Result<Result<(), Failure>> {
        let Some(by_token) = &self.by_token else { return Ok(Err(does_not_learn())) };
        let answer = by_token.call_forget_token(store, token, user, label.into()).await?;
        Ok(answer.map_err(Failure::from))
    }
}

fn does_not_learn() -> Failure {
    Failure::Message("does not learn".into())
}

impl From<export::Failure> for Failure {
    fn from(failure: export::Failure) -> Self {
        match failure {
            export::Failure::Service(reason) => Self::Service(reason),
            export::Failure::Message(reason) => Self::Message(reason),
        }
    }
}

impl From<Label> for learning::Label {
    fn from(label: Label) -> Self {
        match label {
            Label::Spam => Self::Spam,
            Label::Ham => Self::Ham,
        }
    }
}
