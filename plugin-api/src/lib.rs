//! Write popgate filters in Rust.
//!
//! A filter is a type with two functions: [`Filter::configure`] makes it from its settings, [`Filter::filter`]
//! examines one message. The macro [`export!`] turns it into a WebAssembly component:
//!
//! ```
//! use popgate_plugin::{Failure, Filter, Message, Verdict};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     tag: String,
//! }
//!
//! struct Tag(Settings);
//!
//! impl Filter for Tag {
//!     type Settings = Settings;
//!
//!     fn configure(settings: Settings) -> Result<Self, String> {
//!         Ok(Self(settings))
//!     }
//!
//!     fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
//!         let subject = message.header("Subject").unwrap_or_default();
//!         message.set_header("Subject", &format!("{} {subject}", self.0.tag))?;
//!         Ok(Verdict::Pass)
//!     }
//! }
//!
//! popgate_plugin::export!(Tag);
//!
//! // The same code runs natively, so tests are ordinary tests.
//! let tag: Tag = popgate_plugin::testing::configure(r#"{"tag": "[list]"}"#).unwrap();
//! let message = Message::from("Subject: hello\n\ntext\n");
//! assert_eq!(tag.filter(&message), Ok(Verdict::Pass));
//! assert_eq!(message.edits()[0].to_string(), "set Subject: [list] hello");
//! ```
//!
//! # Code map
//!
//! | module | is |
//! | --- | --- |
//! | `filter` | the trait, verdicts and failures |
//! | `message`, `part`, `reader`, `rebuild` | what a filter reads and how it edits |
//! | [`state`], `learning` | what outlives a message; filters that learn |
//! | [`data`], [`log`], [`text`] | data files, the operator's log, text for people |
//! | `random` | random octets that are new for each message |
//! | [`service`] | services over TCP that a filter asks |
//! | `settings` | JSON into the author's type, faults with their key |
//! | `host` | the one seam: the WIT's functions, by the real host or by the one in [`testing`] |
//! | `component` | generated bindings and the macro's other half; only in WebAssembly |
//! | [`testing`] | a host in memory; only natively |

mod bodies;
pub mod data;
mod filter;
mod host;
mod learning;
pub mod log;
mod message;
mod part;
mod random;
mod reader;
mod rebuild;
pub mod service;
mod settings;
pub mod state;
pub mod text;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use filter::{Failure, Filter, NoSettings, Refused, TooLarge, Verdict};
pub use learning::{Label, Learning, LearningByToken};
pub use message::{Finding, Header, Message, Replacement};
pub use part::{Part, Splice};
pub use random::random;
pub use reader::Reader;

/// Makes a WebAssembly component of a type that implements [`Filter`]; with `export!(Type, learning)` of one that implements
/// [`Learning`], too, and with `export!(Type, learning_by_token)` of one that implements [`LearningByToken`] besides.
///
/// It stands once in a crate with `crate-type = ["cdylib", "rlib"]`. In a native build it only checks the
/// type, since the names that a component exports mean nothing to a native linker. A filter that learns from messages alone
/// exports `learning-by-token` like one that does not, and is never called there, since it leaves no tokens.
#[macro_export]
macro_rules! export {
    ($filter:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::__component!($filter, $crate::component::describe());

            $crate::component::exported::__export_popgate_filter_filter_0_1_0_cabi!(
                Component with_types_in $crate::component::exported
            );
        };

        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            fn is_filter<F: $crate::Filter>() {}
            is_filter::<$filter>();
        };
    };
    ($filter:ty, learning) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::__learning!($filter, |_, _, _, _| $crate::component::learns_by_no_token());
        };

        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            fn is_learning<F: $crate::Learning>() {}
            is_learning::<$filter>();
        };
    };
    ($filter:ty, learning_by_token) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::__learning!($filter, $crate::component::Slot::by_token);
        };

        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            fn is_learning_by_token<F: $crate::LearningByToken>() {}
            is_learning_by_token::<$filter>();
        };
    };
}

/// What all forms of [`export!`] have in common: the type, and what is done at first.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($filter:ty, $first:expr) => {
        ::std::thread_local! {
            static CONFIGURED: $crate::component::Slot<$filter> =
                const { $crate::component::Slot::new() };
        }

        struct Component;

        impl $crate::component::Guest for Component {
            fn configure(settings: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                $first;
                CONFIGURED.with(|slot| slot.configure(&settings))
            }

            fn filter(
                message: $crate::component::HostMessage,
            ) -> ::core::result::Result<$crate::component::HostVerdict, $crate::component::HostFailure> {
                CONFIGURED.with(|slot| slot.filter(message))
            }
        }
    };
}

/// What both forms of [`export!`] for filters that learn have in common; they differ in what becomes of a token.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! __learning {
    ($filter:ty, $by_token:expr) => {
        $crate::__component!($filter, ());

        impl $crate::component::LearningGuest for Component {
            fn learn(
                message: $crate::component::HostMessage,
                label: $crate::component::HostLabel,
            ) -> ::core::result::Result<(), $crate::component::HostFailure> {
                CONFIGURED.with(|slot| slot.learn(message, label))
            }

            fn forget(
                message: $crate::component::HostMessage,
                label: $crate::component::HostLabel,
            ) -> ::core::result::Result<(), $crate::component::HostFailure> {
                CONFIGURED.with(|slot| slot.forget(message, label))
            }
        }

        impl $crate::component::LearningByTokenGuest for Component {
            fn learn_token(
                token: ::std::vec::Vec<u8>,
                user: ::core::option::Option<::std::string::String>,
                label: $crate::component::HostLabel,
            ) -> ::core::result::Result<(), $crate::component::HostFailure> {
                CONFIGURED.with(|slot| ($by_token)(slot, $crate::component::Step::Learn, (token, user), label))
            }

            fn forget_token(
                token: ::std::vec::Vec<u8>,
                user: ::core::option::Option<::std::string::String>,
                label: $crate::component::HostLabel,
            ) -> ::core::result::Result<(), $crate::component::HostFailure> {
                CONFIGURED.with(|slot| ($by_token)(slot, $crate::component::Step::Forget, (token, user), label))
            }
        }

        $crate::component::bindings::export!(
            Component with_types_in $crate::component::bindings
        );
    };
}

/// Compiles the example of the guide.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Guide;
