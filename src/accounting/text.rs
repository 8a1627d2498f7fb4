//! Sizes, times and ordinals as text.

use std::time::Duration;

/// `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 || value.fract() < 0.05 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `1 h 02 min`, `1 min 05 s`, `2.10 s`, `35 ms`, `80 µs`.
pub fn time(time: Duration) -> String {
    let (micros, seconds) = (time.as_micros(), time.as_secs());
    match micros {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{:.2} s", time.as_secs_f64()),
        60_000_000..3_600_000_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `1st`, `2nd`, `11th`.
pub fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ordinal, size, time};

    #[test]
    fn counts_are_written_for_people() {
        let written = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        assert_eq!(written, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]);
    }

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!([0, 1023, 1 << 20, 200 << 20, 3 << 29].map(size), ["0 B", "1023 B", "1 MiB", "200 MiB", "1.5 GiB"]);
    }

    #[test]
    fn times_are_written_for_people() {
        let written = [0, 80, 35_400, 2_100_000, 65_000_000, 3_725_000_000].map(|it| time(Duration::from_micros(it)));
        assert_eq!(written, ["0 s", "80 µs", "35 ms", "2.10 s", "1 min 05 s", "1 h 02 min"]);
    }
}
