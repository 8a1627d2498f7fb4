//! Guesses from the text of a script whether it has a function `run`. `pushflow check` must not need Python.
//!
//! Only words outside of functions and classes count. If the name could be defined in another way (`import *`, `globals()`, `exec`),
//! the answer is yes: a warning must be certain.

/// Maximum size of a script in bytes. Larger ones are not checked.
pub(super) const MAX_SCRIPT: u64 = 4 << 20;

/// Words that can define names dynamically.
const DYNAMIC: [&str; 7] = ["exec", "globals", "vars", "locals", "setattr", "global", "__getattr__"];

/// Whether a module with this text may have a `run`.
pub(super) fn may_define_run(source: &str) -> bool {
    let Some(lines) = logical_lines(source) else { return true };
    // The indentation of the functions and classes around the current line.
    let mut around: Vec<usize> = Vec::new();
    for (indent, text) in lines {
        while around.last().is_some_and(|outer| indent <= *outer) {
            around.pop();
        }
        let words = words(&text);
        if words.iter().any(|word| DYNAMIC.contains(word)) {
            return true;
        }
        let outside = around.is_empty();
        let header = match &words[..] {
            ["async", "def", name, ..] | ["def" | "class", name, ..] => Some(*name),
            _ => None,
        };
        match header {
            Some(name) => {
                if outside && name == "run" {
                    return true;
                }
                around.push(indent);
            }
            None if outside && (words.contains(&"run") || is_star_import(&words, &text)) => return true,
            None => {}
        }
    }
    false
}

fn is_star_import(words: &[&str], text: &str) -> bool {
    words.first() == Some(&"from") && text.trim_end().ends_with('*')
}

/// The names and keywords of a line, except those after a dot: `subprocess.run` defines nothing.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line;
    let mut after_dot = false;
    while let Some(start) = rest.find(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix('.') {
            // In `from . import run`, a space follows the dot: the next word counts.
            after_dot = after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if !std::mem::take(&mut after_dot) {
            words.push(&rest[..end]);
        }
        rest = &rest[end..];
    }
    words
}

/// The statements and their indentation. Comments and the contents of strings are left out, lines in brackets and after a
/// backslash are joined. `None` if a bracket is never closed.
fn logical_lines(source: &str) -> Option<Vec<(usize, String)>> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut depth = 0_usize;
    let mut rest = source.strip_prefix('\u{feff}').unwrap_or(source);
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        rest = match next {
            '#' => &rest[rest.find('\n').unwrap_or(rest.len())..],
            '"' | '\'' => {
                line.push('"');
                after_string(rest, next)
            }
            '\\' if after.trim_start_matches('\r').starts_with('\n') => {
                line.push(' ');
                &after[after.find('\n').map_or(0, |end| end + 1)..]
            }
            '\n' if depth == 0 => {
                lines.extend(finished(&mut line));
                after
            }
            '(' | '[' | '{' => {
                depth += 1;
                line.push(next);
                after
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                line.push(next);
                after
            }
            _ => {
                line.push(if next == '\n' { ' ' } else { next });
                after
            }
        };
    }
    lines.extend(finished(&mut line));
    (depth == 0).then_some(lines)
}

fn finished(line: &mut String) -> Option<(usize, String)> {
    let line = std::mem::take(line);
    let text = line.trim_start();
    // As in Python, a tab extends to the next multiple of eight.
    let indent = line[..line.len() - text.len()].chars().fold(0, |indent, c| match c {
        '\t' => (indent / 8 + 1) * 8,
        _ => indent + 1,
    });
    (!text.trim_end().is_empty()).then(|| (indent, text.trim_end().to_owned()))
}

/// The text after the string that begins here.
fn after_string(text: &str, quote: char) -> &str {
    let triple = [quote; 3].iter().collect::<String>();
    let (end, mut rest) = match text.strip_prefix(&triple) {
        Some(rest) => (&triple[..], rest),
        None => (&triple[..1], &text[1..]),
    };
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(end) {
            return after;
        }
        if next == '\n' && end.len() == 1 {
            return rest;
        }
        let after = &rest[next.len_utf8()..];
        rest = match next {
            '\\' => after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default(),
            _ => after,
        };
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::may_define_run;

    #[test]
    fn every_way_to_define_run_is_found() {
        for source in [
            "def run(**_): return {}",
            "import os\n\nasync def run(x):\n    pass\n",
            "\u{feff}def run(): pass",
            "def other():\n    pass\nrun = other",
            "run: object = print",
            "a, run = 1, print",
            "from tasks import run",
            "from tasks import (\n    other,\n    run,\n)",
            "from tasks import main as run",
            "from . import run",
            "from tasks import *",
            "from .tasks import *  # all",
            "import run",
            "try:\n    from fast import run\nexcept ImportError:\n    def run(): pass",
            "if True:\n\tdef run():\n\t\tpass",
            "class run: pass",
            "globals()['run'] = print",
            "def make():\n    global run\n    run = print\nmake()",
            "def __getattr__(name): return print",
            "x = (1,\nunfinished",
            "x = 1; run = print",
            "with open(__file__) as f, f as run: pass",
        ] {
            assert!(may_define_run(source), "{source}");
        }
    }

    #[test]
    fn other_uses_of_the_name_do_not_count() {
        for source in [
            "",
            "def main(): return {}",
            "class Task:\n    def run(self): return {}\n",
            "import subprocess\nsubprocess.run(['true'])\n",
            "def main():\n    def run(): pass\n    run()\n",
            "'''\ndef run(): pass\n'''\n",
            "# def run(): pass\nx = 'run'\ny = \"a \\\" run\"\nz = r'\\\\' + 'run'\n",
            "class A:\n    if True:\n        run = 1\n\n    x = 2\ny = A.run\n",
            "def runs(): pass\nrun_all = runs\n",
            "def main(run): pass\n",
        ] {
            assert!(!may_define_run(source), "{source}");
        }
    }
}
