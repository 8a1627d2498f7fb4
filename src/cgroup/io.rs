//! `io.stat`.

/// Bytes that went from and to block devices. Writes are counted when the page cache writes them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
}

impl Stat {
    /// Reads the text of the file: a line `8:0 rbytes=… wbytes=…` for each device that was used. No line: nothing was read
    /// or written.
    pub fn parse(text: &str) -> Self {
        let sum = |key: &str| {
            let fields = text.split_whitespace();
            fields.filter_map(|field| field.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok()).sum()
        };
        Stat { read: sum("rbytes"), written: sum("wbytes") }
    }
}
