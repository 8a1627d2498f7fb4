//! Processes: telling the bus that there are others, now and then, and signals to them.

use std::time::{Duration, Instant};

use tracing::info;

use super::{Answer, Ask, Notice, Refusal, Request, Service};
use crate::process::sys::Signal;
use crate::process::tree::{Process, Snapshot, some_names};
use crate::supervisor::listing::Listing;
use crate::supervisor::{SignalTarget, Supervisor};
use crate::text;

/// What has just been started is soon followed by more.
const SOON: Duration = Duration::from_millis(100);
/// The bus is told no more often than this that there are other processes,
const EVERY: Duration = Duration::from_secs(1);
/// nor more often than so many times what finding them takes: it then looks for them, which costs the more the more there are.
const REST: u32 = 100;

/// So much of a text that somebody sends is repeated.
const MOST_CHARACTERS: usize = 200;

/// When to tell the bus that there are other processes.
#[derive(Debug)]
pub(super) struct Population {
    known: (usize, usize, u64),
    /// None while what was told is so.
    due: Option<Instant>,
    told: Instant,
    /// How long finding them took.
    cost: Duration,
}

impl Default for Population {
    fn default() -> Self {
        Population { known: (0, 0, 0), due: None, told: Instant::now(), cost: Duration::ZERO }
    }
}

impl Population {
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is to be told now that it has changed.
    fn is_news(&mut self, population: (usize, usize, u64), now: Instant) -> bool {
        if population != self.known {
            self.known = population;
            self.due.get_or_insert((self.told + EVERY.max(self.cost * REST)).max(now + SOON));
        }
        let news = self.due.take_if(|due| *due <= now).is_some();
        if news {
            self.told = now;
        }
        news
    }
}

impl Service {
    pub(super) fn tell_of_processes(&mut self, now: Instant) {
        if self.population.is_news(self.supervisor.population(), now) {
            self.tell(Notice::Processes);
        }
    }

    pub(super) fn arrange(&mut self, snapshot: &Snapshot, took: Duration) -> Listing {
        self.population.cost = took;
        self.supervisor.arrange(snapshot)
    }
}

/// Answers what can be answered at any time: who the processes are, and signals to them. Gives back other requests.
pub(super) fn answer(supervisor: &mut Supervisor, request: Request) -> Option<Request> {
    let answer = match &request.ask {
        Ask::Arrange(snapshot, _) => Ok(Answer::Processes(supervisor.arrange(snapshot))),
        Ask::Signal(whom, number) => signal(supervisor, whom, *number).map(|()| Answer::Done),
        Ask::Kill(process, number) => kill(process, *number).map(|()| Answer::Done),
        _ => return Some(request),
    };
    // Who asked may have gone.
    let _ = request.answer.try_send(answer);
    None
}

/// Sends a signal to those that a caller means.
pub(super) fn signal(supervisor: &mut Supervisor, whom: &str, signal: i32) -> Result<(), Refusal> {
    let signal = signal_of(signal)?;
    let parsed = match whom {
        "all" => SignalTarget::All,
        "daemonic" => SignalTarget::Daemonic,
        "non-daemonic" => SignalTarget::NonDaemonic,
        _ => match whom.strip_prefix("actor:") {
            Some(name) => {
                let workflow = supervisor.workflow();
                let at = workflow.actors.iter().position(|actor| actor.display_name() == name);
                let none = || Refusal::InvalidArguments(format!("there is no actor {:?}", shortened(name)));
                SignalTarget::Actor(at.ok_or_else(none)?.into())
            }
            None => {
                let why =
                    format!("{:?} is nobody: it must be all, daemonic, non-daemonic, or actor:ID", shortened(whom));
                return Err(Refusal::InvalidArguments(why));
            }
        },
    };
    let told = supervisor.signal(parsed, signal);
    match told.as_slice() {
        [] => info!("{signal} for {}: there is no such process", shortened(whom)),
        told => info!("{signal} for {} was sent to {}", shortened(whom), some_names(told)),
    }
    Ok(())
}

/// Sends a signal to one process, if it is still the same.
pub(super) fn kill(process: &Process, signal: i32) -> Result<(), Refusal> {
    let signal = signal_of(signal)?;
    if !process.signal(signal) {
        return Err(Refusal::NoSuchProcess(format!("process {} has ended", process.pid)));
    }
    info!("{signal} was sent to {}", some_names(std::slice::from_ref(process)));
    Ok(())
}

/// What somebody has sent, in words that go into a message.
pub(super) fn shortened(text: &str) -> String {
    text::cut(text, MOST_CHARACTERS).into_owned()
}

fn signal_of(number: i32) -> Result<Signal, Refusal> {
    Signal::try_from(number)
        .map_err(|_| Refusal::InvalidArguments(format!("{number} is not the number of a signal: they are 1 to 31")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_told_once_a_second_at_most_and_less_often_where_looking_takes_long() {
        let start = Instant::now();
        let mut population = Population { told: start, ..Population::default() };
        assert!(!population.is_news((0, 0, 0), start));
        assert_eq!(population.next_time(), None);
        assert!(!population.is_news((1, 0, 0), start));
        let due = population.next_time().expect("something has changed");
        assert_eq!(due, start + EVERY);
        assert!(!population.is_news((2, 0, 1), start + SOON));
        assert!(population.is_news((2, 0, 1), due));
        assert_eq!(population.next_time(), None);
        population.cost = Duration::from_millis(50);
        assert!(!population.is_news((3, 0, 1), due));
        assert_eq!(population.next_time(), Some(due + Duration::from_secs(5)));
        // After a long time without, soon.
        population.due = None;
        let late = due + Duration::from_secs(60);
        assert!(!population.is_news((4, 0, 1), late));
        assert_eq!(population.next_time(), Some(late + SOON));
    }
}
