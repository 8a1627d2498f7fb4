//! Explains why a program cannot be started.
//!
//! The errors of execve(2) are ambiguous: "no such file" can also mean a missing interpreter. This module searches for the program
//! as a start does, and names the reason, after a failed start or before one (`pushflow check`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rustix::fs::{Access, StatVfsMountFlags};

use super::program::candidates;

/// Number of bytes of a `#!` line that the kernel reads (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h).
const MAX_LINE: usize = 256;

/// Why a program cannot be started. The text follows the name of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFailure {
    /// Its working directory does not exist.
    NoDirectory(PathBuf),
    /// It does not exist. If PATH was searched: its folders, and the file of that name in the working directory.
    NotFound(Option<(OsString, Option<PathBuf>)>),
    /// It is a symbolic link to a missing file.
    DeadLink(PathBuf),
    /// It is not a regular file.
    NotAFile(PathBuf),
    /// This user may not execute it.
    NotExecutable(PathBuf),
    /// This user may not enter this folder of its path.
    Forbidden(PathBuf),
    /// Its file system is mounted with `noexec`.
    NoExec(PathBuf),
    /// The interpreter in its `#!` line does not exist, and whether Windows line ends are the reason.
    NoInterpreter(String, bool),
    /// The interpreter in its `#!` line may not be executed.
    BadInterpreter(String),
    /// Its dynamic loader does not exist: it is built for another system.
    NoLoader(String),
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFailure::NoDirectory(directory) => {
                write!(f, "its working directory {} does not exist", directory.display())
            }
            StartFailure::NotFound(None) => f.write_str("there is no such program"),
            StartFailure::NotFound(Some((path, here))) => {
                write!(f, "there is no such program in PATH ({})", path.display())?;
                match here {
                    Some(here) => write!(f, "; for {} write ./ before its name", here.display()),
                    None => Ok(()),
                }
            }
            StartFailure::DeadLink(to) => {
                write!(f, "it is a symbolic link to {}, which does not exist", to.display())
            }
            StartFailure::NotAFile(path) => write!(f, "it may not be executed: {} is not a file", path.display()),
            StartFailure::NotExecutable(path) => {
                write!(f, "it may not be executed: run chmod +x {}", path.display())
            }
            StartFailure::Forbidden(folder) => {
                write!(f, "it may not be executed: this user may not enter {}", folder.display())
            }
            StartFailure::NoExec(path) => {
                write!(f, "it may not be executed: the file system of {} is mounted with noexec", path.display())
            }
            StartFailure::NoInterpreter(interpreter, false) => {
                write!(f, "its interpreter {interpreter} does not exist")
            }
            StartFailure::NoInterpreter(interpreter, true) => write!(
                f,
                "its interpreter {interpreter} does not exist: the script has Windows line ends (CR LF); convert it with \
                 dos2unix or sed -i 's/\\r$//'"
            ),
            StartFailure::BadInterpreter(interpreter) => write!(f, "its interpreter {interpreter} may not be executed"),
            StartFailure::NoLoader(loader) => {
                write!(f, "its dynamic loader {loader} does not exist: the program is built for another system")
            }
        }
    }
}

/// Why a program with this name cannot be started in this directory. `path` replaces the PATH of this process. `None` if no reason is
/// found.
pub fn start_failure(name: &OsStr, path: Option<&OsString>, directory: &Path) -> Option<StartFailure> {
    if !directory.is_dir() {
        return Some(StartFailure::NoDirectory(directory.to_owned()));
    }
    let searched = !name.as_bytes().contains(&b'/');
    let mut first = None;
    for candidate in candidates(name, path) {
        match check_file(&directory.join(candidate), path, directory) {
            Ok(()) => return None,
            Err(StartFailure::NotFound(_)) => {}
            Err(found) => first = first.or(Some(found)),
        }
    }
    Some(first.unwrap_or_else(|| {
        StartFailure::NotFound(searched.then(|| {
            let folders: Vec<OsString> =
                candidates(name, path).iter().filter_map(|file| Some(file.parent()?.as_os_str().to_owned())).collect();
            let here = directory.join(name);
            (folders.join(OsStr::new(":")), (!name.is_empty() && here.is_file()).then_some(here))
        }))
    }))
}

