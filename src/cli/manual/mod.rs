//! `pushflow man`: the manual pages, made from what they describe: the command line, the keys of the workflow file, the
//! D-Bus interfaces. What has to be said in words stands in `packaging/man`.

mod bus;
mod keys;
mod text;
mod verbs;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::{Exit, Failure};

/// The arguments of `pushflow man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The packages install them. Without packages:
  pushflow man ~/.local/share/man
  man pushflow

Example:
  pushflow man /usr/local/share/man")]
pub(super) struct ManArgs {
    /// The folder that has man1, man5 and man8 below it, or will have
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
    for page in pages() {
        let folder = args.folder.join(format!("man{}", page.section));
        let path = folder.join(format!("{}.{}", page.name, page.section));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        fs::write(&path, page.roff).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Exit::Finished)
}

fn pages() -> Vec<Page> {
    let mut pages = verbs::pages();
    pages.extend([
        Page { name: "pushflow.toml".to_owned(), section: "5", roff: keys::page() },
        Page { name: "org.pushflow.Workflow1".to_owned(), section: "5", roff: bus::page() },
        Page {
            name: "pushflow@.service".to_owned(),
            section: "8",
            roff: text::filled(include_str!("../../../packaging/man/pushflow@.service.8"), |_| None),
        },
    ]);
    pages
}
