//! Random graphs with random events, checked by a [`Witness`].

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::bench::{failure, payload, seconds};
use super::graph::Graph;
use super::witness::{RUN_TIMEOUT, Seen, Witness, has_circle};
use crate::engine::{Effect, FailureKind, Outcome, Run, TaskId};
use crate::graph::{ActorId, Kind, Link, OnTimeout, Port, Retry, Route, Router, Workflow};
use crate::payload::Payload;

/// Random decisions, read from a list that can be shrunk; 0 after its end.
struct Tape<'t>(std::slice::Iter<'t, u16>);

impl Tape<'_> {
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == odds - 1
    }
}

/// A graph of any shape, but for this: only tasks, and errors, lead back. A circle without them never ends.
fn graph(tape: &mut Tape<'_>) -> Arc<Workflow> {
    let mut graph = Graph::new();
    let names: Vec<String> = (0..2 + tape.below(7)).map(|number| format!("a{number}")).collect();
    for name in &names {
        if graph.workflow.scopes.len() < 4 && tape.one_in(4) {
            graph.submodel(&format!("s{name}"));
        }
        graph.tasks(&[name]);
    }
    let acyclic = tape.one_in(2);
    let count = graph.workflow.actors.len();
    for index in std::iter::once(0).chain(2..count) {
        // Actor 1 is stop: it stands for whatever is not there.
        let forward = |tape: &mut Tape<'_>| match index.max(1) + tape.below(count - index) {
            to if to == index || to >= count => Link { to: ActorId(1) },
            to => Link { to: to.into() },
        };
        let anywhere = |tape: &mut Tape<'_>| Link { to: tape.below(count).into() };
        let some = |tape: &mut Tape<'_>, to: &dyn Fn(&mut Tape<'_>) -> Link| -> Vec<Link> {
            (0..tape.below(3)).map(|_| to(tape)).collect()
        };
        let kind = match (index, tape.below(12)) {
            (0, _) => Kind::Start,
            (_, 0) => Kind::Fork,
            (_, 1 | 2) => Kind::Join { arrivals: 1 + tape.below(3) },
            (_, 3 | 4) => Kind::Router(Router {
                item: "x".into(),
                routes: vec![Route { port: Port::Int(0), links: some(tape, &forward) }],
                other: tape.one_in(2).then(|| some(tape, &forward)),
            }),
            (_, 5) => Kind::Status("word".into()),
            (_, 6) => Kind::ErrorHandler,
            (_, 7) => Kind::Boundary,
            _ => graph.workflow.actors[index].kind.clone(),
        };
        let back = kind.is_task() && !acyclic;
        let actor = &mut graph.workflow.actors[index];
        if !matches!(kind, Kind::Router(_)) {
            actor.links = if back { some(tape, &anywhere) } else { some(tape, &forward) };
            if index == 0 {
                actor.links.push(Link { to: ActorId(2) });
            }
        }
        if kind.is_task() || matches!(kind, Kind::Router(_)) {
            actor.on_error = if acyclic { some(tape, &forward) } else { some(tape, &anywhere) };
            actor.bubble_errors = tape.one_in(2);
        }
        actor.retry = Retry { times: tape.below(3) as u32, delay: seconds(tape.below(4) as u64) };
        actor.timeout = tape.one_in(3).then(|| seconds(1 + tape.below(20) as u64));
        actor.kind = kind;
    }
    for scope in &mut graph.workflow.scopes {
        for _ in 0..tape.below(3) {
            let to = if acyclic { 1 } else { tape.below(count) };
            scope.on_error.push(Link { to: to.into() });
        }
    }
    let then = if tape.one_in(2) { OnTimeout::Wait } else { OnTimeout::Interrupt };
    graph.run_timeout(RUN_TIMEOUT, then).build()
}

/// One run and its witness.
struct Drive {
    run: Run,
    witness: Witness,
    begun: Instant,
    now: Instant,
}

