//! Pages that are written by hand, with places for what is made.

/// A page in which each line `.\" @WORD@` is replaced by what `made` says of the word, and `@VERSION@` anywhere.
pub(super) fn filled(page: &str, made: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    for line in page.lines() {
        let word = line.strip_prefix(".\\\" @").and_then(|rest| rest.strip_suffix('@'));
        match word.and_then(&made) {
            Some(roff) => text.push_str(roff.trim_end()),
            None => text.push_str(&line.replace("@VERSION@", env!("CARGO_PKG_VERSION"))),
        }
        text.push('\n');
    }
    text
}

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

/// The same, with what stands between grave accents in bold.
pub(super) fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("\\fB{}\\fR", plain(part)) } else { plain(part) }).collect()
}

#[cfg(test)]
mod tests {
    use super::{filled, plain, with_code};

    #[test]
    fn places_are_filled_and_everything_else_stays() {
        let page = ".SH A\n.\\\" @LIST@\n.\\\" a comment\nversion @VERSION@\n";
        let made = |word: &str| (word == "LIST").then(|| "one\ntwo\n".to_owned());
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(filled(page, made), format!(".SH A\none\ntwo\n.\\\" a comment\nversion {version}\n"));
    }

    #[test]
    fn text_is_no_request() {
        assert_eq!(plain(".br 'x' a-b \"c\""), "\\&.br \\(aqx\\(aq a\\-b \\(dqc\\(dq");
        assert_eq!(with_code("see `pushflow serve`."), "see \\fBpushflow serve\\fR\\&.");
    }
}
