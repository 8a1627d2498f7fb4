//! Pages that are written in Markdown, in `packaging/man`: how lowdown(1) makes roff of them.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A page of the manual that is written by hand. The lists in it that describe the program are compared with the program by a
/// test.
pub(super) struct WrittenPage {
    /// `pushflow.toml`.
    pub name: &'static str,
    /// `5`.
    pub section: &'static str,
    /// The page, in Markdown.
    pub markdown: &'static str,
}

macro_rules! page {
    ($name:literal, $section:literal) => {
        WrittenPage {
            name: $name,
            section: $section,
            markdown: include_str!(concat!("../../../packaging/man/", $name, ".", $section, ".md")),
        }
    };
}

pub(super) const PAGES: [WrittenPage; 7] = [
    page!("pushflow", "1"),
    page!("pushflow-mx", "1"),
    page!("pushflow.toml", "5"),
    page!("org.pushflow.Workflow1", "5"),
    page!("pushflow-migration", "7"),
    page!("pushflow-troubleshooting", "7"),
    page!("pushflow@.service", "8"),
];

/// Whether the converter is installed.
pub(super) fn can_be_converted() -> bool {
    Command::new("lowdown").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl WrittenPage {
    /// The page in the language of man(7).
    pub(super) fn roff(&self) -> anyhow::Result<String> {
        let mut lowdown = Command::new("lowdown");
        lowdown.args(["-s", "-t", "man", "--out-no-smarty", "--parse-no-autolink"]);
        // Sections are headings of the second level: the first is the title of the page in the repository.
        lowdown.args(["-M", "shiftheadinglevelby=-1", "-M", "date=", "-M", "volume=pushflow"]);
        lowdown.args(["-M", &format!("title={}", self.name), "-M", &format!("section={}", self.section)]);
        lowdown.args(["-M", concat!("source=pushflow ", env!("CARGO_PKG_VERSION"))]);
        let mut child = lowdown
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start lowdown")?;
        // It reads everything before it writes anything.
        let mut stdin = child.stdin.take().context("lowdown has no standard input")?;
        stdin.write_all(for_man(self.markdown).as_bytes()).context("cannot write to lowdown")?;
        drop(stdin);
        let output = child.wait_with_output().context("cannot read from lowdown")?;
        if !output.status.success() {
            bail!("lowdown: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let roff = String::from_utf8(output.stdout).context("cannot read from lowdown")?;
        Ok(tidied(&roff))
    }
}

/// Markdown as a manual page needs it: without the title, with links to other pages as `name(5)`, and without the targets of other links
/// within the repository.
fn for_man(markdown: &str) -> String {
    let body = markdown.split_once("\n\n").map_or(markdown, |(_, body)| body);
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        match link(from) {
            Some((label, target, after)) if !target.contains("://") => {
                match label.strip_suffix(')').and_then(|label| label.rsplit_once('(')) {
                    Some((name, section)) if target == format!("{name}.{section}.md") => {
                        text.push_str(&format!("**{name}**({section})"));
                    }
                    _ => text.push_str(label),
                }
                rest = after;
            }
            _ => {
                text.push('[');
                rest = &from[1..];
            }
        }
    }
    text + rest
}

/// `[pushflow.toml(5)](pushflow.toml.5.md)` at the beginning of a text: the label, the target, and what follows.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (target, after) = rest.split_once(')')?;
    (!label.contains(['[', '\n']) && !target.contains([' ', '\n'])).then_some((label, target, after))
}

/// Replaces what mandoc(1) does not know or groff(1) shows differently: code is bold, hyphens and quotes can be copied from the
/// terminal, and a list whose entries begin with a line of their own is a list of definitions.
fn tidied(roff: &str) -> String {
    let mut text = String::with_capacity(roff.len());
    if roff.contains("\n.TS\n") {
        // So that man(1) calls tbl(1).
        text.push_str("'\\\" t\n");
    }
    let lines: Vec<&str> = roff.lines().skip_while(|line| line.starts_with(".\\\"")).collect();
    let mut at = 0;
    while at < lines.len() {
        match &lines[at..] {
            [title, ..] if title.starts_with(".TH ") => {
                // Names are not hyphenated, and narrow columns of tables are not stretched.
                text.push_str(&format!("{title}\n.nh\n.nr HY 0\n.ad l\n"));
                at += 1;
            }
            ["tab(|) expand allbox;", ..] => {
                // Expanded, wide tables are wider than the line.
                text.push_str("tab(|) allbox;\n");
                at += 1;
            }
            [heading @ (".SH" | ".SS"), title, ".LP", ..] => {
                text.push_str(&format!("{heading} \"{}\"\n", literal(title)));
                at += 3;
            }
            [heading @ (".SH" | ".SS"), title, ..] => {
                text.push_str(&format!("{heading} \"{}\"\n", literal(title)));
                at += 2;
            }
            [".IP \"\\(bu\" 2", term, ".br", ..] => {
                text.push_str(&format!(".TP\n{}\n", literal(term)));
                at += 3;
            }
            [line, ..] => {
                text.push_str(&if line.starts_with('.') { (*line).to_owned() } else { literal(line) });
                text.push('\n');
                at += 1;
            }
            [] => {}
        }
    }
    text
}

/// A line of text.
fn literal(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for char in line.replace("\\fC", "\\fB").chars() {
        match char {
            '-' => text.push_str("\\-"),
            '\'' => text.push_str("\\(aq"),
            '^' => text.push_str("\\(ha"),
            '`' => text.push_str("\\(ga"),
            char => text.push(char),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{for_man, tidied};

    #[test]
    fn links_to_pages_are_references_and_those_into_the_repository_are_text() {
        let page = "# a(1)\n\nSee [b.toml(5)](b.toml.5.md), [c](../c.md), [d](https://d.org/) and [pool].\n";
        assert_eq!(for_man(page), "See **b.toml**(5), c, [d](https://d.org/) and [pool].\n");
    }

    #[test]
    fn what_is_copied_from_a_page_is_ascii() {
        assert_eq!(tidied("\\fC--all\\fR isn't -a\n"), "\\fB\\-\\-all\\fR isn\\(aqt \\-a\n");
    }

    #[test]
    fn entries_with_a_line_of_their_own_are_definitions() {
        let list = ".IP \"\\(bu\" 2\n\\fBkeep\\fR\n.br\nHow long.\n.IP \"\\(bu\" 2\nplain\n";
        assert_eq!(tidied(list), ".TP\n\\fBkeep\\fR\nHow long.\n.IP \"\\(bu\" 2\nplain\n");
    }

    #[test]
    fn headings_are_one_line() {
        assert_eq!(tidied(".SH\nSEE ALSO\n.LP\na\n"), ".SH \"SEE ALSO\"\na\n");
    }
}
