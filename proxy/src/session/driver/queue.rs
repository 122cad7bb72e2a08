//! What waits to be done: effects in the order of the client's commands.

use super::{Break, Driver};
use crate::pop3::{Next, Secret};
use crate::session::{Effect, Event, Job};

impl Driver {
    /// Takes the client's lines in as far as the session wants them.
    pub(super) fn take_lines(&mut self) -> Result<(), Break> {
        while self.session.takes_line() {
            if self.session.is_unreadable(self.client.received()) {
                return Err(Break::Layer);
            }
            let line = match self.client.next_line(|start| self.session.line_limit(start)) {
                Next::More => break,
                Next::Line(line) => Ok(line),
                Next::Fault(fault) => Err(fault),
                Next::Flood => {
                    self.answer_older();
                    return Err(Break::Flood);
                }
            };
            self.active = true;
            let effects = self.session.on(Event::Line(line));
            self.push(effects, false)?;
        }
        self.client.leave_input();
        Ok(())
    }

    /// Sends what is for the upstream, and puts the rest in line: in front for the answers to a job, whose command is older than
    /// all that waits.
    pub(super) fn push(&mut self, effects: Vec<Effect>, front: bool) -> Result<(), Break> {
        let mut sent = Ok(());
        let mut rest = effects;
        rest.retain(|effect| {
            match effect {
                Effect::Upstream(line) if sent.is_ok() => sent = self.send(line),
                // From now on, not from when the job is done: commands may be sent in between.
                Effect::Job(job) if job.reads_body() => {
                    if let Some(upstream) = &mut self.upstream {
                        upstream.expect_body();
                    }
                }
                _ => {}
            }
            !matches!(effect, Effect::Upstream(_))
        });
        let added = rest.len();
        if self.queue.is_empty() {
            // Where it is the only one, it is the queue.
            self.queue = rest.into();
        } else {
            self.queue.extend(rest);
        }
        if front {
            self.queue.rotate_right(added);
        }
        if sent.is_err() {
            self.answer_older();
        }
        sent
    }

    fn send(&mut self, line: &Secret) -> Result<(), Break> {
        match &mut self.upstream {
            Some(upstream) => Ok(upstream.command(line.expose())?),
            None => Err(Break::OutOfStep("there is no upstream")),
        }
    }

    /// The replies that were complete before a fault leave before the session does.
    fn answer_older(&mut self) {
        while let Some(effect) = self.queue.pop_front() {
            match effect {
                Effect::Client(bytes) => self.client.queue(&bytes),
                Effect::Job(job) => {
                    // Its status line has left.
                    self.mid_reply |= match job {
                        Job::List(listing) => listing.is_shown(),
                        _ => false,
                    };
                    return;
                }
                _ => return,
            }
        }
    }
}
