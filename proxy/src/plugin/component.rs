//! One filter: a linked component, its settings and limits. Each message gets a fresh instance.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use wasmtime::Store;

use super::failure;
use super::host::Host;
use super::remember;
use super::runner::Runner;
use super::text;
use super::v0_1::{Guest, Linked};
use super::verdicts::Readings;
use crate::filter::{Decision, Failure, Filter, Input, Label, Learned, Lesson, Verdict};
use crate::message::Message;
use crate::store::{self, StateError};

/// How long a lesson waits for those before it: people wait for it, and no mail does.
const TURN: Duration = Duration::from_mins(10);

/// How often a lesson begins anew since somebody else has just learned the same message.
const RACES: usize = 5;

/// A filter that is ready to examine messages.
pub(super) struct ComponentFilter {
    linked: Linked,
    runner: Runner,
    configured: Configured,
}

/// When a filter gets its settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Configured {
    /// Beforehand: a fresh instance has them.
    Once,
    /// For each message.
    EachTime,
}

/// Why a filter is not fit to be loaded.
pub(super) enum Misfit {
    /// It refuses its settings, for this reason.
    Settings(String),
    /// It fails, in this way.
    Failure(String),
}

impl ComponentFilter {
    pub(super) fn new(linked: Linked, runner: Runner, configured: Configured) -> Self {
        Self { linked, runner, configured }
    }

    /// Configures an instance once, to see that it can be done.
    ///
    /// # Errors
    /// It can't.
    pub(super) async fn try_configure(&self) -> Result<(), Misfit> {
        let _place = self.runner.place().await.map_err(|failure| Misfit::Failure(failure.to_string()))?;
        let mut store = self.runner.store(Host::new(&self.runner.profile, None));
        let answer = self
            .runner
            .run(&mut store, async |store| self.configured(store).await.map(|configured| configured.map(drop)))
            .await;
        let host = store.data();
        host.log.finish();
        match answer {
            Ok(configured) => configured.map_err(Misfit::Settings),
            Err(ended) => Err(Misfit::Failure(ended.failure(host, &self.runner.profile).to_string())),
        }
    }

    async fn examined(&self, input: Input) -> Result<Decision, Failure> {
        match &self.runner.known {
            None => self.judged(input).await.map(|(decision, _)| decision),
            Some(known) => {
                known.or(&self.runner, self.remembers(), input, async |input| self.judged(input).await).await
            }
        }
    }

    async fn judged(&self, input: Input) -> Result<(Decision, Readings), Failure> {
        let _place = self.runner.place().await?;
        let (message, again) = (input.message.clone(), input.facts.examined_before);
        let mut store = self.runner.store(Host::new(&self.runner.profile, Some(input)));
        let answer = self
            .runner
            .run(&mut store, async |store| match self.configured(store).await? {
                Ok(guest) => guest.filter(store).await,
                Err(reason) => Ok(Err(refused_later(&reason))),
            })
            .await;
        let host = store.data();
        host.log.finish();
        let verdict = match answer {
            Ok(Ok(verdict)) => printable(verdict),
            Ok(Err(reported)) => return Err(failure::reported(reported, host)),
            Err(ended) => return Err(ended.failure(host, &self.runner.profile)),
        };
        let Host { mut record, remembered, readings, .. } = store.into_data();
        let learn_token = record.take_learn_token().filter(|_| self.learns_by_token());
        // What it has noted counts again when the message comes again.
        let noted = remembered.has_written();
        let readings = if noted { Readings::default() } else { readings };
        let busy = record.was_busy();
        let (edits, findings) = record.close(&verdict, &message).map_err(|unfit| failure::unfit(&unfit, busy))?;
        // What it writes for a message counts once.
        if !again {
            remembered.commit(None).await.map_err(|error| remember::failure(&error))?;
        }
        Ok((Decision { verdict, edits, findings, learn_token, noted }, readings))
    }

    /// Learns, or forgets. Whoever does the same at the same time is waited for.
    async fn learned(&self, lesson: Lesson) -> Result<Learned, Failure> {
        for _ in 0..RACES {
            if let Some(learned) = self.learned_once(&lesson).await? {
                return Ok(learned);
            }
        }
        Err(Failure::Service("others learn the same message at the same time".into()))
    }

