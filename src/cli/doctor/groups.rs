//! Checks of cgroups: version, controllers, delegation to this user.

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::finding::Finding;
use crate::cgroup::{Controllers, NotFound, Own, own};

const CHECK: &str = "control groups";
const UNIFIED: &str = "boot with systemd.unified_cgroup_hierarchy=1 to get limits and all usage figures";

pub(super) fn look() -> Vec<Finding> {
    findings(own(Path::new("/proc/self")), geteuid().as_raw())
}

fn findings(own: Result<Own, NotFound>, user: u32) -> Vec<Finding> {
    let own = match own {
        Ok(own) => own,
        Err(error) => return vec![Finding::note(CHECK, error.to_string(), UNIFIED)],
    };
    let mut findings = match own.hybrid {
        true => vec![Finding::note(CHECK, "versions 1 and 2; version 1 has the controllers", UNIFIED)],
        false => vec![Finding::fine(CHECK, "version 2"), controllers(&own)],
    };
    if user != 0 {
        findings.push(delegation(&own, user));
    }
    findings
}

fn controllers(own: &Own) -> Finding {
    match Controllers::offered(&own.mount) {
        Err(error) => Finding::note("controllers", error.to_string(), "check that /sys/fs/cgroup is mounted"),
        Ok(offered) => {
            let boot = "the kernel must support them, and cgroup_disable= must not disable them";
            has(offered, "controllers", boot)
        }
    }
}

fn has(controllers: Controllers, check: &str, advice: &str) -> Finding {
    let missing: Vec<String> = controllers.missing().map(|controller| controller.to_string()).collect();
    if missing.is_empty() {
        return Finding::fine(check, "cpu, io, memory, pids");
    }
    Finding::note(check, format!("{} missing", missing.join(", ")), advice)
}

/// The controllers that systemd delegates to the user's systemd, and so to the user's services and scopes.
fn delegation(own: &Own, user: u32) -> Finding {
    let check = "delegation";
    let manager: PathBuf = own.mount.join(format!("user.slice/user-{user}.slice/user@{user}.service"));
    match Controllers::offered(&manager) {
        Ok(offered) => has(
            offered,
            check,
            "run systemctl edit user@.service, add [Service] Delegate=cpu cpuset io memory pids, and log in again",
        ),
        Err(_) => Finding::note(
            check,
            "systemd does not run for this user",
            "limits of foreground runs, and user services, need it: log in, or run loginctl enable-linger",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::finding::State;
    use super::*;

    /// A simulated hierarchy, in which the systemd of user 1000 has these controllers.
    fn hierarchy(root: &str, users: Option<&str>) -> (tempfile::TempDir, Own) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mount = folder.path().to_owned();
        fs::write(mount.join("cgroup.controllers"), root).expect("a file");
        if let Some(controllers) = users {
            let manager = mount.join("user.slice/user-1000.slice/user@1000.service");
            fs::create_dir_all(&manager).expect("a folder");
            fs::write(manager.join("cgroup.controllers"), controllers).expect("a file");
        }
        (folder, Own { folder: mount.clone(), mount, hybrid: false })
    }

    fn told(own: Own, user: u32) -> Vec<(String, State)> {
        findings(Ok(own), user).into_iter().map(|finding| (finding.found, finding.state)).collect()
    }

    #[test]
    fn a_host_with_everything_is_fine() {
        let (_folder, own) = hierarchy("cpuset cpu io memory hugetlb pids", Some("cpu io memory pids"));
        assert!(told(own, 1000).iter().all(|(_, state)| *state == State::Fine));
    }

    #[test]
    fn controllers_that_are_not_delegated_are_named() {
        let (_folder, own) = hierarchy("cpu io memory pids", Some("memory pids"));
        let findings = findings(Ok(own), 1000);
        assert_eq!(findings[2].found, "cpu, io missing");
        assert!(findings[2].advice.as_deref().is_some_and(|advice| advice.contains("Delegate=")), "{findings:?}");
    }

    #[test]
    fn a_user_without_a_manager_and_a_host_without_groups_are_notes() {
        let (_folder, own) = hierarchy("cpu io memory pids", None);
        assert_eq!(told(own, 1000)[2], ("systemd does not run for this user".to_owned(), State::Note));
        let nothing = findings(Err(NotFound::NoHierarchy), 0);
        assert_eq!(nothing.len(), 1);
        assert_eq!((nothing[0].state, nothing[0].found.as_str()), (State::Note, "this host has no cgroups v2"));
    }

    #[test]
    fn controllers_in_version_1_are_a_note_that_says_how_to_boot() {
        let (_folder, own) = hierarchy("", None);
        let findings = findings(Ok(Own { hybrid: true, ..own }), 0);
        assert_eq!((findings.len(), findings[0].advice.as_deref()), (1, Some(UNIFIED)), "{findings:?}");
    }
}
