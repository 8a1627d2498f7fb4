//! Names of actors, submodels, ports and pools. As in pypushflow they are free text, except for the separators in paths and links.

use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::quoted;
use crate::config::toml::source::Located;

/// A name. Short names, of which a large file has many, need no allocation.
pub(in crate::config) type Name = smol_str::SmolStr;

/// Reports an invalid name.
pub(in crate::config) fn check_name(what: &str, name: &Located<impl AsRef<str>>, problems: &mut Problems) {
    let text = name.value.as_ref();
    let (reason, help) = if text.is_empty() {
        ("empty", "write a name")
    } else if text.contains('.') && what != "a workflow" {
        ("contains a dot", "a dot separates a submodel from its port; use another character")
    } else if text.contains('/') {
        ("contains a slash", "slashes separate the parts of an actor's path; use another character")
    } else if text.chars().any(char::is_control) {
        ("contains a control character", "use printable characters")
    } else if text.trim() != text {
        ("begins or ends with a space", "remove the space")
    } else if text.len() > 200 {
        ("longer than 200 bytes", "choose a shorter name")
    } else {
        return;
    };
    problems.error(name.at, format!("{} cannot be the name of {what}", quoted(text))).label(reason).help(help);
}
