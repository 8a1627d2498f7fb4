//! Escapes and shortens text from tasks, callers and files, for terminals and logs.
//!
//! Such text can contain escape sequences for the terminal, hide what follows, or imitate another line. All text for people is
//! escaped here: control characters become visible (`\x1b`), and long text is cut. Text for programs (JSON, D-Bus, history) stays
//! exact.

use std::borrow::Cow;
use std::fmt::Write;

/// Maximum number of characters of a text in a table cell.
pub const CELL: usize = 200;
/// Maximum number of characters of a text on its own line.
pub const LINE: usize = 1000;
/// Approximate maximum number of bytes of an error and its traceback.
pub const ERROR: usize = 8 << 10;

/// Whether a character can control a terminal, or changes the line or the text direction: the control characters C0 and C1, line and
/// paragraph separators, and characters with the Unicode property `Bidi_Control`.
pub fn is_active(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// A text on one line. Control characters are escaped (`\n`, `\x1b`); a tab becomes a space.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |char| if char == '\t' { Some(' ') } else { None })
}

/// Like [`line()`], with at most `most` characters.
pub fn short(text: &str, most: usize) -> Cow<'_, str> {
    // Cut first: the text may be very long.
    match line(&text[..end_of(text, most.saturating_add(1))]) {
        Cow::Borrowed(line) => cut(line, most),
        Cow::Owned(line) => Cow::Owned(cut(&line, most).into_owned()),
    }
}

/// A text with several lines. Control characters except tabs are escaped.
pub fn lines(text: &str) -> Cow<'_, str> {
    let kept = |char| matches!(char, '\n' | '\t').then_some(char);
    if text.contains("\r\n") {
        return Cow::Owned(escaped(&text.replace("\r\n", "\n"), kept).into_owned());
    }
    escaped(text, kept)
}

/// An error with its traceback, escaped. If it is too long, the middle is left out: Python puts the error at the end of a traceback
/// and the caller at the beginning. `whole` tells where the whole text is.
pub fn error(text: &str, whole: &str) -> String {
    if text.len() <= ERROR {
        return lines(text).into_owned();
    }
    let end = text.floor_char_boundary(ERROR / 2);
    let begin = text.ceil_char_boundary(text.len() - ERROR / 2);
    let left_out = crate::accounting::size((begin - end) as u64);
    format!("{}\n[… {left_out} left out; {whole}]\n{}", lines(&text[..end]), lines(&text[begin..]))
}

/// A line that a process has printed, for a log: the last state of a progress bar, without colours, control characters escaped.
pub fn printed(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let kept = |char| (char == '\t').then_some(char);
    if !text.contains(['\r', '\x1b']) {
        return escaped(text, kept);
    }
    let mut segments = text.rsplit('\r').map(without_colours);
    let shown = segments.find(|segment| !segment.trim().is_empty()).unwrap_or_default();
    Cow::Owned(escaped(&shown, kept).into_owned())
}

/// A JSON text with the same value and without control characters. JSON writers do not escape DEL, C1 and bidirectional characters.
pub fn json(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains('\x7f') {
        return Cow::Borrowed(text);
    }
    let is_plain = |char: char| !is_active(char) || matches!(char, '\n' | '\t');
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_plain(char) {
            written.push(char);
        } else {
            // All of them need one unit of UTF-16.
            put(&mut written, format_args!("\\u{:04x}", u32::from(char)));
        }
    }
    Cow::Owned(written)
}

/// A text of the same length, in bytes and characters, so that offsets stay valid. Control characters except tabs and line breaks are
/// replaced.
pub fn masked(text: &str) -> Cow<'_, str> {
    if !text.contains(|char| is_active(char) && !matches!(char, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut chars = text.chars().peekable();
    let mut masked = String::with_capacity(text.len());
    while let Some(char) = chars.next() {
        masked.push(match char {
            '\n' | '\t' => char,
            '\r' if chars.peek() == Some(&'\n') => char,
            _ if !is_active(char) => char,
            _ if char.len_utf8() == 1 => '?',
            _ if char.len_utf8() == 2 => '¿',
            _ => '\u{fffd}',
        });
    }
    Cow::Owned(masked)
}

/// A text with at most `most` characters.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match end_of(text, most) {
        end if end == text.len() => Cow::Borrowed(text),
        _ => Cow::Owned(format!("{}…", &text[..end_of(text, most.saturating_sub(1))])),
    }
}

