//! The session between a client and an upstream that say anything at all, in any interleaving.
//!
//! The driver is played here: it keeps the queue of effects as the real one does, and answers each job that comes to
//! its front with one of the events that the job may have. What must hold stands in [`rules`].

mod client;
mod rules;
mod upstream;

use std::collections::VecDeque;

use arbitrary::Unstructured;
use popgate::session::{Effect, Event, Job, Session};

use crate::policy::policy;
use client::Said;
use rules::Rules;

/// The most effects that may follow when nobody says anything new.
const ENDLESS: usize = 2000;

/// A session never panics, answers each line once and in order, sends upstream nothing that no line asked for, and ends when
/// it says so.
///
/// Input: an octet for the policy, then choices: what the client says, and how each job ends.
pub fn session(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    // What has run out of octets chooses 0, so there is always a choice.
    let mut play = Play::new(choices.arbitrary().unwrap_or_default());
    play.effects(Event::Start, 0);
    while !choices.is_empty() && !play.ended {
        let client_next = choices.arbitrary().unwrap_or(false);
        if client_next && play.session.takes_line() {
            play.line(client::line(&mut choices));
        } else {
            play.next(&mut choices);
        }
    }
    let mut nothing = Unstructured::new(&[]);
    for _ in 0..ENDLESS {
        if play.ended || play.queue.is_empty() {
            return play.at_rest();
        }
        play.next(&mut nothing);
    }
    panic!("it does not come to rest");
}

/// An effect, and the line that it is due to; 0 is the beginning.
struct Due {
    effect: Effect,
    line: usize,
}

struct Play {
    session: Session,
    queue: VecDeque<Due>,
    rules: Rules,
    ended: bool,
}

impl Play {
    fn new(bits: u8) -> Self {
        let policy = policy(bits);
        let rules = Rules::new(policy.clone());
        Self { session: Session::new(policy), queue: VecDeque::new(), rules, ended: false }
    }

    /// The client says something.
    fn line(&mut self, said: Said) {
        let line = self.rules.said(&said);
        self.effects(Event::Line(said.line), line);
    }

    /// Hands an event over that is due to this line, and takes the effects in.
    fn effects(&mut self, event: Event, line: usize) {
        let answer = !matches!(event, Event::Start | Event::Line(_));
        self.rules.happens(&event);
        let mut rest = VecDeque::new();
        for effect in self.session.on(event) {
            match effect {
                Effect::Upstream(sent) => {
                    let before = if answer { 0 } else { self.jobs() };
                    self.rules.sent(sent.expose(), line, before);
                }
                effect => {
                    self.rules.due(&effect);
                    rest.push_back(Due { effect, line });
                }
            }
        }
        if rest.iter().any(|due| matches!(due.effect, Effect::Close | Effect::Broken(_))) {
            assert!(!self.session.takes_line(), "it takes lines although it ends");
        }
        // As in the driver: what answers a job is older than all that waits.
        if answer {
            rest.append(&mut self.queue);
            self.queue = rest;
        } else {
            self.queue.append(&mut rest);
        }
    }

    /// Jobs that wait.
    fn jobs(&self) -> usize {
        self.queue.iter().filter(|due| matches!(due.effect, Effect::Job(_))).count()
    }

    /// Does what is next in the queue.
    fn next(&mut self, choices: &mut Unstructured<'_>) {
        let Some(Due { effect, line }) = self.queue.pop_front() else { return self.at_rest() };
        match effect {
            Effect::Client(octets) => self.rules.answered(&octets, line),
            Effect::Job(job) => {
                self.rules.begins(&job, line);
                if let Some(event) = upstream::outcome(job, &mut self.session, &mut self.rules, line, choices) {
                    self.effects(event, line);
                }
            }
            Effect::Close => {
                self.rules.closes();
                self.ended = true;
            }
            Effect::Broken(_) => self.ended = true,
            Effect::Warn(_) | Effect::Forget(_) => {}
            Effect::Upstream(_) => panic!("sent already"),
        }
    }

    /// Nothing waits: either it is over, or everything has its answer and the client may go on.
    fn at_rest(&self) {
        if !self.ended {
            assert!(self.session.takes_line(), "it waits for nothing and takes no line");
            self.rules.rests();
        }
    }
}

/// What a job waits for in vain, where the session asks for something that is not there.
fn reads_upstream(job: &Job) -> bool {
    matches!(job, Job::Reply(_)) || job.reads_body()
}
