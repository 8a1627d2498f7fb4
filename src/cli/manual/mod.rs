//! `pushflow man`: writes the manual pages. Those of the verbs are generated from the definition of the command line. The others are
//! Markdown files in `packaging/man`, converted by lowdown(1). A test compares generated lists in them with the program, and writes
//! them.

#[cfg(test)]
mod lists;
mod page;
mod text;
mod verbs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::{Exit, Failure};

/// The arguments of `pushflow man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The packages install the manual pages. Without packages, with lowdown installed:
  pushflow man ~/.local/share/man
  man pushflow

Example:
  pushflow man /usr/local/share/man")]
pub(super) struct ManArgs {
    /// The folder for man1, man5, man7 and man8
    #[arg(value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

/// A page.
struct Page {
    /// `pushflow-run`.
    name: String,
    /// `1`.
    section: &'static str,
    /// In the language of man(7).
    roff: String,
}

pub(super) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    for page in verbs::pages() {
        write(&args.folder, &page)?;
    }
    if !page::can_be_converted() {
        let names: Vec<String> = page::PAGES.iter().map(|page| format!("{}({})", page.name, page.section)).collect();
        return Err(anyhow!("cannot write {}: lowdown is not installed (apt install lowdown)", names.join(", ")).into());
    }
    for page in &page::PAGES {
        let roff = page.roff().with_context(|| format!("cannot convert {}({})", page.name, page.section))?;
        write(&args.folder, &Page { name: page.name.to_owned(), section: page.section, roff })?;
    }
    Ok(Exit::Finished)
}

fn write(folder: &Path, page: &Page) -> anyhow::Result<()> {
    let folder = folder.join(format!("man{}", page.section));
    let path = folder.join(format!("{}.{}", page.name, page.section));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    fs::write(&path, &page.roff).with_context(|| format!("cannot write {}", path.display()))
}
