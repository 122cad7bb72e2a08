//! The component side of the crate: the generated bindings and the other half of [`crate::export!`].
//!
//! Nothing in here is for authors; it is public since the macro expands in their crate.

use std::cell::RefCell;

use crate::{Failure, Filter, Label, Learning, LearningByToken, Message, Verdict, settings};

/// What the bindings generator makes of `wit/filter.wit`, of the largest world.
#[allow(unsafe_code, reason = "calls across the component boundary; generated, and checked by its authors")]
#[allow(missing_docs, unreachable_pub, reason = "generated")]
#[allow(clippy::all, clippy::unwrap_used, clippy::uninlined_format_args, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "token-learning-filter",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "popgate_plugin::component::bindings",
    });
}

/// The world of a filter that does not learn. Nothing in here is used but the section that describes it to the linker.
#[allow(unsafe_code, reason = "calls across the component boundary; generated, and checked by its authors")]
#[allow(dead_code, missing_docs, unused_imports, unused_macros, unreachable_pub, reason = "generated")]
#[allow(clippy::all, clippy::unwrap_used, clippy::uninlined_format_args, reason = "generated")]
mod plain {
    wit_bindgen::generate!({ world: "mail-filter", path: "wit" });
}

pub use bindings::exports::popgate::filter::filter as exported;
pub use bindings::exports::popgate::filter::learning as exported_learning;
pub use bindings::exports::popgate::filter::learning_by_token as exported_by_token;
pub use bindings::popgate::filter::mail::Message as HostMessage;
pub use exported::{Failure as HostFailure, Guest, Verdict as HostVerdict};
pub use exported_by_token::Guest as LearningByTokenGuest;
pub use exported_learning::{Guest as LearningGuest, Label as HostLabel};

/// Makes the linker look at the description of [`plain`].
pub fn describe() {
    plain::__link_custom_section_describing_imports();
}

/// The configured filter of this component.
#[derive(Debug)]
pub struct Slot<F>(RefCell<Option<F>>);

impl<F: Filter> Slot<F> {
    /// A filter that has not been configured.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a constant is needed, and Default gives none")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Configures the filter with settings in JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn configure(&self, json: &str) -> Result<(), String> {
        let filter = F::configure(settings::parse(json)?)?;
        self.0.replace(Some(filter));
        make_headroom();
        Ok(())
    }

    /// Has a message examined.
    ///
    /// # Errors
    ///
    /// The filter's failure.
    pub fn filter(&self, message: HostMessage) -> Result<HostVerdict, HostFailure> {
        match self.with(|filter| filter.filter(&Message { host: message }))? {
            Verdict::Pass => Ok(HostVerdict::Pass),
            Verdict::Hold(reason) => Ok(HostVerdict::Hold(reason)),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&F) -> Result<T, Failure>) -> Result<T, Failure> {
        let filter = self.0.borrow();
        let filter = filter.as_ref().ok_or_else(|| Failure::Service("the filter was not configured".to_owned()))?;
        work(filter)
    }
}

/// Room on the heap of a filter that is configured, in octets. Untouched, it takes no memory.
const HEADROOM: usize = 512 * 1024;

/// Has the memory grow now, once for all messages: growing it takes the system some microseconds, and what each message
/// has let it grow is taken back.
///
/// What a message needs lies side by side there, and not in the gaps that making the configuration has left everywhere: each page
/// of memory that is written to is a page to be made anew for the next message.
fn make_headroom() {
    let address = |octets: &Vec<u8>| std::hint::black_box(octets.as_ptr()).addr();
    let room = address(&Vec::with_capacity(HEADROOM));
    // An allocator takes the smallest gap that is large enough, so that there is none left of a size which it gets from the room.
    // All gaps are below, in less than what is there.
    let (mut size, mut left) = (HEADROOM / 2, room);
    while size >= size_of::<usize>() && left >= size {
        let gap = Vec::with_capacity(size);
        if address(&gap) >= room {
            size /= 2;
        } else {
            left -= size;
            std::mem::forget(gap);
        }
    }
}

impl<F: Learning> Slot<F> {
    /// Has a message learned.
    ///
    /// # Errors
    ///
    /// The filter's failure.
    pub fn learn(&self, message: HostMessage, label: HostLabel) -> Result<(), HostFailure> {
        Ok(self.with(|filter| filter.learn(&Message { host: message }, label.into()))?)
    }

    /// Has a message forgotten.
    ///
    /// # Errors
    ///
    /// The filter's failure.
    pub fn forget(&self, message: HostMessage, label: HostLabel) -> Result<(), HostFailure> {
        Ok(self.with(|filter| filter.forget(&Message { host: message }, label.into()))?)
    }
}

