//! Timelines: when which worker did what. As SVG, which a browser zooms (the wheel, dragging), or as a page around it.

mod lanes;
mod svg;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use lanes::Lanes;

/// A task in a timeline. Times are microseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Bar<'b> {
    /// The pool it ran in.
    pub pool: &'b str,
    /// The worker's or program's process number.
    pub worker: i32,
    /// Whether it was a program: each has a process of its own.
    pub program: bool,
    /// Its actor.
    pub actor: &'b str,
    /// How it ended, in a word.
    pub status: &'b str,
    /// Which task of the run.
    pub number: u64,
    /// When it started.
    pub from: u64,
    /// When it ended.
    pub to: u64,
}

/// A timeline as it grows.
#[derive(Debug)]
pub struct Timeline {
    title: String,
    start: u64,
    end: u64,
    actors: Vec<(String, usize)>,
    actor_index: HashMap<String, usize>,
    tasks: Vec<Task>,
    lanes: Lanes,
}

/// A task, or several of one actor that follow each other so closely that nobody could tell them apart.
#[derive(Debug, Clone, Copy)]
struct Task {
    lane: usize,
    actor: usize,
    /// From the start of the run, microseconds.
    from: u64,
    to: u64,
    number: u64,
    outcome: Outcome,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Finished,
    Running,
    Failed,
    Other,
}

impl Timeline {
    /// An empty one of a run that started then.
    pub fn new(title: &str, start: u64) -> Self {
        Timeline {
            title: title.to_owned(),
            start,
            end: start,
            actors: Vec::new(),
            actor_index: HashMap::new(),
            tasks: Vec::new(),
            lanes: Lanes::default(),
        }
    }

    /// Adds a task; they come in about the order in which they started.
    pub fn add(&mut self, bar: Bar<'_>) {
        let from = bar.from.saturating_sub(self.start);
        let to = bar.to.saturating_sub(self.start).max(from);
        self.end = self.end.max(bar.to);
        let actor = match self.actor_index.get(bar.actor) {
            Some(actor) => *actor,
            None => {
                self.actors.push((bar.actor.to_owned(), 0));
                self.actor_index.insert(bar.actor.to_owned(), self.actors.len() - 1);
                self.actors.len() - 1
            }
        };
        self.actors[actor].1 += 1;
        let outcome = match bar.status {
            "finished" => Outcome::Finished,
            "running" => Outcome::Running,
            "error" | "lost" | "timeout" => Outcome::Failed,
            _ => Outcome::Other,
        };
        let lane = self.lanes.put(bar.pool, bar.worker, bar.program, from, to);
        self.tasks.push(Task { lane, actor, from, to, number: bar.number, outcome, count: 1 });
    }

    /// The picture, as a document.
    pub fn svg(self) -> String {
        svg::document(self)
    }

    /// The picture, in a page.
    pub fn html(self) -> String {
        svg::page(self)
    }
}
