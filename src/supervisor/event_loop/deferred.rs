//! Sources that are looked at again without an event: in the next turn, or at a given time.

use std::time::Instant;

use mio::Token;

use super::source::Readiness;

/// The sources that wait for that.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    next_turn: Vec<Token>,
    timed: Vec<(Instant, Token)>,
}

impl Deferred {
    /// A source has more to read than one turn takes.
    pub(super) fn add_to_next_turn(&mut self, token: Token) {
        if !self.next_turn.contains(&token) {
            self.next_turn.push(token);
        }
    }

    /// A source cannot be read before. The first time that was given holds.
    pub(super) fn until(&mut self, token: Token, at: Instant) {
        if !self.timed.iter().any(|(_, known)| *known == token) {
            self.timed.push((at, token));
        }
    }

    /// When the next one is due.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        if self.next_turn.is_empty() { self.timed.iter().map(|(at, _)| *at).min() } else { Some(now) }
    }

    /// The sources that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Readiness> {
        let mut due: Vec<_> = self.next_turn.drain(..).map(Readiness::to_read).collect();
        if !self.timed.is_empty() {
            due.extend(self.timed.extract_if(.., |(at, _)| *at <= now).map(|(_, token)| Readiness::to_read(token)));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_source_is_due_once_however_often_it_was_deferred() {
        let now = Instant::now();
        let mut deferred = Deferred::default();
        assert_eq!(deferred.next_time(now), None);
        deferred.add_to_next_turn(Token(1));
        deferred.add_to_next_turn(Token(1));
        assert_eq!(deferred.next_time(now), Some(now));
        assert_eq!(deferred.take_due(now), [Readiness::to_read(Token(1))]);
        assert_eq!(deferred.next_time(now), None);
        assert!(deferred.take_due(now).is_empty());
    }

    #[test]
    fn a_source_that_waits_for_a_time_is_due_then_and_not_before() {
        let now = Instant::now();
        let (soon, later) = (now + Duration::from_millis(5), now + Duration::from_millis(9));
        let mut deferred = Deferred::default();
        deferred.until(Token(2), later);
        deferred.until(Token(1), soon);
        deferred.until(Token(1), later);
        assert_eq!(deferred.next_time(now), Some(soon));
        assert!(deferred.take_due(now).is_empty());
        assert_eq!(deferred.take_due(soon), [Readiness::to_read(Token(1))]);
        assert_eq!(deferred.next_time(now), Some(later));
        assert_eq!(deferred.take_due(later), [Readiness::to_read(Token(2))]);
    }
}
