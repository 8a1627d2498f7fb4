//! Text as roff.

/// Text that means nothing to roff. Double quotes are safe in macro arguments too.
pub(super) fn plain(text: &str) -> String {
    let mut roff = String::new();
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            roff.push('\n');
        }
        if line.starts_with(['.', '\'']) {
            roff.push_str("\\&");
        }
        for char in line.chars() {
            match char {
                '\\' => roff.push_str("\\e"),
                '-' => roff.push_str("\\-"),
                '\'' => roff.push_str("\\(aq"),
                '"' => roff.push_str("\\(dq"),
                '^' => roff.push_str("\\(ha"),
                '~' => roff.push_str("\\(ti"),
                '`' => roff.push_str("\\(ga"),
                char => roff.push(char),
            }
        }
    }
    roff
}

/// The same, with text between grave accents in bold.
pub(super) fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("\\fB{}\\fR", plain(part)) } else { plain(part) }).collect()
}

#[cfg(test)]
mod tests {
    use super::{plain, with_code};

    #[test]
    fn text_is_no_request() {
        assert_eq!(plain(".br 'x' a-b \"c\""), "\\&.br \\(aqx\\(aq a\\-b \\(dqc\\(dq");
        assert_eq!(with_code("see `pushflow serve`."), "see \\fBpushflow serve\\fR\\&.");
    }
}
