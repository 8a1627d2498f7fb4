//! Durations, sizes and CPU shares as people and systemd write them (systemd.time(7), systemd.resource-control(5)).

use std::time::Duration;

/// The longest duration that is accepted, in seconds: a hundred years. Adding one to a clock's reading cannot overflow.
pub(super) const LONGEST: f64 = 100.0 * 365.25 * 86400.0;

/// `"1h30m"`, `"250ms"`, `"1min 30s"`, `"1.5h"`, or seconds (`"30"`).
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty");
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| "each part is a number and a unit")?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "us" | "µs" | "usec" => 1e-6,
            "ms" | "msec" => 1e-3,
            "" | "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86400.0,
            "w" | "week" | "weeks" => 7.0 * 86400.0,
            _ => return Err("the units are ms, s, m, h, d and w"),
        };
        rest = rest[letters..].trim_start();
        total += number * unit;
    }
    seconds(total)
}

/// A number of seconds.
pub(super) fn seconds(seconds: f64) -> Result<Duration, &'static str> {
    if seconds > LONGEST {
        return Err("it is longer than a hundred years");
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "it is not a length of time")
}

/// `"2G"`, `"512M"`, `"1.5G"`: base 1024, as systemd reads them.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| "it is a number with a unit after it")?;
    let power = match text[digits..].trim_start() {
        "" | "B" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return Err("the units are K, M, G and T, base 1024"),
    };
    if power == 0
        && let Ok(bytes) = text[..digits].parse()
    {
        return Ok(bytes);
    }
    let bytes = number * 1024f64.powi(power);
    if bytes >= 2f64.powi(64) { Err("it does not fit 64 bits") } else { Ok(bytes as u64) }
}

/// `"150%"`: one and a half CPUs.
pub(super) fn percent_of_cpus(text: &str) -> Result<f64, &'static str> {
    let number = text.trim().strip_suffix('%').ok_or("a string of CPUs ends in %")?;
    let percent = number.trim_end().parse::<f64>().map_err(|_| "there is no number before the %")?;
    Ok(percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_systemd_reads_them() {
        let cases = [
            ("1h30m", 5400.0),
            ("250ms", 0.25),
            ("30s", 30.0),
            ("1d", 86400.0),
            ("30", 30.0),
            ("1.5h", 5400.0),
            ("1min 30s", 90.0),
            ("2 weeks", 1_209_600.0),
            ("1h 10", 3610.0),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), seconds(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "h", "1y", "-3s", "1.2.3s", "soon", "200000w", "1e9", "inf", "½h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for number in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(seconds(number).is_err(), "{number}");
        }
    }

    #[test]
    fn sizes_have_base_1024() {
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("1.5G"), Ok(3 << 29));
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("100"), Ok(100));
        assert_eq!(size("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "G", "2X", "16E", "-1", "2GiB", "1.2.3G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpus_may_be_percent() {
        assert_eq!(percent_of_cpus("150%"), Ok(1.5));
        assert!(percent_of_cpus("150").is_err());
        assert!(percent_of_cpus("%").is_err());
    }
}
