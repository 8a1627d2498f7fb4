//! Random graphs under a random scheduler, with distinct payloads. A [`Ledger`] checks every step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::bench::{failure, seconds};
use super::graph::Graph;
use super::ledger::{Ledger, Stand, values};
use crate::engine::{Effect, FailureKind, Outcome, Run, TaskId};
use crate::graph::{
    Actor, ActorId, Kind, Link, OnTimeout, Port, Retry, Route, Router, Scope, ScopeId, Script, Workflow,
};
use crate::payload::{Key, Payload, Value};

/// Decisions that proptest can shrink; 0 when there are no more.
struct Dice<'d>(std::slice::Iter<'d, u16>);

impl Dice<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |number| usize::from(*number) % bound.max(1))
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) + 1 == odds
    }

    fn pick(&mut self, from: &[TaskId]) -> Option<TaskId> {
        from.get(self.below(from.len())).copied()
    }

    /// Links to actors in this range; where it ends, `stop` stands.
    fn links(&mut self, from: usize, to: usize, most: usize) -> Vec<Link> {
        let one = |dice: &mut Self| match from + dice.below(to + 1 - from) {
            index if index == to => STOP,
            index => ActorId::from(index),
        };
        (0..self.below(most + 1)).map(|_| Link { to: one(self) }).collect()
    }

    fn kind(&mut self, next: usize, count: usize) -> Kind {
        match self.below(12) {
            0 => Kind::Fork,
            1 | 2 => Kind::Join { arrivals: 1 + self.below(3) },
            3 | 4 => {
                let ports = [Port::Null, Port::Bool(true), Port::Int(7), Port::Text("red".into()), Port::Bool(false)];
                let ports = ports.into_iter().skip(self.below(4)).take(3);
                let routes = ports.map(|port| Route { port, links: self.links(next, count, 2) }).collect();
                let other = self.one_in(2).then(|| self.links(next, count, 2));
                Kind::Router(Router { item: "x".into(), routes, other })
            }
            5 => Kind::Status("word".into()),
            6 => Kind::ErrorHandler,
            7 => Kind::Boundary,
            _ => Kind::Python(Script::Module("m".into())),
        }
    }
}

const STOP: ActorId = ActorId(1);

/// A graph of any shape. With circles, tasks lead back, by results and errors; nothing else does, or it would not end.
fn graph(dice: &mut Dice<'_>, circles: bool) -> Arc<Workflow> {
    let mut workflow = Arc::unwrap_or_clone(Graph::new().build());
    for number in 0..dice.below(3) {
        let parent = Some(ScopeId::from(dice.below(number + 1)));
        workflow.scopes.push(Scope {
            name: format!("s{number}"),
            path: format!("/s{number}"),
            parent,
            on_error: Vec::new(),
        });
    }
    let count = 3 + dice.below(8);
    // Without circles, errors bubble from the actors before this one to those from it on.
    let watershed = 2 + dice.below(count - 2);
    for index in 2..count {
        let kind = dice.kind(index + 1, count);
        let free = circles && kind.is_task();
        let fails = kind.is_task() || matches!(kind, Kind::Router(_));
        let first = if free { 2 } else { index + 1 };
        let actor = Actor {
            name: format!("a{index}"),
            path: format!("/a{index}"),
            scope: ScopeId::from(dice.below(workflow.scopes.len())),
            links: if matches!(kind, Kind::Router(_)) { Vec::new() } else { dice.links(first, count, 2) },
            on_error: if fails { dice.links(first, count, 2) } else { Vec::new() },
            bubble_errors: fails && (free || index < watershed && !circles) && dice.one_in(2),
            retry: Retry { times: dice.below(3) as u32, delay: seconds(dice.below(4) as u64) },
            timeout: dice.one_in(3).then(|| seconds(1 + dice.below(9) as u64)),
            kind,
            ..workflow.actor(STOP).clone()
        };
        workflow.actors.push(actor);
    }
    for scope in 0..workflow.scopes.len() {
        workflow.scopes[scope].on_error = dice.links(if circles { 2 } else { watershed }, count, 2);
    }
    let start = workflow.start.index();
    workflow.actors[start].links = dice.links(2, count, 2);
    workflow.actors[start].links.push(Link { to: ActorId(2) });
    workflow.timeout = dice.one_in(2).then(|| seconds(60));
    workflow.on_timeout = if dice.one_in(2) { OnTimeout::Wait } else { OnTimeout::Interrupt };
    Arc::new(workflow)
}

/// A run, its ledger, and the pool and the clock that are made up for it.
struct Drive {
    run: Run,
    ledger: Ledger,
    now: Instant,
    tasks_ended: usize,
    /// A task that has ended, for words that come too late.
    gone: TaskId,
}

