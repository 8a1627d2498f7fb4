//! Names that are valid in a workflow file and unique in their scope.

use std::collections::HashSet;

/// The names taken in one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// Reserves names that cannot be changed.
    pub(super) fn reserve<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.0.extend(names.into_iter().map(String::from));
    }

    /// Whether a name is not used yet.
    pub(super) fn is_free(&self, name: &str) -> bool {
        !self.0.contains(name)
    }

    /// The name if it is free, else "name 2", "name 3", …
    pub(super) fn take(&mut self, name: &str) -> String {
        let name = allowed(name);
        let mut candidate = name.clone();
        let mut count = 1;
        while !self.0.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{name} {count}");
        }
        candidate
    }
}

/// Maximum length of a name in bytes, without an appended number.
const MAX_LENGTH: usize = 180;

/// A valid name: separators ("." and "/") and control characters are replaced.
fn allowed(name: &str) -> String {
    replaced(name, &['.', '/'])
}

/// A valid name of a workflow, which may contain dots.
pub(super) fn of_workflow(name: &str) -> String {
    replaced(name, &['/'])
}

fn replaced(name: &str, forbidden: &[char]) -> String {
    let mut name: String =
        name.chars().map(|c| if forbidden.contains(&c) || c.is_control() { '_' } else { c }).collect();
    while name.len() > MAX_LENGTH {
        name.pop();
    }
    match name.trim() {
        "" => "unnamed".into(),
        trimmed => trimmed.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::default();
        names.reserve(["stop"]);
        let taken = ["Check", "Check", "Check", "Check 2", "stop", "Zähler ∑"].map(|name| names.take(name));
        assert_eq!(taken, ["Check", "Check 2", "Check 3", "Check 2 2", "stop 2", "Zähler ∑"]);
    }

    #[test]
    fn invalid_characters_become_underscores() {
        let mut names = Names::default();
        assert_eq!(names.take("a.b/c\nd"), "a_b_c_d");
        assert_eq!(names.take("  "), "unnamed");
        assert_eq!(names.take(""), "unnamed 2");
        assert_eq!(of_workflow("v1.5 a/b"), "v1.5 a_b");
    }

    #[test]
    fn long_names_are_cut() {
        let mut names = Names::default();
        let long = "ü".repeat(300);
        assert!([&long, &long].map(|name| names.take(name).len()).iter().all(|length| *length <= 200));
    }
}
