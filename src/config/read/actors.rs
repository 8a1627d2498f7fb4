//! Reads one `[actors.NAME]`.

use std::ffi::OsString;

use strum::VariantArray;

use super::draft::{DraftActor, ReadContext};
use super::names::{Name, check_name};
use super::settings::{limits, values};
use super::table::{Node, Table};
use crate::config::diagnostics::problems::Problems;
use crate::config::diagnostics::suggest::{list, quoted};
use crate::config::schema::keys::{LIMITS, actor_section};
use crate::config::schema::words::{KindWord, StreamWord};
use crate::config::toml::source::Located;
use crate::graph::{Exec, Kind, Retry, Router, Stdin, Stdout};
use crate::process::{StartFailure, start_failure};

/// Reads an actor. Even if its kind is unknown, it keeps its name, so that links to it are not reported as well.
pub(in crate::config) fn actor(node: Node<'_>, context: &mut ReadContext) -> DraftActor {
    let name = Located { value: Name::new(node.key), at: node.key_at };
    check_name("an actor", &name, &mut context.problems);
    let mut draft = DraftActor {
        name,
        kind: None,
        timeout: None,
        retry: Retry::default(),
        bubble_errors: false,
        pool: None,
        leave_children: false,
    };
    let Some(kind) = kind_of(&node, &mut context.problems) else { return draft };
    let section = actor_section(kind);
    let Some(table) = node.table(section, &mut context.problems) else { return draft };
    let kind_given = table.has("kind");
    let mut foreign = false;
    table.check_unknown(&mut context.problems, |problems, key| {
        let explained = explain_foreign(&key, kind, kind_given, problems);
        foreign |= explained;
        explained
    });
    // If an actor without `kind` has keys of another kind, the kind is missing and not the script.
    if kind_given || !foreign {
        table.check_required(&mut context.problems);
    }
    draft.kind = read_kind(kind, &table, context);
    let problems = &mut context.problems;
    if section.key("bubble_errors").is_some() {
        draft.bubble_errors = table.bool("bubble_errors", problems).unwrap_or(false);
    }
    if section.key("timeout").is_some() {
        draft.timeout = table.duration("timeout", problems);
        draft.retry.times = table.count("retries", problems).unwrap_or(0);
        draft.retry.delay = table.duration("retry_delay", problems).unwrap_or_default();
        draft.pool = table.name("pool", problems);
        draft.leave_children = table.bool("leave_children", problems).unwrap_or(false);
    }
    draft
}

/// The kind of an actor. Actors named `start` and `stop` do not need `kind`.
fn kind_of(node: &Node<'_>, problems: &mut Problems) -> Option<KindWord> {
    let by_name = match node.key {
        "start" => KindWord::Start,
        "stop" => KindWord::Stop,
        _ => KindWord::Python,
    };
    let table = node.table(actor_section(KindWord::Python), problems)?;
    let kind = if table.has("kind") { table.word("kind", problems)? } else { by_name };
    let reserved = matches!(kind, KindWord::Start | KindWord::Stop);
    if kind != by_name && (reserved || by_name != KindWord::Python) {
        let at = table.get("kind").map_or(node.key_at, |kind| kind.at);
        let word = kind.word();
        if by_name == KindWord::Python {
            problems
                .error(at, format!("the {word} actor must be named `{word}`, not {}", quoted(node.key)))
                .label("different name")
                .help(format!("remove this actor and link `{word}`, which always exists"));
        } else {
            problems
                .error(at, format!("{} cannot be {}", quoted(node.key), actor_section(kind).title))
                .label("reserved name")
                .help(format!("choose another name: `{}` always exists", node.key));
        }
        return None;
    }
    Some(kind)
}

/// Reports a key that belongs to another kind of actor. Returns false if no kind has it.
fn explain_foreign(key: &Node<'_>, kind: KindWord, kind_given: bool, problems: &mut Problems) -> bool {
    let owners: Vec<&str> = KindWord::VARIANTS
        .iter()
        .filter(|kind| actor_section(**kind).key(key.key).is_some())
        .map(|kind| kind.word())
        .collect();
    if owners.is_empty() {
        return false;
    }
    let words = list(owners.iter().copied());
    let limit = actor_section(KindWord::Exec).key(key.key).is_some_and(|_| is_limit(key.key));
    let help = match (&owners[..], kind) {
        (_, KindWord::Python) if limit => {
            "limits of python actors are those of their pool: set it in [pool]".to_owned()
        }
        ([word], _) if !kind_given => format!("add `kind = \"{word}\"` if this is meant to be such an actor"),
        _ => format!("only {words} actors have this key"),
    };
    problems
        .error(key.key_at, format!("{} cannot have the key {}", actor_section(kind).title, quoted(key.key)))
        .label("not allowed here")
        .help(help);
    true
}

