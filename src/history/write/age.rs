//! The age of runs, for deleting old ones.
//!
//! A clock that jumps ahead (an empty battery, a wrong time server, a resumed virtual machine) must not make all runs too old at
//! once. So a history has a time of its own. It follows the host's clock, but gains at most a day an hour beyond the time that has
//! really passed. A clock that is wrong for a while costs at most the runs of a few days, and a host that was off for a month has
//! deleted its old runs after two days. The file has the time, with the boot and the uptime at which it was read.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::history::owner::boot;

/// A clock that shows an earlier time is not set (2026-01-01).
pub(super) const EARLIEST: u64 = 1_767_225_600_000_000;
/// The maximum gain, at once and in an hour.
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 3_600_000_000;
/// The time is written when it has changed by so much.
const WRITTEN_AFTER: u64 = HOUR / 6;

/// The clocks at one moment, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// The history's time.
    time: u64,
    /// Which boot it was,
    boot: String,
    /// and how long the host was up.
    up: u64,
}

/// The time of a history.
#[derive(Debug)]
pub(super) struct HistoryTime {
    last: Option<Moment>,
    written: Option<Moment>,
}

impl HistoryTime {
    /// Reads it from the file, before anything is written. If the file lacks it, the time of the last run is used.
    pub(super) fn read(file: &Connection, now: u64) -> Result<Self> {
        let query = "SELECT aged_to, aged_boot, aged_up FROM state WHERE aged_to IS NOT NULL";
        let moment = |row: &rusqlite::Row<'_>| {
            let micros = |at| row.get(at).map(|micros: i64| u64::try_from(micros).unwrap_or_default());
            Ok(Moment { time: micros(0)?, boot: row.get(1)?, up: micros(2)? })
        };
        let written = file.query_row(query, [], moment).optional()?;
        let newest: Option<i64> =
            file.query_row("SELECT max(queued_at) FROM runs WHERE queued_at <= ?1", [now as i64], |row| row.get(0))?;
        let of_newest = newest.and_then(|at| u64::try_from(at).ok()).filter(|at| *at >= EARLIEST);
        let last = written.clone().or(of_newest.map(|time| Moment { time, boot: String::new(), up: 0 }));
        Ok(HistoryTime { last, written })
    }

    /// Advances it and returns it. None if the host's clock is not set.
    pub(super) fn go_on(&mut self, now: u64, up: u64) -> Option<u64> {
        if now < EARLIEST {
            return None;
        }
        let boot = boot();
        let time = self.last.as_ref().map_or(now, |last| reached(last, now, &boot, up));
        self.last = Some(Moment { time, boot, up });
        Some(time)
    }

    /// Writes it if it has changed enough.
    pub(super) fn write(&mut self, file: &Connection) -> Result<()> {
        let Some(last) = &self.last else { return Ok(()) };
        let is_new = self.written.as_ref().is_none_or(|written| {
            written.boot != last.boot
                || written.time.abs_diff(last.time) > WRITTEN_AFTER
                || written.up.abs_diff(last.up) > WRITTEN_AFTER
        });
        if is_new {
            file.execute(
                "UPDATE state SET aged_to = ?1, aged_boot = ?2, aged_up = ?3",
                params![last.time as i64, last.boot, last.up as i64],
            )?;
            self.written = self.last.clone();
        }
        Ok(())
    }
}

/// The time now: the clock's, or less if the clock has jumped.
fn reached(last: &Moment, now: u64, boot: &str, up: u64) -> u64 {
    // How long the host was off is not known.
    let passed = if last.boot == boot { up.saturating_sub(last.up) } else { up };
    let gained = passed.saturating_mul(23).min(DAY - HOUR);
    now.min(last.time.saturating_add(passed).saturating_add(gained))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000_000;

    fn last(boot: &str) -> Moment {
        Moment { time: NOW, boot: boot.to_owned(), up: HOUR }
    }

    #[test]
    fn a_clock_that_goes_right_is_followed() {
        assert_eq!(reached(&last("b"), NOW + HOUR, "b", 2 * HOUR), NOW + HOUR);
        assert_eq!(reached(&last("b"), NOW + 100 * DAY, "b", HOUR + 100 * DAY), NOW + 100 * DAY);
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_followed_by_a_day_an_hour() {
        assert_eq!(reached(&last("b"), NOW + 200 * DAY, "b", HOUR), NOW);
        assert_eq!(reached(&last("b"), NOW + 200 * DAY, "b", HOUR + HOUR / 2), NOW + DAY / 2);
        assert_eq!(reached(&last("b"), NOW + 200 * DAY, "b", HOUR + 10 * HOUR), NOW + DAY + 9 * HOUR);
        assert_eq!(reached(&last("before"), NOW + 200 * DAY, "b", HOUR), NOW + DAY, "after a reboot");
    }

    #[test]
    fn a_clock_that_goes_back_is_followed_at_once() {
        assert_eq!(reached(&last("b"), NOW - DAY, "b", 2 * HOUR), NOW - DAY);
        assert_eq!(reached(&last("b"), NOW - DAY, "b", 0), NOW - DAY, "also where the uptime does");
    }

    #[test]
    fn a_clock_that_was_never_set_tells_no_age() {
        let mut time = HistoryTime { last: Some(last("b")), written: None };
        assert_eq!(time.go_on(0, 2 * HOUR), None);
        assert_eq!(time.last, Some(last("b")));
    }
}
