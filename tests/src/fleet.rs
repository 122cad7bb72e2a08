//! Many short conversations through one popgate, some at a time, each with a server of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::connection::Connection;
use crate::popgate::Popgate;
use crate::upstream::Upstream;

/// Whether a filter looks at the mail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mail {
    /// No filter wants it: it streams through.
    Passed,
    /// A filter reads it and changes nothing.
    Filtered,
}

/// One popgate with listeners and servers in pairs.
#[derive(Debug)]
pub struct Fleet {
    popgate: Popgate,
    pairs: Vec<(Mail, String, Upstream)>,
}

/// A listener, and the server behind it that the test plays.
#[derive(Debug)]
pub struct Place<'a> {
    /// What becomes of the mail there.
    pub mail: Mail,
    /// The listener's name.
    pub name: &'a str,
    /// The server.
    pub server: &'a Upstream,
    popgate: &'a Popgate,
}

impl Place<'_> {
    /// A client.
    #[must_use]
    pub fn connect(&self) -> Connection {
        self.popgate.connect(self.name)
    }
}

impl Fleet {
    /// So many pairs for each kind of mail, with these `[limits]`.
    #[must_use]
    pub fn start(pairs: usize, limits: &str) -> Self {
        let named = |mail: Mail, at: usize| (mail, format!("{mail:?}{at}").to_lowercase(), Upstream::listen());
        let kinds = [Mail::Passed, Mail::Filtered];
        let pairs: Vec<_> = kinds.iter().flat_map(|&mail| (0..pairs).map(move |at| named(mail, at))).collect();
        let mut config = format!("[limits]\nsessions_per_address = 1000\n{limits}\n");
        for (_, name, server) in &pairs {
            config += &format!(
                "[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nupstream = \"{name}\"\n\
                 [[upstream]]\nname = \"{name}\"\naddress = \"{}\"\n",
                server.address()
            );
        }
        let filtered = pairs.iter().filter(|pair| pair.0 == Mail::Filtered).map(|pair| format!("{:?}", pair.1));
        config += &format!(
            "[[filter]]\nname = \"reader\"\nplugin = \"virus\"\nonly = {{ listener = [{}] }}\n\
             [filter.config]\nambiguous = \"pass\"\n",
            filtered.collect::<Vec<_>>().join(", ")
        );
        Self { popgate: Popgate::start(&config), pairs }
    }

    /// The proxy.
    #[must_use]
    pub fn popgate(&self) -> &Popgate {
        &self.popgate
    }

    /// Plays every case for both kinds of mail, as many at a time as there are pairs.
    pub fn play<C: Sync>(&self, cases: impl Fn(Mail) -> Vec<C>, play: impl Fn(&Place<'_>, &C) + Sync) {
        let (passed, filtered) = (cases(Mail::Passed), cases(Mail::Filtered));
        let next = [AtomicUsize::new(0), AtomicUsize::new(0)];
        std::thread::scope(|scope| {
            for (mail, name, server) in &self.pairs {
                let (cases, next) = match mail {
                    Mail::Passed => (&passed, &next[0]),
                    Mail::Filtered => (&filtered, &next[1]),
                };
                let place = Place { mail: *mail, name, server, popgate: &self.popgate };
                let play = &play;
                scope.spawn(move || {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        play(&place, case);
                    }
                });
            }
        });
    }
}