fn is_limit(key: &str) -> bool {
    LIMITS.iter().any(|limit| limit.name == key)
}

fn read_kind(kind: KindWord, table: &Table<'_>, context: &mut ReadContext) -> Option<Kind> {
    Some(match kind {
        KindWord::Start => Kind::Start,
        KindWord::Stop => Kind::Stop,
        KindWord::Fork => Kind::Fork,
        KindWord::ErrorHandler => Kind::ErrorHandler,
        KindWord::Python => {
            let text = table.text("script", &mut context.problems)?;
            Kind::Python(context.scripts.resolve(&text, &context.paths, &mut context.problems)?)
        }
        KindWord::Exec => Kind::Exec(Box::new(exec(table, &mut context.problems))),
        KindWord::Join => {
            let arrivals = table.count("arrivals", &mut context.problems).unwrap_or(0);
            Kind::Join { arrivals: arrivals as usize }
        }
        KindWord::Router => {
            let item = table.item("item", &mut context.problems)?;
            Kind::Router(Router { item, routes: Vec::new(), other: None })
        }
        KindWord::Status => Kind::Status(table.text("status", &mut context.problems)?.value),
    })
}

fn exec(table: &Table<'_>, problems: &mut Problems) -> Exec {
    let directory = problems.directory_of(table.at.source);
    let command = table.texts("command", problems).unwrap_or_default();
    if let Some(program) = command.first().filter(|program| program.value.trim().is_empty()) {
        problems.error(program.at, "the first item of a command must be a program").label("empty");
    }
    if let Some(null) = command.iter().find(|argument| argument.value.contains('\0')) {
        problems.error(null.at, "an argument must not contain a null byte").label("contains a null byte");
    }
    let cwd = table.text("cwd", problems);
    let stdin = table.word("stdin", problems).map_or(Stdin::Null, |StreamWord::Json| Stdin::Json);
    let key = table.text("stdout_key", problems);
    let stdout = match (table.word("stdout", problems), key) {
        (Some(StreamWord::Json), Some(key)) => {
            problems
                .error(key.at, "an actor cannot have both `stdout` and `stdout_key`")
                .label("second use of standard output")
                .help("remove `stdout` or `stdout_key`");
            Stdout::Json
        }
        (Some(StreamWord::Json), None) => Stdout::Json,
        (None, Some(key)) => Stdout::Key(key.value),
        (None, None) => Stdout::Log,
    };
    let program = command.first().cloned();
    let exec = Exec {
        command: values(Some(command)),
        env: table.environment("env", problems),
        directory: cwd.map_or(directory, |cwd| problems.resolve(&cwd)),
        stdin,
        stdout,
        returncode_key: table.text("returncode_key", problems).map(|key| key.value),
        success_codes: table.integers("success_codes", problems).unwrap_or_else(|| vec![0]),
        limits: limits(table, problems),
    };
    if let Some(program) = program.filter(|program| problems.thorough && !program.value.trim().is_empty()) {
        look_for_program(&program, &exec, problems);
    }
    exec
}

/// Warns of a program that cannot be started on this host. A program that depends on the payload is not checked.
fn look_for_program(program: &Located<String>, exec: &Exec, problems: &mut Problems) {
    let path = exec.env.get("PATH");
    if [Some(&program.value), path].into_iter().flatten().any(|text| text.contains(['{', '}'])) {
        return;
    }
    let path = path.map(OsString::from);
    if let Some(failure) = start_failure(program.value.as_ref(), path.as_ref(), &exec.directory) {
        let warning = problems
            .warning(program.at, format!("{} cannot be started on this host: {failure}", quoted(&program.value)));
        warning.label("this program");
        if matches!(failure, StartFailure::NotFound(Some(_))) && path.is_none() {
            warning.help(
                "the PATH of a service can differ from that of this shell; `env = { PATH = \"…\" }` sets it for the program",
            );
        }
    }
}
