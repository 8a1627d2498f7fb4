//! Checks of the kernel, systemd, process limits and folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::{AccessFlags, access, geteuid};

use super::finding::Finding;
use crate::cli::locate::Whose;
use crate::supervisor::status_socket::{is_private, runtime_folders};

/// The first kernel with cgroup.kill, and the first with handles on processes (pidfd_open(2), waitid(2) with P_PIDFD).
const KERNEL: (u32, u32) = (5, 14);
const OLDEST_KERNEL: (u32, u32) = (5, 4);
/// The first systemd that knows all settings of the units (`LoadCredential=`, `ProtectProc=`).
const SYSTEMD: u32 = 247;
/// Open files: five for each worker.
const FILES: u64 = 1024;
const PROCESSES: u64 = 1024;

pub(super) fn system() -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let running = Path::new("/run/systemd/system").is_dir();
    vec![kernel(release.trim()), systemd(running, &systemctl())]
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = format!("Linux {release}");
    match version {
        version if version >= KERNEL => Finding::fine("kernel", found),
        version if version >= OLDEST_KERNEL => {
            Finding::note("kernel", found, "Linux 5.14 or newer can kill a whole cgroup at once")
        }
        _ => Finding::fault("kernel", found, "pushflow needs Linux 5.4 or newer, better 5.14"),
    }
}

