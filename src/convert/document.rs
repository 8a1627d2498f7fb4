//! The text of the converted workflow file.

use std::fmt::Write as _;

use super::Converted;
use super::instance::{Instance, Node, Value, What};
use super::names;
use super::placement::{PlacedLink, PlacedScope, When};
use super::walk::Source;
use crate::text;

/// Writes the file and its warnings.
pub(super) fn write(source: &Source, instance: &Instance, scopes: &[PlacedScope]) -> Converted {
    let mut writer = Writer { instance, scopes, text: String::new() };
    writer.head(source);
    writer.links(0);
    writer.workflow(source);
    writer.contents(0, "");
    Converted {
        toml: writer.text,
        warnings: instance.warnings.iter().map(|warning| sentence(instance, warning)).collect(),
    }
}

fn sentence(instance: &Instance, warning: &super::instance::Warning) -> String {
    match warning.node {
        Some(node) => text::line(&format!("actor \"{}\": {}", instance.nodes[node].name, warning.text)).into_owned(),
        None => text::line(&warning.text).into_owned(),
    }
}

struct Writer<'a> {
    instance: &'a Instance,
    scopes: &'a [PlacedScope],
    text: String,
}

impl Writer<'_> {
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    fn entry(&mut self, key: &str, value: impl AsRef<str>) {
        self.line(format!("{key} = {}", value.as_ref()));
    }

    fn head(&mut self, source: &Source) {
        let class = source.class.as_ref().map(|class| format!(":{class}")).unwrap_or_default();
        self.comment(&format!("Converted from the pypushflow workflow {}{class} by pushflow convert.", source.module));
        for warning in &self.instance.warnings {
            if warning.node.is_none_or(|node| !self.has_table(node)) {
                self.comment(&format!("WARNING: {}", sentence(self.instance, warning)));
            }
        }
        self.line("");
    }

    fn comment(&mut self, text: &str) {
        self.line(format!("# {}", text::line(text)));
    }

    fn has_table(&self, node: usize) -> bool {
        self.scopes.iter().any(|scope| scope.actors.iter().any(|(number, _)| *number == node))
    }

    fn links(&mut self, scope: usize) {
        let links = &self.scopes[scope].links;
        if links.is_empty() {
            return;
        }
        self.line("links = [");
        for link in links {
            self.line(format!("    {},", inline_link(link)));
        }
        self.line("]");
    }

    fn workflow(&mut self, source: &Source) {
        self.line("\n[workflow]");
        self.entry("name", text(&names::of_workflow(&self.instance.name)));
        if let Some(python) = &source.python {
            let python = std::path::absolute(python).unwrap_or_else(|_| python.clone());
            self.entry("python", text(&python.to_string_lossy()));
        }
        if !self.instance.paths.is_empty() {
            self.entry("paths", list(&self.instance.paths));
        }
        if self.instance.gevent {
            self.entry("gevent", "true");
        }
        self.on_error(0);
    }

    fn on_error(&mut self, scope: usize) {
        let names: Vec<&String> = self.scopes[scope].on_error.iter().map(|target| &target.name).collect();
        if !names.is_empty() {
            self.entry("on_error", list(names));
        }
    }

    fn contents(&mut self, scope: usize, prefix: &str) {
        let placed = &self.scopes[scope];
        for (number, name) in &placed.actors {
            self.actor(*number, scope, name, prefix);
        }
        for &submodel in &placed.submodels {
            self.submodel(submodel, prefix);
        }
    }

    fn actor(&mut self, number: usize, scope: usize, name: &str, prefix: &str) {
        let node = &self.instance.nodes[number];
        self.line("");
        for warning in self.instance.warnings.iter().filter(|warning| warning.node == Some(number)) {
            self.comment(&format!("WARNING: {}", warning.text));
        }
        self.line(format!("[{prefix}actors.{}]", key(name)));
        match &node.what {
            What::Python { script, .. } => self.entry("script", text(script)),
            What::Router { item, .. } => {
                self.entry("kind", text("router"));
                self.entry("item", value(item));
            }
            What::Join { arrivals } => {
                self.entry("kind", text("join"));
                self.arrivals(*arrivals, scope, name);
            }
            What::Status { word } => {
                self.entry("kind", text("status"));
                self.entry("status", text(word));
            }
            What::ErrorHandler => self.entry("kind", text("error-handler")),
            What::Fork | What::Start | What::Stop | What::Port => self.entry("kind", text("fork")),
        }
        if node.what.errors().is_some_and(|errors| errors.bubble_to.is_some()) {
            self.entry("bubble_errors", "true");
        }
        self.note_on_name(node, name);
    }

    fn arrivals(&mut self, arrivals: usize, scope: usize, name: &str) {
        if arrivals == 0 {
            self.comment(
                "pypushflow's join never fires: its numberOfThreads is 0. This one waits for all of its links.",
            );
        } else if arrivals != self.incoming(scope, name) {
            self.entry("arrivals", arrivals.to_string());
        }
    }

    /// How many links lead to an actor, `on_error` included.
    fn incoming(&self, scope: usize, name: &str) -> usize {
        let errors = self.scopes.iter().flat_map(|placed| &placed.on_error);
        let errors = errors.filter(|target| target.known_in == scope).map(|target| &target.name);
        self.scopes[scope].links.iter().map(|link| &link.to).chain(errors).filter(|to| *to == name).count()
    }

    fn note_on_name(&mut self, node: &Node, name: &str) {
        if !name.starts_with(&node.name) && !node.name.trim().is_empty() {
            self.comment(&format!("pypushflow's name: {}", node.name));
        }
    }

    fn submodel(&mut self, scope: usize, prefix: &str) {
        let placed = &self.scopes[scope];
        let path = format!("{prefix}submodels.{}", key(&placed.name));
        self.line(format!("\n[{path}]"));
        if !placed.ports.is_empty() {
            self.entry("ports", list(&placed.ports));
        }
        self.on_error(scope);
        self.links(scope);
        self.contents(scope, &format!("{path}."));
    }
}

fn inline_link(link: &PlacedLink) -> String {
    let mut inline = format!("{{ from = {}, to = {}", text(&link.from), text(&link.to));
    match &link.when {
        When::Success => {}
        When::Error => inline.push_str(", on_error = true"),
        When::Port(port) => {
            let _ = write!(inline, ", port = {}", value(port));
        }
    }
    inline + " }"
}

fn value(value: &Value) -> String {
    match value {
        Value::Text(written) => text(written),
        Value::Int(number) => number.to_string(),
    }
}

/// A string on one line.
fn text(written: &str) -> String {
    let mut quoted = String::from("\"");
    for c in written.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { name.into() } else { text(name) }
}

fn list<'a>(items: impl IntoIterator<Item = &'a String>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| text(item)).collect();
    format!("[{}]", items.join(", "))
}
