//! Something that the loop does regularly to show that it turns.

use std::fmt;
use std::time::{Duration, Instant};

/// The action, and how often it is due.
pub(super) struct Heartbeat {
    every: Duration,
    next: Instant,
    beat: Box<dyn FnMut()>,
}

impl Heartbeat {
    pub(super) fn new(every: Duration, first: Instant, beat: impl FnMut() + 'static) -> Self {
        Heartbeat { every, next: first, beat: Box::new(beat) }
    }

    pub(super) fn next_time(&self) -> Instant {
        self.next
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        if self.next <= now {
            (self.beat)();
            self.next = now + self.every;
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("every", &self.every).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn it_beats_when_it_is_due_and_skips_beats_that_were_missed() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let beats = Rc::new(Cell::new(0));
        let counter = Rc::clone(&beats);
        let mut heartbeat = Heartbeat::new(second, now, move || counter.set(counter.get() + 1));
        heartbeat.on_time(now);
        heartbeat.on_time(now + second / 2);
        assert_eq!((beats.get(), heartbeat.next_time()), (1, now + second));
        heartbeat.on_time(now + 10 * second);
        assert_eq!((beats.get(), heartbeat.next_time()), (2, now + 11 * second));
    }
}
