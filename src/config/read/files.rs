//! Reads files: their text, and the tree of a TOML file.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::quoted;
use crate::config::toml::source::{Location, Source};
use crate::config::toml::syntax::{self, Syntax};
use crate::config::toml::tree::TomlTable;

/// Maximum size of a file. A workflow of 100,000 actors has 10 MiB.
const MAX_SIZE: u64 = 64 << 20;

/// Reads the text of a workflow file. Pipes and devices are refused: reading them might never end.
///
/// # Errors
/// If the file cannot be read, is not a regular file, is too large, or is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(path)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the file is not UTF-8 text"))
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "it is a folder" } else { "it is a pipe or a device, not a file" };
        return Err(io::Error::other(what));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        let what = format!("it is larger than {} MiB", MAX_SIZE >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// Reads the text of a file and reports errors, except that the file does not exist: the caller reports that.
pub(in crate::config) fn read(
    name: &str,
    path: &Path,
    problems: &mut Problems,
) -> Result<(u32, Arc<Source>), ErrorKind> {
    match read_bytes(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(problems.add_source(Source::new(name, path, text))),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let (id, _) = problems.add_source(Source::new(name, path, text));
            problems
                .error(Location::new(id, at..at + 1), "the file is not UTF-8 text")
                .label("first invalid byte")
                .help("save the file as UTF-8");
            Err(ErrorKind::InvalidData)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ErrorKind::NotFound),
        Err(error) => {
            let (id, _) = problems.add_source(Source::new(name, path, ""));
            problems.file_error(id, format!("cannot read the file: {error}"));
            Err(error.kind())
        }
    }
}

/// Parses a text and reports its errors. If the syntax is wrong, nothing more is checked: the meaning of a broken line is a guess.
/// Duplicate keys and tables are reported and left out, and the rest is checked.
pub(in crate::config) fn parse<'s>(id: u32, source: &'s Source, problems: &mut Problems) -> Option<TomlTable<'s>> {
    let Syntax { table, errors } = syntax::read(id, source.text());
    let mut last_line = None;
    for (at, message) in &errors.broken {
        // Further errors in a line are often consequences of the first one.
        let line = source.line(at.span().start);
        if last_line.replace(line) != Some(line) {
            problems.error(*at, format!("invalid TOML: {message}")).label("here");
        }
    }
    let duplicate_links = report_duplicates(source, &errors.duplicates, problems);
    (errors.broken.is_empty() && !duplicate_links).then_some(table)
}

/// Reports duplicates. Returns whether the list of links is one of them: then the graph cannot be checked.
fn report_duplicates(source: &Source, duplicates: &[Location], problems: &mut Problems) -> bool {
    let mut duplicate_links = false;
    for at in duplicates {
        let key = &source.text()[at.span()];
        let help = match key {
            "links" if duplicate_links => continue,
            "links" => {
                duplicate_links = true;
                "write all links in the same form: each below [[links]], or all in one list"
            }
            _ => "remove one of the two, or rename it",
        };
        problems.error(*at, format!("{} is defined twice", quoted(key))).label("second definition").help(help);
    }
    duplicate_links
}
