//! org.pushflow.Workflow1(5): the interfaces as they are installed, and what each of their members is for.

use roxmltree::{Document, Node, ParsingOptions};

use super::text::{filled, plain, with_code};

/// The interfaces, with the heading and the object of each.
const INTERFACES: [(&str, &str, &str); 4] = [
    ("WORKFLOW", "/org/pushflow/workflow", include_str!("../../../packaging/dbus/org.pushflow.Workflow1.xml")),
    ("RUN", "/org/pushflow/workflow/run/12", include_str!("../../../packaging/dbus/org.pushflow.Run1.xml")),
    ("ACTOR", "/org/pushflow/workflow/actor/index", include_str!("../../../packaging/dbus/org.pushflow.Actor1.xml")),
    (
        "PROCESS",
        "/org/pushflow/workflow/process/4711",
        include_str!("../../../packaging/dbus/org.pushflow.Process1.xml"),
    ),
];

/// What the members are for, by interface.
const MEMBERS: &str = include_str!("../../../packaging/man/members.toml");

const CHANGES: &str = "org.freedesktop.DBus.Property.EmitsChangedSignal";

pub(super) fn page() -> String {
    let members: toml::Table = MEMBERS.parse().expect("packaging/man/members.toml is TOML, as a test shows");
    filled(include_str!("../../../packaging/man/org.pushflow.Workflow1.5"), |word| {
        let (_, object, xml) = INTERFACES.into_iter().find(|(name, ..)| *name == word)?;
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(xml, options).expect("the interfaces are XML, as a test shows");
        let interface = document.descendants().find(|node| node.has_tag_name("interface"))?;
        Some(listing(object, interface) + &explanations(interface, &members))
    })
}

fn name<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("name").unwrap_or_default()
}

fn all<'a, 'i>(interface: Node<'a, 'i>, tag: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    interface.children().filter(move |node| node.has_tag_name(tag))
}

/// The interface as busctl(1) and the manual pages of systemd show one.
fn listing(object: &str, interface: Node<'_, '_>) -> String {
    let mut lines = vec![format!("node {object} {{"), format!("  interface {} {{", name(interface))];
    for (tag, title) in [("method", "methods"), ("signal", "signals"), ("property", "properties")] {
        let members: Vec<_> = all(interface, tag).collect();
        if !members.is_empty() {
            lines.push(format!("    {title}:"));
        }
        for member in members {
            if tag == "property" {
                let changes = all(member, "annotation").find(|note| name(*note) == CHANGES);
                let changes = changes.and_then(|note| note.attribute("value")).unwrap_or("true");
                lines.push(format!("      @{CHANGES}(\"{changes}\")"));
                let access = if member.attribute("access") == Some("read") { "readonly" } else { "readwrite" };
                let kind = member.attribute("type").unwrap_or_default();
                lines.push(format!("      {access} {kind} {} = ...;", name(member)));
                continue;
            }
            let arguments: Vec<String> = all(member, "arg")
                .map(|argument| {
                    let direction = if tag == "method" { argument.attribute("direction").unwrap_or("in") } else { "" };
                    let kind = argument.attribute("type").unwrap_or_default();
                    format!("{direction} {kind} {}", name(argument)).trim().to_owned()
                })
                .collect();
            lines.push(format!("      {}({});", name(member), arguments.join(", ")));
        }
    }
    lines.extend(["  };".to_owned(), "};".to_owned()]);
    format!(".PP\n.nf\n{}\n.fi\n", plain(&lines.join("\n")))
}

fn explanations(interface: Node<'_, '_>, members: &toml::Table) -> String {
    let mut roff = String::new();
    for (tag, title, call) in [("method", "Methods", "()"), ("signal", "Signals", ""), ("property", "Properties", "")] {
        let mut entries = all(interface, tag).peekable();
        if entries.peek().is_some() {
            roff.push_str(&format!(".SS {title}\n"));
        }
        for member in entries {
            let what = explanation(members, name(interface), name(member)).unwrap_or_default();
            roff.push_str(&format!(".TP\n\\fB{}{call}\\fR\n{}\n", plain(name(member)), with_code(what)));
        }
    }
    roff
}

fn explanation<'a>(members: &'a toml::Table, interface: &str, member: &str) -> Option<&'a str> {
    let table = members.get(interface.rsplit('.').next().unwrap_or_default())?;
    table.get(member).or_else(|| members.get("Figures")?.get(member))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_the_interfaces_is_explained() {
        let members: toml::Table = MEMBERS.parse().expect("TOML");
        for (_, _, xml) in INTERFACES {
            let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
            let document = Document::parse_with_options(xml, options).expect("XML");
            let interface = document.descendants().find(|node| node.has_tag_name("interface")).expect("an interface");
            for member in ["method", "signal", "property"].into_iter().flat_map(|tag| all(interface, tag)) {
                let what = explanation(&members, name(interface), name(member));
                let (interface, member) = (name(interface), name(member));
                assert!(
                    what.is_some_and(|what| what.ends_with('.')),
                    "packaging/man/members.toml says nothing of {interface}.{member}"
                );
            }
        }
    }

    #[test]
    fn every_interface_that_is_installed_is_shown() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/dbus");
        let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let texts: Vec<String> = files
            .filter(|path| path.extension().is_some_and(|ending| ending == "xml"))
            .map(|path| std::fs::read_to_string(path).expect("a file"))
            .collect();
        assert_eq!(texts.len(), INTERFACES.len());
        assert!(texts.iter().all(|text| INTERFACES.iter().any(|(_, _, shown)| shown == text)));
    }

    #[test]
    fn every_error_is_explained() {
        let code = include_str!("../../bus/refusal.rs");
        let names: Vec<&str> = code.split('"').filter(|text| text.starts_with("org.pushflow.Error.")).collect();
        let page = page();
        assert!(names.len() > 4, "{names:?}");
        for name in names {
            assert!(page.contains(&format!(".B {name}\n")), "the page says nothing of {name}");
        }
    }

    #[test]
    fn the_page_shows_each_interface() {
        let page = page();
        for line in ["interface org.pushflow.Workflow1 {", "Run(in a{sv} inputs, in a{sv} options, out o run);"] {
            assert!(page.contains(line), "{line} in {page}");
        }
        assert!(!page.contains("@RUN@") && page.contains("interface org.pushflow.Run1 {"), "{page}");
    }
}
