//! Durations, sizes and CPU shares, in the notation of systemd (systemd.time(7), systemd.resource-control(5)).

use std::time::Duration;

/// Why a text is not a duration, a size or a CPU share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// A part of a duration has no number.
    #[error("each part must be a number and a unit")]
    DurationPart,
    /// Not a unit of time.
    #[error("valid units are us, ms, s, m, h, d and w")]
    TimeUnit,
    /// Longer than a century.
    #[error("must not be longer than 100 years")]
    TooLong,
    /// Negative, or not a number.
    #[error("must be a number of seconds that is not negative")]
    NotADuration,
    /// A size has no number.
    #[error("must be a number and a unit")]
    SizePart,
    /// Not a unit of size.
    #[error("valid units are K, M, G, T, P and E (base 1024)")]
    SizeUnit,
    /// A size of more than 64 bits.
    #[error("does not fit 64 bits")]
    TooLarge,
    /// A share without a percent sign.
    #[error("a CPU share in quotation marks must end with %")]
    NoPercentSign,
    /// A percent sign without a number.
    #[error("there is no number before the %")]
    NoPercentage,
}

/// The longest duration in seconds: a hundred years. Adding it to a clock's reading cannot overflow.
pub(in crate::config) const MAX_SECONDS: f64 = 100.0 * 365.25 * 86400.0;

/// Parses a duration: `"1h30m"`, `"250ms"`, `"1min 30s"`, `"1.5h"`, or seconds (`"30"`).
///
/// # Errors
/// If the text is no duration, or longer than a hundred years.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::Empty);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| UnitError::DurationPart)?;
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
            _ => return Err(UnitError::TimeUnit),
        };
        rest = rest[letters..].trim_start();
        total += number * unit;
    }
    seconds(total)
}

/// A duration from a number of seconds.
pub(in crate::config) fn seconds(seconds: f64) -> Result<Duration, UnitError> {
    if seconds > MAX_SECONDS {
        return Err(UnitError::TooLong);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| UnitError::NotADuration)
}

/// Parses a size: `"2G"`, `"512M"`, `"1.5G"`, with base 1024 as in systemd.
pub(in crate::config) fn size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| UnitError::SizePart)?;
    let power = match text[digits..].trim_start() {
        "" | "B" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return Err(UnitError::SizeUnit),
    };
    if power == 0
        && let Ok(bytes) = text[..digits].parse()
    {
        return Ok(bytes);
    }
    let bytes = number * 1024f64.powi(power);
    if bytes >= 2f64.powi(64) { Err(UnitError::TooLarge) } else { Ok(bytes as u64) }
}

/// Parses a CPU share: `"150%"` is one and a half CPUs.
pub(in crate::config) fn percent_of_cpus(text: &str) -> Result<f64, UnitError> {
    let number = text.trim().strip_suffix('%').ok_or(UnitError::NoPercentSign)?;
    let percent = number.trim_end().parse::<f64>().map_err(|_| UnitError::NoPercentage)?;
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
    fn other_texts_are_no_durations() {
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