/// What is to be done with the message of a token.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Learn it.
    Learn,
    /// Forget it.
    Forget,
}

impl<F: LearningByToken> Slot<F> {
    /// Has the message of a token, for a user or for all, learned or forgotten.
    ///
    /// # Errors
    ///
    /// The filter's failure.
    pub fn by_token(
        &self,
        step: Step,
        (token, user): (Vec<u8>, Option<String>),
        label: HostLabel,
    ) -> Result<(), HostFailure> {
        Ok(self.with(|filter| match step {
            Step::Learn => filter.learn_token(&token, user.as_deref(), label.into()),
            Step::Forget => filter.forget_token(&token, user.as_deref(), label.into()),
        })?)
    }
}

/// The answer of a filter that learns from messages alone.
///
/// # Errors
///
/// That it does.
pub fn learns_by_no_token() -> Result<(), HostFailure> {
    Err(HostFailure::Message("learns from messages alone".to_owned()))
}

impl From<Failure> for HostFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Service(reason) => Self::Service(reason),
            Failure::Message(reason) => Self::Message(reason),
        }
    }
}

impl From<HostLabel> for Label {
    fn from(label: HostLabel) -> Self {
        match label {
            HostLabel::Spam => Self::Spam,
            HostLabel::Ham => Self::Ham,
        }
    }
}

/// The functions of [`crate::host`] by the real host.
pub(crate) mod host {
    use super::bindings::popgate::filter::{data, log as host_log, mail, state as host_state};
    use crate::host::Level;
    use crate::part::Info;
    use crate::state::{Entry, Problem, Scope};
    use crate::{Finding, Header};

    pub(crate) use super::bindings::popgate::filter::mail::{Message, Part, Replacement, Splice};
    pub(crate) use data::{names as data_names, read as data_read, size as data_size};

    pub(crate) fn findings(message: &Message) -> Vec<Finding> {
        let own = |finding: mail::Finding| {
            let mail::Finding { filter, symbol, points, value, text } = finding;
            Finding { filter, symbol, points, value, text }
        };
        message.findings().into_iter().map(own).collect()
    }

    pub(crate) fn header_fields(message: &Message, start: u32, count: u32) -> Vec<Header> {
        let own = |mail::Header { name, value }| Header { name, value };
        message.header_fields(start, count).into_iter().map(own).collect()
    }

    pub(crate) fn part_infos(message: &Message, start: u32, count: u32) -> Vec<Info> {
        let own = |info: mail::PartInfo| {
            let mail::PartInfo { media_type, parameters, file_name, disposition, .. } = info;
            let mail::PartInfo { parent, container, ambiguous, encoded_size, .. } = info;
            Info { media_type, parameters, file_name, disposition, parent, container, ambiguous, encoded_size }
        };
        message.part_infos(start, count).into_iter().map(own).collect()
    }

    pub(crate) fn log(level: Level, line: &str) {
        let level = match level {
            Level::Debug => host_log::Level::Debug,
            Level::Info => host_log::Level::Info,
            Level::Warn => host_log::Level::Warn,
        };
        host_log::write(level, line);
    }

    pub(crate) fn state_get(scope: Scope, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Problem> {
        host_state::get(scope.into(), keys).map_err(Problem::from)
    }

    pub(crate) fn state_counters(scope: Scope, keys: &[u64]) -> Result<Vec<i64>, Problem> {
        host_state::counters(scope.into(), keys).map_err(Problem::from)
    }

    pub(crate) fn state_put(scope: Scope, entries: &[Entry]) -> Result<(), Problem> {
        let entry = |entry: &Entry| {
            let Entry { key, value, lifetime } = entry.clone();
            host_state::Entry { key, value, lifetime }
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        host_state::put(scope.into(), &entries).map_err(Problem::from)
    }

    pub(crate) fn state_remove(scope: Scope, keys: &[Vec<u8>]) -> Result<(), Problem> {
        host_state::remove(scope.into(), keys).map_err(Problem::from)
    }

    pub(crate) fn state_add(scope: Scope, deltas: &[(Vec<u8>, i64)]) -> Result<(), Problem> {
        host_state::add(scope.into(), deltas).map_err(Problem::from)
    }

    impl From<Scope> for host_state::Scope {
        fn from(scope: Scope) -> Self {
            match scope {
                Scope::Shared => Self::Shared,
                Scope::User => Self::User,
            }
        }
    }

    impl From<host_state::Problem> for Problem {
        fn from(problem: host_state::Problem) -> Self {
            match problem {
                host_state::Problem::Refused(reason) => Self::Refused(reason),
                host_state::Problem::Service(reason) => Self::Service(reason),
            }
        }
    }
}
