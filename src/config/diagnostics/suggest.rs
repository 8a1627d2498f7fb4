//! "did you mean": the valid name that is most similar to a wrong one, and quoting of names in messages.

/// Finds similar names. The number of comparisons is bounded, for files with thousands of mistakes.
#[derive(Debug)]
pub(in crate::config) struct Suggestions {
    comparisons: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Suggestions { comparisons: 300_000 }
    }
}

impl Suggestions {
    /// Whether the budget is used up: there are no more suggestions.
    pub fn exhausted(&self) -> bool {
        self.comparisons == 0
    }

    /// The candidate that is most similar to a word, if one is similar enough.
    pub fn nearest<'c>(&mut self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
        let length = word.chars().count();
        if length > 60 {
            return None;
        }
        let most = (length / 3).clamp(1, 4);
        let lower = word.to_lowercase();
        let mut best: Option<(usize, &str)> = None;
        for candidate in candidates {
            if self.comparisons == 0 {
                break;
            }
            self.comparisons -= 1;
            if candidate.len().abs_diff(word.len()) > 4 * most {
                continue;
            }
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            let similar = distance <= most && (length > 1 || distance == 0);
            if similar && candidate != word && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}

/// A name in backticks, escaped and shortened.
pub(in crate::config) fn quoted(name: &str) -> String {
    const MOST: usize = 60;
    let mut text = String::from("`");
    for (index, character) in name.chars().enumerate() {
        if index == MOST {
            text.push('…');
            break;
        }
        text.push_str(&crate::text::line(character.encode_utf8(&mut [0; 4])));
    }
    text.push('`');
    text
}

/// "did you mean …?", if there is a similar name.
pub(in crate::config) fn did_you_mean(near: Option<&str>) -> Option<String> {
    near.map(|near| format!("did you mean {}?", quoted(near)))
}

/// "`a`, `b` or `c`".
pub(in crate::config) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(quoted).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let mut suggestions = Suggestions::default();
        assert_eq!(suggestions.nearest("max_worker", ["max_workers", "launcher"]), Some("max_workers"));
        assert_eq!(suggestions.nearest("Add", ["add", "and"]), Some("add"));
        assert_eq!(suggestions.nearest("x", ["y"]), None);
        assert_eq!(suggestions.nearest("colour", ["python"]), None);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quoted("a\u{1b}[2J"), "`a\\x1b[2J`");
        assert_eq!(quoted(&"x".repeat(70)).chars().count(), 63);
    }

    #[test]
    fn lists_are_joined_by_or() {
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(list(["a"]), "`a`");
    }
}
