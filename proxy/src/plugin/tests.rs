//! Guests, good and hostile, as the catalogue loads them and the chain meets them.

mod bundled;
mod commands;
mod guest;
mod hostile;
mod inspect;
mod loading;
mod released;
mod remembering;
mod snapshots;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use super::{Bounds, Catalogue, Compiler, Configuring, LoadError, Loaded};
use crate::filter::{Decision, Facts, Failure, FetchCommand, Filter, Input, Verdict};
use crate::message::Message;

const MAIL: &str = "From: a@example.org\r\nSubject: one\r\nContent-Type: text/plain\r\n\r\ntext\r\n";

/// A catalogue with a state of its own, which is gone with the test.
struct Bench {
    catalogue: Catalogue,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { catalogue: Catalogue::new(&folder.path().join("state"), Compiler::Here).unwrap(), folder }
    }

    /// A filter as the configuration describes it: the lines of its section.
    fn configured(&self, section: &str) -> popgate_config::Filter {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"u\"\n\
             [[upstream]]\nname = \"u\"\naddress = \"127.0.0.1:110\"\n[[filter]]\n{section}\n"
        );
        let config = popgate_config::parse(&text, &self.folder.path().join("popgate.toml"));
        config.unwrap_or_else(|error| panic!("{error}")).filters.remove(0)
    }

    async fn load(&self, section: &str) -> Result<Arc<dyn Filter>, LoadError> {
        self.loaded(section).await.map(|loaded| loaded.filter)
    }

    /// The same with what is known about it.
    async fn loaded(&self, section: &str) -> Result<Loaded, LoadError> {
        self.catalogue.load(&self.configured(section), &Bounds::default()).await
    }

    fn write(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), octets).unwrap();
    }

    /// Loads a guest of [`guest`] with narrow limits, which further lines may change.
    async fn guest(&self, functions: &str, section: &str) -> Result<Arc<dyn Filter>, LoadError> {
        self.write("guest.wasm", guest::component(functions));
        self.load(&format!("plugin = \"guest.wasm\"\nmemory = \"16MiB\"\n{section}")).await
    }

    /// What a guest makes of [`MAIL`].
    async fn run(&self, functions: &str, section: &str) -> Result<Decision, Failure> {
        let filter = self.guest(functions, section).await.unwrap_or_else(|error| panic!("{error}"));
        examine(&*filter, MAIL).await
    }
}

async fn examine(filter: &dyn Filter, mail: impl Into<Vec<u8>>) -> Result<Decision, Failure> {
    let facts = Facts {
        user: Some("alice".into()),
        client: [127, 0, 0, 1].into(),
        listener: "l".into(),
        upstream: "u".into(),
        tls: true,
        command: FetchCommand::Retr,
        uidl: None,
        sdps_sender: Some("sender@example.org".into()),
        sdps_recipient: None,
        examined_before: false,
    };
    let message = Message::from_bytes(mail.into());
    filter.examine(Input { message, facts: Arc::new(facts), findings: Arc::new([]) }).await
}

fn reason(result: Result<Decision, Failure>) -> String {
    match result {
        Err(Failure::Message(reason)) => reason,
        other => panic!("not the message's failure: {other:?}"),
    }
}

fn exists(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
