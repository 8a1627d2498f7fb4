//! The page of each verb, generated from its `--help`.

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use super::Page;
use super::text::{plain, with_code};

/// Related pages of each verb, in addition to pushflow(1).
const ALSO: [(&str, &str); 16] = [
    ("new", "pushflow.toml(5), pushflow-run(1), pushflow-check(1), pushflow-schema(1)"),
    ("run", "pushflow.toml(5), pushflow-check(1), pushflow-ps(1)"),
    ("ps", "pushflow-status(1), systemd-cgls(1)"),
    ("check", "pushflow.toml(5), pushflow-schema(1)"),
    ("graph", "pushflow.toml(5)"),
    ("serve", "pushflow@.service(8), pushflow.toml(5), org.pushflow.Workflow1(5)"),
    ("list", "pushflow-status(1), pushflow@.service(8)"),
    ("submit", "pushflow-status(1), pushflow-stop(1), pushflow@.service(8), org.pushflow.Workflow1(5)"),
    ("status", "pushflow-list(1), pushflow-stop(1), journalctl(1), org.pushflow.Workflow1(5)"),
    ("history", "pushflow-show(1), pushflow-status(1), pushflow.toml(5), pushflow@.service(8)"),
    ("show", "pushflow-history(1), pushflow-status(1), journalctl(1)"),
    ("stop", "pushflow-status(1), pushflow@.service(8)"),
    ("check-pools", "pushflow-check-daemonic(1), pushflow-doctor(1), pushflow.toml(5)"),
    ("check-daemonic", "pushflow-check-pools(1), pushflow-doctor(1), pushflow.toml(5)"),
    ("doctor", "pushflow-check-pools(1), pushflow@.service(8), user@.service(5)"),
    ("schema", "pushflow-check(1), pushflow.toml(5)"),
];

pub(super) fn pages() -> Vec<Page> {
    let mut command = crate::cli::command();
    command.build();
    command.get_subcommands().map(|verb| page(verb, &also(verb.get_name()))).collect()
}

fn also(verb: &str) -> String {
    let more = ALSO.iter().find(|(name, _)| *name == verb).map_or("", |(_, also)| also);
    if more.is_empty() { "pushflow(1)".to_owned() } else { format!("pushflow(1), {more}") }
}

fn page(command: &Command, also: &str) -> Page {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let man = Man::new(command.clone());
    // clap_mangen's title has its fields in the wrong places without a date. A date would change with each build.
    let title = format!(".TH {} 1 \"\" \"pushflow {}\" pushflow\n", plain(&name), env!("CARGO_PKG_VERSION"));
    let mut out = title.into_bytes();
    let mut parts = man.render_name_section(&mut out);
    out.extend(synopsis(command).as_bytes());
    parts = parts.and_then(|()| man.render_description_section(&mut out));
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (description, sections) = taken_apart(&after);
    out.extend(description.as_bytes());
    parts = parts.and_then(|()| man.render_options_section(&mut out));
    parts.expect("memory takes what is written to it");
    out.extend(sections.as_bytes());
    let mut end = Roff::new();
    end.control("SH", ["SEE ALSO"]);
    end.text(references(also));
    out.extend(end.to_roff().as_bytes());
    let roff = String::from_utf8(out).expect("what is made of strings is text");
    Page { name, section: "1", roff }
}

/// The synopsis of `--help`. That of clap_mangen lists all options, without their values.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    format!(".SH SYNOPSIS\n\\fB{}\\fR{}\n", plain(name), plain(usage.strip_prefix(name).unwrap_or(usage)))
}

/// `pushflow-run(1), …`: the names in bold, as manual pages have them.
fn references(also: &str) -> Vec<roff::Inline> {
    let mut inlines = Vec::new();
    for (at, reference) in also.split(", ").enumerate() {
        let (name, section) = reference.split_at(reference.rfind('(').unwrap_or(reference.len()));
        if at > 0 {
            inlines.push(roman(", "));
        }
        inlines.extend([bold(name), roman(section)]);
    }
    inlines
}

/// The text below the options of `--help`: what belongs to the description, and the sections that follow the options.
/// Paragraphs are separated by empty lines; the first word of one says what it is.
fn taken_apart(after_help: &str) -> (String, String) {
    let (mut description, mut sections) = (String::new(), String::new());
    let mut paragraphs: Vec<&str> = after_help.split("\n\n").filter(|paragraph| !paragraph.is_empty()).collect();
    // The usual order of a page, whatever that of `--help` is.
    paragraphs.sort_by_key(|paragraph| paragraph.starts_with("Example"));
    for paragraph in paragraphs {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        match first {
            "Example:" | "Examples:" => sections.push_str(&format!(".SH EXAMPLES\n{}", unfilled(rest))),
            "Exit status:" => sections.push_str(&format!(".SH \"EXIT STATUS\"\n{}", unfilled(rest))),
            first if first.starts_with("Exit status") => {
                sections.push_str(&format!(".SH \"EXIT STATUS\"\n{}\n", with_code(paragraph)));
            }
            first if first.ends_with(':') && rest.starts_with(' ') => {
                description.push_str(&format!(".PP\n{}\n.PP\n{}", with_code(first), unfilled(rest)));
            }
            _ => description.push_str(&format!(".PP\n{}\n", with_code(paragraph))),
        }
    }
    (description, sections)
}

/// Lines that stay lines.
fn unfilled(lines: &str) -> String {
    let lines: Vec<String> = lines.lines().map(|line| plain(line.strip_prefix("  ").unwrap_or(line))).collect();
    format!(".RS 4\n.nf\n{}\n.fi\n.RE\n", lines.join("\n"))
}