/// The output of `systemctl --version`, empty if there is none.
fn systemctl() -> String {
    let output = Command::new("systemctl").arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn systemd(running: bool, said: &str) -> Finding {
    let version = said.split_whitespace().nth(1).and_then(|version| version.parse::<u32>().ok());
    match (running, version) {
        (false, _) => Finding::note(
            "systemd",
            "this host does not run systemd",
            "services need systemd; `pushflow run` works without it",
        ),
        (true, Some(version)) if version < SYSTEMD => Finding::fault(
            "systemd",
            version.to_string(),
            format!("the units need version {SYSTEMD} or newer; `pushflow run` works without it"),
        ),
        (true, Some(version)) => Finding::fine("systemd", version.to_string()),
        (true, None) => Finding::note(
            "systemd",
            "running, but its version is unknown",
            format!("check that systemctl is in PATH; the units need version {SYSTEMD} or newer"),
        ),
    }
}

pub(super) fn limits() -> Vec<Finding> {
    let limit = |resource| getrlimit(resource).ok();
    vec![
        files(limit(Resource::RLIMIT_NOFILE)),
        processes(limit(Resource::RLIMIT_NPROC)),
        memory(limit(Resource::RLIMIT_AS)),
    ]
}

fn number(limit: u64) -> String {
    if limit == RLIM_INFINITY { "unlimited".to_owned() } else { limit.to_string() }
}

fn files(limit: Option<(u64, u64)>) -> Finding {
    let Some((soft, hard)) = limit else { return unknown("open files") };
    let found = format!("{}, at most {}", number(soft), number(hard));
    // The supervisor raises its own limit to the hard limit.
    if hard < FILES {
        let advice = "each worker needs five: raise LimitNOFILE= in a drop-in, or nofile in /etc/security/limits.conf";
        return Finding::note("open files", found, advice);
    }
    Finding::fine("open files", found)
}

fn processes(limit: Option<(u64, u64)>) -> Finding {
    let Some((soft, _)) = limit else { return unknown("processes") };
    if soft < PROCESSES {
        let advice =
            "the limit applies to all processes and threads of this user: raise nproc in /etc/security/limits.conf";
        return Finding::note("processes", number(soft), advice);
    }
    Finding::fine("processes", number(soft))
}

fn memory(limit: Option<(u64, u64)>) -> Finding {
    match limit {
        None => unknown("address space"),
        Some((RLIM_INFINITY, _)) => Finding::fine("address space", "unlimited"),
        Some((soft, _)) => Finding::note(
            "address space",
            format!("{} MiB", soft >> 20),
            "numerical libraries reserve more than they use: run ulimit -v unlimited, and use memory_max in the workflow",
        ),
    }
}

fn unknown(check: &str) -> Finding {
    Finding::note(check, "unknown", "the system does not report this limit")
}

pub(super) fn folders() -> Vec<Finding> {
    let mut findings = vec![runtime(), state(), temporary(&std::env::temp_dir()), shared(Path::new("/dev/shm"))];
    let folder = Path::new("/etc/pushflow/workflows");
    findings.push(match fs::read_dir(folder) {
        Ok(_) => Finding::fine("workflows", folder.display().to_string()),
        Err(error) => Finding::note(
            "workflows",
            format!("cannot read {}: {error}", folder.display()),
            "workflow files of system services belong there: install the package, or create the folder",
        ),
    });
    findings
}

fn is_writable(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// The path, or the nearest folder above it, that exists.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().find(|path| path.is_dir())
}

fn runtime() -> Finding {
    let check = "runtime folder";
    let usable = |folder: &PathBuf| match folder.exists() {
        true => is_private(folder) && is_writable(folder),
        false => folder.parent().is_some_and(|above| above.is_dir() && is_writable(above)),
    };
    match runtime_folders().iter().position(usable) {
        Some(at) => Finding::fine(check, runtime_folders()[at].display().to_string()),
        None => Finding::note(
            check,
            "there is no private, writable folder for this user",
            "`pushflow ps` cannot find foreground runs: set XDG_RUNTIME_DIR to a private folder",
        ),
    }
}

fn state() -> Finding {
    let check = "state folder";
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = match geteuid().is_root() {
        true => Some(PathBuf::from("/var/lib/pushflow")),
        false => absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state"))),
    };
    let Some(folder) = folder else {
        return Finding::note(
            check,
            "not known: HOME is not set",
            "set HOME: services of this user keep what they leave there",
        );
    };
    match existing(&folder) {
        Some(there) if is_writable(there) => Finding::fine(check, folder.display().to_string()),
        _ => Finding::note(
            check,
            format!("{} cannot be written", folder.display()),
            "services keep what they leave there: see whose it is, and whether the disk is read-only",
        ),
    }
}

fn temporary(folder: &Path) -> Finding {
    match is_writable(folder) {
        true => Finding::fine("temporary files", folder.display().to_string()),
        false => Finding::fault(
            "temporary files",
            format!("{} cannot be written", folder.display()),
            "set TMPDIR to a folder that can",
        ),
    }
}

fn shared(folder: &Path) -> Finding {
    match is_writable(folder) {
        true => Finding::fine("shared memory", folder.display().to_string()),
        false => Finding::note(
            "shared memory",
            format!("{} cannot be written", folder.display()),
            "multiprocessing in tasks keeps its locks there: mount a tmpfs with mode 1777",
        ),
    }
}

/// The folders in which installed workflows are.
pub(super) fn workflow_files() -> Vec<PathBuf> {
    let folders = [Whose::User, Whose::System].into_iter().flat_map(Whose::workflow_folders);
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn kernels_are_told_apart() {
        let states: Vec<State> = ["6.1.0-18-amd64", "5.14.0-427.el9", "5.10.0", "4.18.0", ""]
            .iter()
            .map(|release| kernel(release).state)
            .collect();
        assert_eq!(states, [State::Fine, State::Fine, State::Note, State::Fault, State::Fault]);
    }

    #[test]
    fn an_old_systemd_is_a_fault_and_none_a_note() {
        assert_eq!(systemd(true, "systemd 252 (252.38-1)\n+PAM").found, "252");
        assert_eq!(systemd(true, "systemd 239 (239-78.el8)").state, State::Fault);
        assert_eq!(systemd(false, "systemd 252").state, State::Note);
        assert_eq!(systemd(true, "").state, State::Note);
    }

    #[test]
    fn limits_that_are_low_say_how_to_raise_them() {
        let finding = files(Some((256, 512)));
        assert_eq!((finding.state, finding.found.as_str()), (State::Note, "256, at most 512"));
        assert!(finding.advice.as_deref().is_some_and(|advice| advice.contains("LimitNOFILE=")), "{finding:?}");
        assert_eq!(files(Some((256, 4096))).state, State::Fine, "a supervisor raises it");
        assert_eq!(files(Some((RLIM_INFINITY, RLIM_INFINITY))).found, "unlimited, at most unlimited");
        assert_eq!(processes(Some((100, 100))).state, State::Note);
        assert_eq!(memory(Some((2 << 30, RLIM_INFINITY))).found, "2048 MiB");
        assert_eq!(memory(None).state, State::Note);
    }

    #[test]
    fn folders_that_cannot_be_written_are_named() {
        let nowhere = Path::new("/proc/nowhere");
        assert_eq!(temporary(nowhere).state, State::Fault);
        assert_eq!(shared(nowhere).found, "/proc/nowhere cannot be written");
        assert_eq!(existing(Path::new("/proc/nowhere/below")), Some(Path::new("/proc")));
    }
}