impl Drive {
    fn tell(&mut self, tell: impl FnOnce(&mut Run, Instant, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        tell(&mut self.run, self.now, &mut effects);
        self.witness.hear(effects, self.now);
        if self.witness.ended {
            assert_eq!((self.run.size(), self.run.next_time()), (0, None), "something is left after the end");
        }
    }

    fn pass_time(&mut self, now: Instant) {
        self.now = now;
        if !self.witness.ended && now >= self.begun + RUN_TIMEOUT {
            self.witness.time_out();
        }
        self.tell(Run::on_time);
    }

    fn begin(&mut self, task: TaskId) {
        self.run.on_task_started(task, self.now);
        if let Some((_, seen @ Seen::Given)) = self.witness.tasks.get_mut(&task) {
            *seen = Seen::Running { interrupted: false };
        }
    }

    fn put_back(&mut self, task: TaskId) {
        self.run.on_task_put_back(task);
        if let Some((_, seen @ Seen::Running { interrupted: false })) = self.witness.tasks.get_mut(&task) {
            *seen = Seen::Given;
        }
    }

    fn end(&mut self, task: TaskId, outcome: Outcome) {
        if let Some((_, seen)) = self.witness.tasks.get_mut(&task) {
            *seen = Seen::Over;
        }
        self.tell(|run, now, effects| run.on_task_ended(task, outcome, now, effects));
    }

    fn stop(&mut self) {
        self.witness.told.stopped |= !self.witness.ended;
        self.tell(|run, now, effects| run.stop("stopped", now, effects));
    }

    fn abort(&mut self) {
        self.witness.told.aborted |= !self.witness.ended;
        self.tell(|run, now, effects| run.abort("aborted", now, effects));
        let running = |seen: &Seen| *seen == Seen::Running { interrupted: false };
        assert!(!self.witness.tasks.values().any(|(_, seen)| running(seen)), "a task goes on after an abort");
    }

    /// Something happens.
    fn step(&mut self, tape: &mut Tape<'_>) {
        let outstanding = self.witness.outstanding();
        let pick = |tape: &mut Tape<'_>, from: &[TaskId]| from.get(tape.below(from.len().max(1))).copied();
        match tape.below(64) {
            0..16 => self.pass_time(self.now),
            16..26 => _ = pick(tape, &outstanding).map(|task| self.begin(task)),
            26..28 => _ = pick(tape, &outstanding).map(|task| self.put_back(task)),
            28..52 => {
                let kinds = [FailureKind::Raised, FailureKind::Lost, FailureKind::Interrupted];
                let outcome = match tape.below(6) {
                    kind @ 0..3 => Outcome::Failed(failure(kinds[kind], "bad")),
                    _ => Outcome::Returned(payload(r#"{"y": 1}"#)),
                };
                _ = pick(tape, &outstanding).map(|task| self.end(task, outcome));
            }
            52..58 => self.pass_time(self.now + seconds(tape.below(10) as u64)),
            // Words that come too late, or twice, or about nothing.
            58..61 => {
                let over = |task: &TaskId| !outstanding.contains(task);
                let task = pick(tape, &self.witness.tasks.keys().copied().filter(over).collect::<Vec<_>>());
                let task = task.unwrap_or(TaskId(1 << 40));
                let before = self.run.size();
                self.begin(task);
                let mut effects = Vec::new();
                self.run.on_task_ended(task, Outcome::Returned(Payload::new()), self.now, &mut effects);
                assert!(self.run.size() <= before || !effects.is_empty());
                self.witness.hear(effects, self.now);
            }
            61 if tape.one_in(3) => self.stop(),
            62 if tape.one_in(3) => self.abort(),
            63 if tape.one_in(6) => self.pass_time(self.begun + RUN_TIMEOUT),
            _ => {}
        }
        if self.run.size() > 2000 {
            self.pass_time(self.begun + RUN_TIMEOUT);
        }
    }

    /// Brings it to its end: tasks that still run return, time passes.
    fn conclude(&mut self) {
        for _ in 0..20_000 {
            let Some(next) = self.run.next_time() else {
                let Some(task) = self.witness.outstanding().pop() else { break };
                self.end(task, Outcome::Returned(Payload::new()));
                continue;
            };
            match self.witness.outstanding().pop() {
                Some(task) if next > self.now => self.end(task, Outcome::Returned(Payload::new())),
                _ => self.pass_time(next.max(self.now)),
            }
        }
        assert!(self.witness.ended, "{:?}", self.run);
        assert!(self.witness.most <= 4096);
    }
}

fn drive(tape: &[u16]) -> Drive {
    let mut tape = Tape(tape.iter());
    let workflow = graph(&mut tape);
    let x = tape.below(2) as i64;
    let now = Instant::now();
    let witness = Witness::new(Arc::clone(&workflow), x);
    let mut drive = Drive { run: Run::new(Arc::clone(&workflow), None), witness, begun: now, now };
    drive.tell(|run, now, effects| run.start(payload(&format!(r#"{{"x": {x}}}"#)), now, effects));
    for _ in 0..20 + tape.below(150) {
        drive.step(&mut tape);
    }
    if has_circle(&workflow, true) {
        match tape.below(3) {
            0 => drive.stop(),
            1 => drive.abort(),
            _ => drive.pass_time(drive.begun + RUN_TIMEOUT),
        }
    }
    drive.conclude();
    drive
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(2000))]

    #[test]
    fn every_run_ends_once_and_loses_or_doubles_nothing(tape in prop::collection::vec(any::<u16>(), 50..800)) {
        drive(&tape);
    }
}