/// The offset at which a number of characters ends.
fn end_of(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// Escapes control characters, unless `kept` returns a replacement.
fn escaped(text: &str, kept: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    let Some(first) = text.find(|char| is_active(char) && kept(char) != Some(char)) else { return Cow::Borrowed(text) };
    let mut safe = String::with_capacity(text.len() + 16);
    safe.push_str(&text[..first]);
    for char in text[first..].chars() {
        match (is_active(char), kept(char), u32::from(char)) {
            (false, ..) => safe.push(char),
            (true, Some(kept), _) => safe.push(kept),
            (true, None, 0x0a) => safe.push_str("\\n"),
            (true, None, 0x0d) => safe.push_str("\\r"),
            (true, None, 0x09) => safe.push_str("\\t"),
            (true, None, code @ ..0x100) => put(&mut safe, format_args!("\\x{code:02x}")),
            (true, None, code) => put(&mut safe, format_args!("\\u{code:04x}")),
        }
    }
    Cow::Owned(safe)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes whatever is written to it.
    let _ = text.write_fmt(what);
}

/// A text without the sequences that colours and progress bars are made of: colours and the like (SGR), the erasing of a line
/// (EL), the cursor shown and hidden, and the return to ASCII.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = harmless(rest.as_bytes());
        if length == 0 {
            plain.push('\x1b');
            rest = &rest[1..];
        } else {
            rest = &rest[length..];
        }
    }
    plain.push_str(rest);
    plain
}

/// The length of such a sequence, which a text begins with; 0 if it begins with something else.
fn harmless(sequence: &[u8]) -> usize {
    match sequence {
        [0x1b, b'(', b'B', ..] => 3,
        [0x1b, b'[', parameters @ ..] => {
            let end = parameters.iter().position(|byte| !matches!(byte, b'0'..=b'?'));
            let harmless = |end: &usize| match parameters[*end] {
                b'm' | b'K' => true,
                b'h' | b'l' => &parameters[..*end] == b"?25",
                _ => false,
            };
            end.filter(harmless).map_or(0, |end| end + 3)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something of each kind that drives a terminal.
    const ACTIVE: &str = "\0\x07\x08\x1b[2J\x1b]0;title\x07\x7f\u{85}\u{9b}31m\u{2028}\u{202e}\u{2066}\u{200f}\r";

    #[test]
    fn what_drives_a_terminal_becomes_visible_and_the_rest_stays() {
        assert_eq!(line("é 日本 \u{301}"), "é 日本 \u{301}");
        assert_eq!(line("a\tb\nc\x1b[2J\u{9b}\u{202e}\r"), "a b\\nc\\x1b[2J\\x9b\\u202e\\r");
        assert_eq!(lines("a\tb\r\nc\rd\x07"), "a\tb\nc\\rd\\x07");
        for safe in [line(ACTIVE), lines(ACTIVE), printed(ACTIVE), short(ACTIVE, CELL), masked(ACTIVE)] {
            assert!(!safe.chars().any(is_active), "{safe:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(short("resolution", 10), "resolution");
        assert_eq!(short("resolution", 9), "resoluti…");
        assert_eq!(short(&"\x1b".repeat(100), 9), "\\x1b\\x1b…");
        assert_eq!(short("", 5), "");
        let zalgo = format!("z{}", "\u{301}".repeat(10_000));
        assert_eq!(short(&zalgo, CELL).chars().count(), CELL);
        let long = error(&format!("begin\n{}\nend", "é".repeat(100_000)), "the rest is there");
        assert!(long.len() < ERROR + 100 && long.starts_with("begin\n") && long.ends_with("\nend"), "{}", long.len());
        assert!(long.contains("\n[… 187 KiB left out; the rest is there]\n"), "{long}");
    }

    #[test]
    fn of_a_progress_bar_what_it_has_shown_last_is_logged() {
        assert_eq!(printed("\r  0% |     |\r 50% |##   |\r100% |#####|"), "100% |#####|");
        assert_eq!(printed("100%\r\x1b[K   \r"), "100%");
        assert_eq!(printed("\r\r"), "");
        assert_eq!(printed("\x1b[1;32mPASSED\x1b[0m\x1b(B [\x1b[?25l100%]\tx"), "PASSED [100%]\tx");
        assert_eq!(printed("\x1b[2J\x1b[?1049h\x1b[1;31"), "\\x1b[2J\\x1b[?1049h\\x1b[1;31");
        assert!(matches!(printed("as it is\t"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_json_text_is_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}": ACTIVE, "b": "é" });
        let text = value.to_string();
        let safe = json(&text);
        assert!(!safe.chars().any(is_active), "{safe:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), value);
    }

    #[test]
    fn a_mask_has_the_length_of_what_it_hides() {
        let text = format!("links = 1 # {ACTIVE}\r\n\tx");
        let hidden = masked(&text);
        assert_eq!((hidden.len(), hidden.chars().count()), (text.len(), text.chars().count()));
        assert!(hidden.ends_with("?\r\n\tx"), "{hidden:?}");
    }
}
