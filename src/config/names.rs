//! Names of actors, submodels, ports and pools: free text, as in pypushflow, but for what paths and links are made of.

use super::diagnostics::Problems;
use super::source::At;
use super::suggest::quoted;

/// A name. Most are short, and a large file has very many: such a text takes no memory of its own.
pub(super) type Name = smol_str::SmolStr;

/// Reports a name that cannot be one.
pub(super) fn check_name(what: &str, name: &At<impl AsRef<str>>, problems: &mut Problems) {
    let text = name.value.as_ref();
    let (reason, help) = if text.is_empty() {
        ("it is empty", "give it a name")
    } else if text.contains('.') && what != "a workflow" {
        ("it has a dot", "a dot stands between a submodel and its port; use another character")
    } else if text.contains('/') {
        ("it has a slash", "slashes stand between the names of an actor's path; use another character")
    } else if text.chars().any(char::is_control) {
        ("it has a control character", "use characters that can be seen")
    } else if text.trim() != text {
        ("it begins or ends with a space", "take the space away")
    } else if text.len() > 200 {
        ("it is longer than 200 bytes", "choose a shorter one")
    } else {
        return;
    };
    problems.error(name.at, format!("{} cannot be the name of {what}", quoted(text))).label(reason).help(help);
}
