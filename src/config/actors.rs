//! Reading one `[actors.NAME]`.

use std::ffi::OsString;

use super::diagnostics::Problems;
use super::draft::{DraftActor, Surroundings};
use super::keys::{Section, actor_section};
use super::names::{Name, check_name};
use super::settings::{beside, directory_of, limits, plain_texts};
use super::source::At;
use super::suggest::{list, quoted};
use super::table::{Node, Table};
use super::words::{Json, KINDS, KindWord, Word};
use crate::graph::{Exec, Kind, Retry, Router, Stdin, Stdout};
use crate::process::{Obstacle, obstacle};

/// The actor of this table. One that is too wrong to tell what it is still has its name, so that links to it are not
/// wrong as well.
pub(super) fn actor(node: Node<'_>, around: &mut Surroundings) -> DraftActor {
    let name = At { value: Name::new(node.key), at: node.key_at };
    check_name("an actor", &name, &mut around.problems);
    let mut draft = DraftActor {
        name,
        kind: None,
        timeout: None,
        retry: Retry::default(),
        bubble_errors: false,
        pool: None,
        leave_children: false,
    };
    let Some(kind) = kind_of(&node, &mut around.problems) else { return draft };
    let section = actor_section(kind);
    let Some(table) = node.table(section, &mut around.problems) else { return draft };
    let kind_given = table.says("kind");
    let mut foreign = false;
    table.check_unknown(&mut around.problems, |problems, key| {
        let explained = explain_foreign(&key, kind, kind_given, problems);
        foreign |= explained;
        explained
    });
    // An actor without `kind` and with another kind's keys lacks the kind, not the script.
    if kind_given || !foreign {
        table.check_required(&mut around.problems);
    }
    draft.kind = read_kind(kind, &table, around);
    let problems = &mut around.problems;
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

/// What kind of actor it says it is; `start` and `stop` need not say it.
fn kind_of(node: &Node<'_>, problems: &mut Problems) -> Option<KindWord> {
    let by_name = match node.key {
        "start" => KindWord::Start,
        "stop" => KindWord::Stop,
        _ => KindWord::Python,
    };
    let table = node.table(actor_section(KindWord::Python), problems)?;
    let kind = if table.says("kind") { table.word("kind", problems)? } else { by_name };
    let reserved = matches!(kind, KindWord::Start | KindWord::Stop);
    if kind != by_name && (reserved || by_name != KindWord::Python) {
        let at = table.get("kind").map_or(node.key_at, |kind| kind.at);
        let word = KINDS.iter().find(|word| KindWord::of(word) == Some(kind)).copied().unwrap_or_default();
        if by_name == KindWord::Python {
            problems
                .error(at, format!("the {word} actor is called `{word}`, not {}", quoted(node.key)))
                .label("another name")
                .help(format!("take this actor out, and link `{word}`: it is there without being written"));
        } else {
            problems
                .error(at, format!("{} cannot be {}", quoted(node.key), actor_section(kind).title))
                .label("this name is taken")
                .help(format!("choose another name: `{}` is there without being written", node.key));
        }
        return None;
    }
    Some(kind)
}

/// A key of another kind of actor.
fn explain_foreign(key: &Node<'_>, kind: KindWord, kind_given: bool, problems: &mut Problems) -> bool {
    let owners: Vec<(&str, &Section)> = KINDS
        .iter()
        .filter_map(|word| Some((*word, actor_section(KindWord::of(word)?))))
        .filter(|(_, section)| section.key(key.key).is_some())
        .collect();
    if owners.is_empty() {
        return false;
    }
    let words = list(owners.iter().map(|(word, _)| *word));
    let limit = actor_section(KindWord::Exec).key(key.key).is_some_and(|_| is_limit(key.key));
    let help = match (&owners[..], kind) {
        (_, KindWord::Python) if limit => "a python actor's limits are its pool's: write it in [pool]".to_owned(),
        ([(word, _)], _) if !kind_given => format!("add `kind = \"{word}\"`, if that is what it is"),
        _ => format!("it is a key of {words} actors"),
    };
    problems
        .error(key.key_at, format!("{} is no key of {}", quoted(key.key), actor_section(kind).title))
        .label("not here")
        .help(help);
    true
}

fn is_limit(key: &str) -> bool {
    super::keys::LIMITS.iter().any(|limit| limit.name == key)
}

fn read_kind(kind: KindWord, table: &Table<'_>, around: &mut Surroundings) -> Option<Kind> {
    Some(match kind {
        KindWord::Start => Kind::Start,
        KindWord::Stop => Kind::Stop,
        KindWord::Fork => Kind::Fork,
        KindWord::ErrorHandler => Kind::ErrorHandler,
        KindWord::Python => {
            let text = table.text("script", &mut around.problems)?;
            Kind::Python(around.scripts.resolve(&text, &around.paths, &mut around.problems)?)
        }
        KindWord::Exec => Kind::Exec(Box::new(exec(table, &mut around.problems))),
        KindWord::Join => {
            let arrivals = table.count("arrivals", &mut around.problems).unwrap_or(0);
            Kind::Join { arrivals: arrivals as usize }
        }
        KindWord::Router => {
            let item = table.item("item", &mut around.problems)?;
            Kind::Router(Router { item, routes: Vec::new(), other: None })
        }
        KindWord::Status => Kind::Status(table.text("status", &mut around.problems)?.value),
    })
}

fn exec(table: &Table<'_>, problems: &mut Problems) -> Exec {
    let directory = directory_of(table.at.source, problems);
    let command = table.texts("command", problems).unwrap_or_default();
    if let Some(program) = command.first().filter(|program| program.value.trim().is_empty()) {
        problems.error(program.at, "a command begins with a program").label("it is empty");
    }
    if let Some(null) = command.iter().find(|argument| argument.value.contains('\0')) {
        problems.error(null.at, "an argument cannot have a null byte").label("it has one");
    }
    let cwd = table.text("cwd", problems);
    let stdin = table.word::<Json>("stdin", problems).map_or(Stdin::Null, |Json| Stdin::Json);
    let key = table.text("stdout_key", problems);
    let stdout = match (table.word::<Json>("stdout", problems), key) {
        (Some(Json), Some(key)) => {
            problems
                .error(key.at, "standard output goes under a key or is merged as JSON, not both")
                .label("this key")
                .help("take `stdout` or `stdout_key` out");
            Stdout::Json
        }
        (Some(Json), None) => Stdout::Json,
        (None, Some(key)) => Stdout::Key(key.value),
        (None, None) => Stdout::Log,
    };
    let program = command.first().cloned();
    let exec = Exec {
        command: plain_texts(Some(command)),
        env: table.environment("env", problems),
        directory: cwd.map_or(directory, |cwd| beside(&cwd, problems)),
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

/// Warns of a program that cannot be started on this host. One that depends on the payload is not looked for.
fn look_for_program(program: &At<String>, exec: &Exec, problems: &mut Problems) {
    let path = exec.env.get("PATH");
    if [Some(&program.value), path].into_iter().flatten().any(|text| text.contains(['{', '}'])) {
        return;
    }
    let path = path.map(OsString::from);
    if let Some(obstacle) = obstacle(program.value.as_ref(), path.as_ref(), &exec.directory) {
        let warning = problems
            .warning(program.at, format!("{} cannot be started on this host: {obstacle}", quoted(&program.value)));
        warning.label("this program");
        if matches!(obstacle, Obstacle::NotFound(Some(_))) && path.is_none() {
            warning.help(
                "a service can have another PATH than this shell; `env = { PATH = \"…\" }` sets it for the program",
            );
        }
    }
}
