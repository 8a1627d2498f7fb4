//! Checks of the users that drop-ins set for system services: whether D-Bus policy and polkit know them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, ParsingOptions};

use super::finding::Finding;

const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
const POLICIES: [&str; 2] = ["/etc/dbus-1/system.d", "/usr/share/dbus-1/system.d"];
const ACTIONS: &str = "/usr/share/polkit-1/actions/org.pushflow.policy";
const OWNER: &str = "org.freedesktop.policykit.owner";
const TEMPLATE: &str = "/usr/share/pushflow/units/user.conf";

/// Findings about users other than root and pushflow.
pub(super) fn look(has_polkit: bool) -> Vec<Finding> {
    let settings: Vec<String> = settings().iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let users: BTreeSet<&str> = settings.iter().flat_map(|text| users(text)).collect();
    let policies: Vec<String> = POLICIES.iter().flat_map(|folder| texts(Path::new(folder))).collect();
    let actions = fs::read_to_string(ACTIONS).ok().filter(|_| has_polkit);
    let mut findings: Vec<Finding> =
        users.into_iter().map(|user| assess(user, &policies, actions.as_deref())).collect();
    if settings.iter().any(|text| is_dynamic(text)) {
        findings.push(Finding::note(
            CHECK,
            "a service has DynamicUser=",
            format!(
                "the D-Bus policy has no rule for such a user, so runs cannot be submitted; set a user as in {TEMPLATE}"
            ),
        ));
    }
    findings
}

const CHECK: &str = "user of a service";

/// The drop-ins of the unit.
fn settings() -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("pushflow@"))
    };
    let ours = UNITS.iter().flat_map(|folder| entries(Path::new(folder))).filter(is_ours);
    ours.flat_map(|path| if path.is_dir() { entries(&path).collect() } else { vec![path] }).collect()
}

fn texts(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
}

fn values<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| Some(line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?.trim()))
}

/// The users that a file names, except those that need no rule.
fn users(text: &str) -> impl Iterator<Item = &str> {
    values(text, "User").filter(|user| !["", "root", "0", "pushflow"].contains(user))
}

fn is_dynamic(text: &str) -> bool {
    values(text, "DynamicUser").last().is_some_and(|value| ["yes", "true", "on", "1"].contains(&value))
}

fn assess(user: &str, policies: &[String], actions: Option<&str>) -> Finding {
    if !policies.iter().any(|policy| may_own(policy, user)) {
        let advice =
            format!("runs cannot be submitted to its workflows; {TEMPLATE} has the rule for /etc/dbus-1/system.d");
        return Finding::note(
            CHECK,
            format!("the D-Bus policy does not allow {user} to own the names of workflows"),
            advice,
        );
    }
    if actions.is_some_and(|actions| !is_owner(actions, user)) {
        let advice = format!("members of the group pushflow are refused; {TEMPLATE} describes the change of {ACTIONS}");
        return Finding::note(CHECK, format!("polkit does not answer {user}"), advice);
    }
    Finding::fine(CHECK, format!("{user}: known to the bus{}", if actions.is_some() { " and polkit" } else { "" }))
}

/// Whether a D-Bus policy allows a user to own the names of workflows.
fn may_own(policy: &str, user: &str) -> bool {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let Ok(document) = Document::parse_with_options(policy, options) else { return false };
    let its = document.descendants().filter(|node| node.attribute("user") == Some(user));
    its.flat_map(|node| node.descendants()).any(|node| {
        let owned = ["own", "own_prefix"].into_iter().find_map(|name| node.attribute(name));
        node.has_tag_name("allow")
            && owned.is_some_and(|name| name == "*" || name.starts_with("org.pushflow.Workflow1"))
    })
}

/// Whether a user may check authorisations of all polkit actions.
fn is_owner(actions: &str, user: &str) -> bool {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let Ok(document) = Document::parse_with_options(actions, options) else { return false };
    let wanted = format!("unix-user:{user}");
    document.descendants().filter(|node| node.has_tag_name("action")).all(|action| {
        let mut owners = action.children().filter(|node| node.attribute("key") == Some(OWNER));
        owners.any(|owner| owner.text().is_some_and(|users| users.split_whitespace().any(|user| user == wanted)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const POLICY: &str = include_str!("../../../packaging/dbus/org.pushflow.conf");
    const ACTIONS: &str = include_str!("../../../packaging/polkit/org.pushflow.policy");

    #[test]
    fn the_user_that_is_installed_is_known_to_the_bus_and_to_polkit() {
        assert_eq!(assess("pushflow", &[POLICY.to_owned()], Some(ACTIONS)).state, State::Fine);
    }

    #[test]
    fn another_user_is_told_what_is_missing_first_the_bus_then_polkit() {
        let unknown = assess("beamline", &[POLICY.to_owned()], Some(ACTIONS));
        assert!(unknown.found.contains("D-Bus policy"), "{}", unknown.found);
        let policies = [POLICY.to_owned(), POLICY.replace("user=\"pushflow\"", "user=\"beamline\"")];
        let refused = assess("beamline", &policies, Some(ACTIONS));
        assert_eq!(refused.found, "polkit does not answer beamline");
        assert_eq!(assess("beamline", &policies, None).state, State::Fine);
        let both = ACTIONS.replace("unix-user:pushflow", "unix-user:pushflow unix-user:beamline");
        assert_eq!(assess("beamline", &policies, Some(&both)).state, State::Fine);
    }

    #[test]
    fn drop_ins_name_users() {
        let text = "# User=a\n[Service]\nUser = beamline\nUser=\nDynamicUser=yes\n";
        assert_eq!(users(text).collect::<Vec<_>>(), ["beamline"]);
        assert!(is_dynamic(text) && !is_dynamic("DynamicUser=yes\nDynamicUser=no"));
        assert_eq!(users("User=pushflow\nUser=root").count(), 0);
    }
}
