//! Text in pictures: made safe for each format, cut to a length, and measured without a font.

use crate::text::is_active;

/// On one line: what would break or hide it becomes a space.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|char| if is_active(char) { ' ' } else { char }).collect()
}

/// On one line, and not longer than that many characters.
pub(super) fn elided(text: &str, longest: usize) -> String {
    let mut text = one_line(text);
    if let Some((cut, _)) = text.char_indices().nth(longest.saturating_sub(1))
        && text[cut..].chars().nth(1).is_some()
    {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// For XML, and for the HTML that dot reads in labels.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char if is_active(char) => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}

/// For a quoted string of dot, where a backslash starts an escape sequence and an ampersand an HTML entity.
pub(super) fn dot(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}

/// For a quoted text of Mermaid: whatever could mean something there goes by its number.
pub(super) fn mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in one_line(text).chars() {
        if char.is_alphanumeric() || !char.is_ascii() || " -_./,:?!()+=".contains(char) {
            escaped.push(char);
        } else {
            escaped.push_str(&format!("#{};", u32::from(char)));
        }
    }
    escaped
}

/// About how wide a text is, in units of the font size: rather too much than too little, as the font is not known.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

/// As much of a text as fits, in units of the font size.
pub(super) fn fitted(text: &str, room: f64) -> String {
    let mut longest = text.chars().count();
    let mut fitted = text.to_owned();
    while width(&fitted) > room && longest > 1 {
        longest -= 1;
        fitted = elided(text, longest);
    }
    fitted
}

fn char_width(char: char) -> f64 {
    match char {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.34,
        ' ' | 'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' | '+' | '=' | '<' | '>' | '#' | '~' => 0.8,
        '\u{300}'..='\u{36f}' => 0.0,
        '\u{1100}'.. => 1.1,
        _ => 0.64,
    }
}

#[cfg(test)]
mod tests {
    use super::{elided, fitted, width};

    #[test]
    fn a_long_text_is_cut_and_a_short_one_is_not() {
        assert_eq!(elided("resolution", 10), "resolution");
        assert_eq!(elided("resolution", 9), "resoluti…");
        assert_eq!(elided("日本語", 2), "日…");
        assert_eq!(elided("", 5), "");
        assert_eq!(fitted("resolution", 100.0), "resolution");
        assert!(width(&fitted("resolution", 4.0)) <= 4.0);
        assert_eq!(fitted("resolution", 0.0), "…");
    }
}