impl Drive {
    fn tell(&mut self, tell: impl FnOnce(&mut Run, Instant, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        tell(&mut self.run, self.now, &mut effects);
        self.ledger.book(&effects, self.now);
        self.run.sanity_check();
    }

    fn time(&mut self, pause: Duration) {
        self.now += pause;
        if !self.ledger.over() {
            self.ledger.time(self.now);
        }
        self.tell(Run::on_time);
    }

    fn begin(&mut self, task: TaskId) {
        self.ledger.begin(task, self.now);
        self.run.on_task_started(task, self.now);
        self.run.sanity_check();
    }

    fn end(&mut self, task: TaskId, outcome: Outcome) {
        self.ledger.end(task, &outcome);
        self.tasks_ended += 1;
        self.gone = task;
        self.tell(|run, now, effects| run.on_task_ended(task, outcome, now, effects));
    }

    fn stop(&mut self, abort: bool) {
        self.ledger.stop(abort);
        self.tell(
            |run, now, effects| {
                if abort { run.abort("no more", now, effects) } else { run.stop("no more", now, effects) }
            },
        );
    }

    /// What some task returns: a value for the routers, or none, and a key of its own.
    fn result(&self, dice: &mut Dice<'_>, task: TaskId) -> Payload {
        let mut result = Payload::new();
        if dice.one_in(2) {
            let (pickle, look) = values()[dice.below(8)].clone();
            result.insert("x".into(), Value::from_pickle(pickle.into(), Some(look)));
        }
        let key = Key::text(&format!("by{}", self.ledger.actor_of(task).0));
        result.insert(key, Value::from_pickle(self.tasks_ended.to_le_bytes().into(), None));
        result
    }

    fn outcome(&self, dice: &mut Dice<'_>, task: TaskId) -> Outcome {
        let kinds = [FailureKind::Raised, FailureKind::Lost, FailureKind::Interrupted];
        match dice.below(8) {
            kind @ 5..8 => Outcome::Failed(failure(kinds[kind - 5], "bad")),
            _ => Outcome::Returned(self.result(dice, task)),
        }
    }

    fn step(&mut self, dice: &mut Dice<'_>) {
        let queued = self.ledger.tasks(|stand| stand == Stand::Queued);
        let running = self.ledger.tasks(|stand| matches!(stand, Stand::Running { .. }));
        match dice.below(64) {
            0..20 => _ = dice.pick(&queued).map(|task| self.begin(task)),
            20..42 => {
                // A task may also end before it was started: its worker could not be.
                let from = if dice.one_in(8) { &queued } else { &running };
                let Some(task) = dice.pick(from) else { return };
                let outcome = self.outcome(dice, task);
                self.end(task, outcome);
            }
            42..52 => self.time(seconds(dice.below(5) as u64)),
            52..56 => {
                if let Some(at) = self.run.next_time() {
                    self.time(at.saturating_duration_since(self.now));
                }
            }
            56..59 => self.say_nonsense(dice),
            59..61 if dice.one_in(8) => self.stop(false),
            61..63 if dice.one_in(8) => self.stop(true),
            63 if dice.one_in(4) => self.time(seconds(60)),
            _ => {}
        }
    }

    /// Words about tasks that are not there, or not any more, change nothing.
    fn say_nonsense(&mut self, dice: &mut Dice<'_>) {
        let waiting = self.ledger.tasks(|stand| matches!(stand, Stand::Waiting(_)));
        let here = self.ledger.tasks(|_| true).contains(&self.gone);
        let task = dice.pick(&waiting).unwrap_or(if here { TaskId(1 << 40) } else { self.gone });
        let before = format!("{:?}", self.run);
        self.run.on_task_started(task, self.now);
        assert_eq!(format!("{:?}", self.run), before);
        let unsettled = self.run.size();
        self.tell(|run, now, effects| run.on_task_ended(task, Outcome::Returned(Payload::new()), now, effects));
        assert!(self.ledger.over() || self.run.size() > 0 || unsettled == 0);
    }

    fn conclude(&mut self, dice: &mut Dice<'_>) {
        for _ in 0..20_000 {
            if self.ledger.over() {
                break;
            }
            let tasks = self.ledger.tasks(|stand| !matches!(stand, Stand::Waiting(_)));
            match (self.run.next_time(), dice.pick(&tasks)) {
                (Some(at), _) if at <= self.now => self.time(Duration::ZERO),
                (_, Some(task)) => {
                    let outcome = self.outcome(dice, task);
                    self.end(task, outcome);
                }
                (Some(at), None) => self.time(at - self.now),
                (None, None) => break,
            }
        }
        assert!(self.ledger.over(), "it hangs: {:?}", self.run);
        self.stop(false);
        self.stop(true);
        self.time(seconds(3600));
        self.say_nonsense(dice);
        assert_eq!((self.run.size(), self.run.next_time()), (0, None));
    }
}

fn drive(numbers: &[u16]) {
    let mut dice = Dice(numbers.iter());
    let circles = dice.one_in(2);
    let workflow = graph(&mut dice, circles);
    let now = Instant::now();
    let run = Run::new(Arc::clone(&workflow), None);
    let ledger = Ledger::new(workflow, circles);
    let mut drive = Drive { run, ledger, now, tasks_ended: 0, gone: TaskId(1 << 40) };
    let (pickle, look) = values()[dice.below(8)].clone();
    let inputs: Payload = [(Key::text("x"), Value::from_pickle(pickle.into(), Some(look)))].into_iter().collect();
    drive.ledger.start(&inputs, now);
    drive.tell(|run, now, effects| run.start(inputs, now, effects));
    for _ in 0..20 + dice.below(150) {
        drive.step(&mut dice);
    }
    if circles || dice.one_in(4) {
        drive.stop(dice.one_in(2));
    }
    drive.conclude(&mut dice);
}

proptest! {
    #![proptest_config(crate::test_seed::property_test(3000))]

    #[test]
    fn what_a_run_asks_for_agrees_with_what_it_was_told(numbers in prop::collection::vec(any::<u16>(), 50..900)) {
        drive(&numbers);
    }
}
