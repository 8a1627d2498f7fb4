//! Times of day, as people write and read them.

use std::time::Duration;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use crate::config::parse_duration;
use crate::history::now;

/// Microseconds since the epoch as local time.
pub(in crate::cli) fn at(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(DateTime::<Utc>::from_timestamp_micros);
    time.map_or_else(|| "-".to_owned(), |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A time in the past: a duration before now, or a date with or without a time of day.
pub(in crate::cli) fn since(text: &str) -> Result<u64, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return micros(time.to_utc());
    }
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
    let named = match text {
        "today" => Some(midnight(Local::now().date_naive())),
        "yesterday" => Local::now().date_naive().pred_opt().map(midnight),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(midnight),
    };
    let local = named.or_else(|| formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()));
    if let Some(local) = local {
        let time = Local.from_local_datetime(&local).earliest().ok_or("there was no such time here")?;
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
    }
}
