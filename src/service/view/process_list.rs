//! When to tell the bus that processes have started or ended.

use std::time::{Duration, Instant};

use crate::process::tree::Snapshot;
use crate::service::{Event, Service};
use crate::supervisor::listing::Listing;

/// How long to wait for more after the first change.
const SOON: Duration = Duration::from_millis(100);
/// The shortest time between two notifications,
const EVERY: Duration = Duration::from_secs(1);
/// and the same as a multiple of the time that listing the processes takes: the bus lists them after each notification.
const REST: u32 = 100;

/// The number of processes, and when the bus is to be told that it has changed.
#[derive(Debug)]
pub(in crate::service) struct Population {
    known: (usize, usize, u64),
    /// None while nothing has changed.
    due: Option<Instant>,
    told: Instant,
    /// How long listing them took.
    cost: Duration,
}

impl Default for Population {
    fn default() -> Self {
        Population { known: (0, 0, 0), due: None, told: Instant::now(), cost: Duration::ZERO }
    }
}

impl Population {
    pub(in crate::service) fn next_time(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the bus is to be told now.
    fn is_due(&mut self, population: (usize, usize, u64), now: Instant) -> bool {
        if population != self.known {
            self.known = population;
            self.due.get_or_insert((self.told + EVERY.max(self.cost * REST)).max(now + SOON));
        }
        let is_due = self.due.take_if(|due| *due <= now).is_some();
        if is_due {
            self.told = now;
        }
        is_due
    }
}

impl Service {
    pub(in crate::service) fn tell_of_processes(&mut self, now: Instant) {
        if self.population.is_due(self.supervisor.population(), now) {
            self.tell(Event::Processes);
        }
    }

    pub(in crate::service) fn list_processes(&mut self, snapshot: &Snapshot, took: Duration) -> Listing {
        self.population.cost = took;
        self.supervisor.arrange(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_told_once_a_second_at_most_and_less_often_where_looking_takes_long() {
        let start = Instant::now();
        let mut population = Population { told: start, ..Population::default() };
        assert!(!population.is_due((0, 0, 0), start));
        assert_eq!(population.next_time(), None);
        assert!(!population.is_due((1, 0, 0), start));
        let due = population.next_time().expect("something has changed");
        assert_eq!(due, start + EVERY);
        assert!(!population.is_due((2, 0, 1), start + SOON));
        assert!(population.is_due((2, 0, 1), due));
        assert_eq!(population.next_time(), None);
        population.cost = Duration::from_millis(50);
        assert!(!population.is_due((3, 0, 1), due));
        assert_eq!(population.next_time(), Some(due + Duration::from_secs(5)));
        // After a long time without, soon.
        population.due = None;
        let late = due + Duration::from_secs(60);
        assert!(!population.is_due((4, 0, 1), late));
        assert_eq!(population.next_time(), Some(late + SOON));
    }
}