    /// The same once; none if somebody else was in the way.
    async fn learned_once(&self, lesson: &Lesson) -> Result<Option<Learned>, Failure> {
        // Of a message that is gone the guest gets no handle, so that it does not see that this one is empty.
        let message = lesson.message.clone().unwrap_or_else(|| Message::from_bytes(Vec::new()));
        let input = || Input { message: message.clone(), facts: lesson.facts.clone(), findings: [].into() };
        let place = self.runner.place_within(TURN).await?;
        let host = Host::new(&self.runner.profile, Some(input()));
        let Some((state, owner)) = host.remembered.learner() else {
            return Err(Failure::Service("can't learn: the configuration does not say `grant = { kv = true }`".into()));
        };
        let told = |error: &StateError| remember::failure(error);
        let before = state.learned(&owner, &lesson.id).await.map_err(|error| told(&error))?;
        let now = lesson.label.map(stored);
        if before == now {
            return Ok(Some(Learned::Known));
        }
        let token = match &lesson.message {
            Some(_) => None,
            None if !self.learns_by_token() => return Ok(Some(Learned::NoToken)),
            None => match state.learn_token(&owner, &lesson.id).await.map_err(|error| told(&error))? {
                Some(token) => Some(token),
                None => return Ok(Some(Learned::NoToken)),
            },
        };
        let token = token.as_deref().map(|token| (token, lesson.facts.user.as_deref()));
        let mut host = host;
        // Each step has an instance of its own; what they write goes the same way.
        for (step, label) in [(Step::Forget, before.map(known)), (Step::Learn, lesson.label)] {
            let Some(label) = label else { continue };
            let remembered = self.taught(host, step, label, token).await?;
            host = Host::new(&self.runner.profile, Some(input()));
            host.remembered = remembered;
        }
        // Others may work while this one waits for the database, which then commits for all of them.
        drop(place);
        let note = store::Lesson { owner, message: lesson.id, before, now };
        match host.remembered.commit(Some(note)).await {
            Ok(()) => Ok(Some(Learned::New)),
            Err(StateError::Raced) => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    /// One step in a fresh instance: by the message, or by a token for a user. Gives what it has written, together with what was
    /// written before.
    async fn taught(
        &self,
        host: Host,
        step: Step,
        label: Label,
        token: Option<(&[u8], Option<&str>)>,
    ) -> Result<remember::Memory, Failure> {
        let mut store = self.runner.store(host);
        let answer = self
            .runner
            .run(&mut store, async |store| match self.configured(store).await? {
                Ok(guest) => match (step, token) {
                    (Step::Learn, None) => guest.learn(store, label).await,
                    (Step::Forget, None) => guest.forget(store, label).await,
                    (Step::Learn, Some((token, user))) => guest.learn_token(store, token, user, label).await,
                    (Step::Forget, Some((token, user))) => guest.forget_token(store, token, user, label).await,
                },
                Err(reason) => Ok(Err(refused_later(&reason))),
            })
            .await;
        let host = store.data();
        host.log.finish();
        match answer {
            Ok(Ok(())) => Ok(store.into_data().remembered),
            Ok(Err(reported)) => Err(failure::reported(reported, host)),
            Err(ended) => Err(ended.failure(host, &self.runner.profile)),
        }
    }

    /// A fresh instance that is configured, or the reason why it refuses to be.
    ///
    /// The one place that knows how an instance gets its settings.
    async fn configured(&self, store: &mut Store<Host>) -> wasmtime::Result<Result<Guest, String>> {
        let guest = self.linked.instantiate(store).await?;
        if self.configured == Configured::Once {
            return Ok(Ok(guest));
        }
        Ok(guest.configure(store, &self.runner.settings).await?.map(|()| guest))
    }
}

impl Filter for ComponentFilter {
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(self.examined(input))
    }

    fn fingerprint(&self) -> [u8; 32] {
        self.runner.fingerprint
    }

    fn remembers(&self) -> bool {
        self.linked.remembers() && self.runner.profile.state.is_some()
    }

    fn learns(&self) -> bool {
        self.linked.learns()
    }

    fn learns_by_token(&self) -> bool {
        self.linked.learns_by_token() && self.runner.profile.state.is_some()
    }

    fn learn(&self, lesson: Lesson) -> Pin<Box<dyn Future<Output = Result<Learned, Failure>> + Send + '_>> {
        Box::pin(self.learned(lesson))
    }
}

/// What a filter is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Forget,
    Learn,
}

/// The label as the store has it.
fn stored(label: Label) -> store::Label {
    match label {
        Label::Spam => store::Label::Spam,
        Label::Ham => store::Label::Ham,
    }
}

/// The label that the store has.
fn known(label: store::Label) -> Label {
    match label {
        store::Label::Spam => Label::Spam,
        store::Label::Ham => Label::Ham,
    }
}

/// A filter that took its settings when it was loaded does not take them now: a data file, the clock.
fn refused_later(reason: &str) -> Failure {
    Failure::Service(format!("refuses its settings: {reason}"))
}

/// The verdict with a reason that is fit for people.
pub(super) fn printable(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Pass => Verdict::Pass,
        Verdict::Hold(reason) => match text::printable(&reason, failure::REASON_MAX) {
            reason if reason.is_empty() => Verdict::Hold("no reason given".into()),
            reason => Verdict::Hold(reason),
        },
    }
}
