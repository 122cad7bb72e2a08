//! The component side of the crate: the generated bindings and the other half of [`crate::export!`].
//!
//! Nothing in here is for authors; it is public since the macro expands in their crate.

use std::cell::RefCell;

use crate::{Failure, Filter, Message, Verdict, settings};

/// What the bindings generator makes of `wit/filter.wit`.
#[allow(unsafe_code, reason = "calls across the component boundary; generated, and checked by its authors")]
#[allow(missing_docs, unreachable_pub, reason = "generated")]
#[allow(clippy::all, clippy::unwrap_used, clippy::uninlined_format_args, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "mail-filter",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "popgate_plugin::component::bindings",
    });
}

pub use bindings::exports::popgate::filter::filter::{
    Failure as HostFailure, Guest, Message as HostMessage, Verdict as HostVerdict,
};

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
        Ok(())
    }

    /// Has a message examined.
    ///
    /// # Errors
    ///
    /// The filter's failure.
    pub fn filter(&self, message: HostMessage) -> Result<HostVerdict, HostFailure> {
        let filter = self.0.borrow();
        let filter = filter.as_ref().ok_or_else(|| HostFailure::Service("the filter was not configured".to_owned()))?;
        match filter.filter(&Message { host: message }) {
            Ok(Verdict::Pass) => Ok(HostVerdict::Pass),
            Ok(Verdict::Hold(reason)) => Ok(HostVerdict::Hold(reason)),
            Err(Failure::Service(reason)) => Err(HostFailure::Service(reason)),
            Err(Failure::Message(reason)) => Err(HostFailure::Message(reason)),
        }
    }
}

/// The functions of [`crate::host`] by the real host.
pub(crate) mod host {
    use super::bindings::popgate::filter::{data, log as host_log, mail};
    use crate::host::Level;
    use crate::{Finding, Header};

    pub(crate) use super::bindings::popgate::filter::mail::{Message, Part, Replacement};
    pub(crate) use data::{read as data_read, size as data_size};

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

    pub(crate) fn log(level: Level, line: &str) {
        let level = match level {
            Level::Debug => host_log::Level::Debug,
            Level::Info => host_log::Level::Info,
            Level::Warn => host_log::Level::Warn,
        };
        host_log::write(level, line);
    }
}