/// Explains the error of a failed start.
pub fn explain(name: &OsStr, path: Option<&OsString>, directory: &Path, error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    match Errno::from_raw(number) {
        Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES => match start_failure(name, path, directory) {
            Some(failure) => failure.to_string(),
            None if number == Errno::EACCES as i32 => "it may not be executed".to_owned(),
            None => "there is no such program".to_owned(),
        },
        Errno::ENOEXEC => "this machine cannot execute it: it is built for another machine, or damaged".into(),
        Errno::ETXTBSY => "its file is still open for writing".to_owned(),
        Errno::ELOOP => "its name or its interpreter is a cycle of symbolic links or scripts".to_owned(),
        Errno::ENAMETOOLONG => "its name is too long".to_owned(),
        Errno::E2BIG => "its arguments and environment are too long".to_owned(),
        Errno::EAGAIN => {
            "the maximum number of processes is reached (ulimit -u, TasksMax= of the unit, pids.max of the cgroup)"
                .into()
        }
        _ => error.to_string(),
    }
}

/// Why this file cannot be executed.
fn check_file(file: &Path, path: Option<&OsString>, directory: &Path) -> Result<(), StartFailure> {
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(StartFailure::Forbidden(forbidden(file)));
        }
        Err(_) => {
            return Err(fs::read_link(file).map_or(StartFailure::NotFound(None), StartFailure::DeadLink));
        }
    };
    if !metadata.is_file() {
        return Err(StartFailure::NotAFile(file.to_owned()));
    }
    if rustix::fs::access(file, Access::EXEC_OK).is_err() {
        let mounted = rustix::fs::statvfs(file).map(|system| system.f_flag);
        let no_exec = mounted.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOEXEC));
        let executable = metadata.mode() & 0o111 != 0;
        return Err(if no_exec && executable {
            StartFailure::NoExec(file.to_owned())
        } else {
            StartFailure::NotExecutable(file.to_owned())
        });
    }
    let mut head = [0; MAX_LINE];
    // A program can be executable but not readable.
    let Ok(opened) = File::open(file) else { return Ok(()) };
    let Ok(length) = (&opened).take(MAX_LINE as u64).read(&mut head) else { return Ok(()) };
    match &head[..length] {
        [b'#', b'!', line @ ..] => check_interpreter(line, path, directory),
        [0x7f, b'E', b'L', b'F', ..] => match loader(&opened, &head) {
            Some(loader) if !directory.join(OsStr::from_bytes(&loader)).exists() => {
                Err(StartFailure::NoLoader(shown(&loader)))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The first folder in the path of a file that this user may not enter, or the file.
fn forbidden(file: &Path) -> PathBuf {
    let folders = file.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    let closed = folders.filter(|folder| folder.is_dir() && rustix::fs::access(*folder, Access::EXEC_OK).is_err());
    closed.last().unwrap_or(file).to_owned()
}

/// Checks the interpreter of a `#!` line (execve(2)), and the program that env(1) starts.
fn check_interpreter(line: &[u8], path: Option<&OsString>, directory: &Path) -> Result<(), StartFailure> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    // Without an interpreter, the shell executes the script.
    let Some(interpreter) = words.next() else { return Ok(()) };
    let windows = line.ends_with(b"\r");
    let file = directory.join(OsStr::from_bytes(interpreter));
    if !file.exists() {
        return Err(StartFailure::NoInterpreter(shown(interpreter), windows));
    }
    if !file.is_file() || rustix::fs::access(&file, Access::EXEC_OK).is_err() {
        return Err(StartFailure::BadInterpreter(shown(interpreter)));
    }
    if file.file_name() != Some(OsStr::new("env")) {
        return Ok(());
    }
    let sought = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
    match sought {
        Some(name) if candidates(OsStr::from_bytes(name), path).iter().all(|file| !directory.join(file).exists()) => {
            Err(StartFailure::NoInterpreter(shown(name), windows))
        }
        _ => Ok(()),
    }
}

/// The dynamic loader of an ELF program (PT_INTERP, elf(5)). Little endian only.
fn loader(file: &File, head: &[u8; MAX_LINE]) -> Option<Vec<u8>> {
    const PT_INTERP: u64 = 3;
    const LITTLE_ENDIAN: u8 = 1;
    let wide = head[4] == 2;
    if head[5] != LITTLE_ENDIAN {
        return None;
    }
    let number = |bytes: &[u8], at: usize, width: usize| {
        let mut number = [0; 8];
        number[..width].copy_from_slice(bytes.get(at..at + width)?);
        Some(u64::from_le_bytes(number))
    };
    let (table, size, count) = match wide {
        true => (number(head, 32, 8)?, number(head, 54, 2)?, number(head, 56, 2)?),
        false => (number(head, 28, 4)?, number(head, 42, 2)?, number(head, 44, 2)?),
    };
    for index in 0..count.min(64) {
        let mut entry = [0; 56];
        let length = usize::try_from(size).ok()?.min(entry.len());
        file.read_exact_at(&mut entry[..length], table.checked_add(index * size)?).ok()?;
        if number(&entry, 0, 4)? == PT_INTERP {
            let (at, length) = match wide {
                true => (number(&entry, 8, 8)?, number(&entry, 32, 8)?),
                false => (number(&entry, 4, 4)?, number(&entry, 16, 4)?),
            };
            let mut name = vec![0; usize::try_from(length).ok()?.min(4096)];
            file.read_exact_at(&mut name, at).ok()?;
            name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
            return Some(name);
        }
    }
    None
}

/// A name with control characters escaped.
fn shown(name: &[u8]) -> String {
    crate::text::line(&String::from_utf8_lossy(name)).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(folder: &Path, name: &str, mode: u32, text: &[u8]) {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn said(folder: &Path, name: &str) -> String {
        let path = OsString::from("/usr/bin:/bin");
        let failure = start_failure(OsStr::new(name), Some(&path), folder);
        failure.map(|it| it.to_string().replace(&folder.display().to_string(), "DIR")).unwrap_or_default()
    }

    #[test]
    fn what_stands_in_the_way_of_a_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (name, mode, text) in [
            ("good.sh", 0o755, "#!/bin/sh\n"),
            ("shell", 0o755, "echo hi\n"),
            ("empty-line", 0o755, "#! \n"),
            ("windows.sh", 0o755, "#!/bin/sh\r\necho hi\r\n"),
            ("missing.sh", 0o755, "#! /no/such/python -u\n"),
            ("env.py", 0o755, "#!/usr/bin/env no-such-python\n"),
            ("windows.py", 0o755, "#!/usr/bin/env sh\r\n"),
            ("options.py", 0o755, "#!/usr/bin/env -S A=1 sh -u\n"),
            ("folder-interpreter", 0o755, "#!/bin\n"),
            ("plain.sh", 0o644, "#!/bin/sh\n"),
        ] {
            file(folder, name, mode, text.as_bytes());
        }
        symlink("/no/such/target", folder.join("dead")).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        for (name, expected) in [
            ("./good.sh", ""),
            ("./shell", ""),
            ("./empty-line", ""),
            ("./options.py", ""),
            ("sh", ""),
            ("./none", "there is no such program"),
            ("none", "there is no such program in PATH (/usr/bin:/bin)"),
            ("good.sh", "there is no such program in PATH (/usr/bin:/bin); for DIR/good.sh write ./ before its name"),
            ("./missing.sh", "its interpreter /no/such/python does not exist"),
            ("./env.py", "its interpreter no-such-python does not exist"),
            ("./folder-interpreter", "its interpreter /bin may not be executed"),
            ("./dead", "it is a symbolic link to /no/such/target, which does not exist"),
            ("./folder", "it may not be executed: DIR/./folder is not a file"),
            ("./plain.sh", "it may not be executed: run chmod +x DIR/./plain.sh"),
        ] {
            assert_eq!(said(folder, name), expected, "{name}");
        }
        for (name, interpreter) in [("./windows.sh", "/bin/sh\\r"), ("./windows.py", "sh\\r")] {
            let said = said(folder, name);
            let start =
                format!("its interpreter {interpreter} does not exist: the script has Windows line ends (CR LF)");
            assert!(said.starts_with(&start), "{said}");
        }
    }

    #[test]
    fn a_program_for_another_system_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = vec![0; 256];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[32] = 64;
        program[54] = 56;
        program[56] = 1;
        program[64] = 3;
        program[64 + 8] = 160;
        program[64 + 32] = 16;
        program[160..176].copy_from_slice(b"/lib/no-loader.1");
        file(folder.path(), "other", 0o755, &program);
        let expected = "its dynamic loader /lib/no-loader.1 does not exist: the program is built for another system";
        assert_eq!(said(folder.path(), "./other"), expected);
        // One that breaks off is judged by the system.
        file(folder.path(), "short", 0o755, &program[..100]);
        assert_eq!(said(folder.path(), "./short"), "");
    }
}
