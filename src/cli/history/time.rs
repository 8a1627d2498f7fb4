//! Times on the command line and in output.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::config::parse_duration;
use crate::history::now;

/// The latest valid time (9999-01-01, in microseconds): date calculations are limited.
const LATEST: u64 = 253_370_764_800_000_000;

/// Microseconds since the epoch as local time.
pub(in crate::cli) fn at(micros: u64) -> String {
    local(micros).map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn local(micros: u64) -> Option<DateTime<Local>> {
    let micros = i64::try_from(micros).ok().filter(|micros| *micros < LATEST as i64)?;
    Some(DateTime::<Utc>::from_timestamp_micros(micros)?.with_timezone(&Local))
}

/// The time of day in log lines. (chrono's clock panics if the clock of the host is before 1970.)
pub(in crate::cli) struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        match local(now()) {
            Some(time) => write!(to, "{}", time.format("%H:%M:%S")),
            None => to.write_str("--:--:--"),
        }
    }
}

/// A time in the past: a duration before now, or a date with or without a time of day.
pub(in crate::cli) fn since(text: &str) -> Result<u64, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return micros(time.to_utc());
    }
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
    let today = || local(now()).map(|now| now.date_naive());
    let named = match text {
        "today" => today().map(midnight),
        "yesterday" => today().and_then(|today| today.pred_opt()).map(midnight),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(midnight),
    };
    let wanted = named.or_else(|| formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()));
    if let Some(wanted) = wanted {
        if wanted.year() >= 9999 {
            return Err("it is after the year 9998".to_owned());
        }
        let time = Local.from_local_datetime(&wanted).earliest().ok_or("there was no such time here")?;
        return micros(time.to_utc());
    }
    let ago: Duration =
        parse_duration(text).map_err(|_| "write a time like 2d, 2026-11-20, or \"2026-11-20 18:30\"".to_owned())?;
    Ok(now().saturating_sub(u64::try_from(ago.as_micros()).unwrap_or(u64::MAX)))
}

fn micros(time: DateTime<Utc>) -> Result<u64, String> {
    u64::try_from(time.timestamp_micros()).map_err(|_| "it is before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let then = since("2026-11-20 18:30").expect("a time");
        assert_eq!(at(then), "2026-11-20 18:30:00");
        assert_eq!(since("2026-11-20T18:30:00Z"), Ok(1_795_199_400_000_000));
        let ago = since("2h").expect("a duration");
        assert!(now() - ago >= 7_200_000_000 && now() - ago < 7_260_000_000);
        assert!(since("soon").is_err() && since("1960-01-01").is_err());
        assert!(since("+262142-12-31").is_err() && since("9999-12-31").is_err());
        assert!(since("30000d") == Ok(0));
    }

    #[test]
    fn times_that_no_clock_shows_are_left_out() {
        for micros in [LATEST, 8_210_266_876_799_999_999, i64::MAX as u64, u64::MAX] {
            assert_eq!(at(micros), "-", "{micros}");
        }
    }
}
