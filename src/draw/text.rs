//! Text in pictures: escaped for each format, shortened, and measured without a font.

use crate::text::{cut, is_active};

/// A text on one line. Control characters become spaces.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|char| if is_active(char) { ' ' } else { char }).collect()
}

/// A text on one line, shortened to a number of characters.
pub(super) fn elided(text: &str, longest: usize) -> String {
    cut(&one_line(text), longest).into_owned()
}

/// Escapes a text for XML, and for HTML labels of dot.
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

/// Escapes a text for a quoted string of dot. A backslash starts an escape sequence, an ampersand an HTML entity.
pub(super) fn dot(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}

/// Escapes a text for a quoted string of Mermaid: special characters become numeric entities.
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

/// The approximate width of a text, in units of the font size. The font is unknown, so the estimate is generous.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

/// A text, shortened to a width in units of the font size.
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
    fn only_long_texts_are_shortened() {
        assert_eq!(elided("resolution", 10), "resolution");
        assert_eq!(elided("resolution", 9), "resoluti…");
        assert_eq!(elided("日本語", 2), "日…");
        assert_eq!(elided("", 5), "");
        assert_eq!(fitted("resolution", 100.0), "resolution");
        assert!(width(&fitted("resolution", 4.0)) <= 4.0);
        assert_eq!(fitted("resolution", 0.0), "…");
    }
}
