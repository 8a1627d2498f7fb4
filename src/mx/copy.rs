//! Copying: changes in the history since the bookmark become writes to MongoDB. Each write can be repeated.
//!
//! An actor of a document is set at its place (`actors.3`) and never pushed, so that repeating a write whose answer was lost does no
//! harm. A write that was not answered in time may be carried out after later ones. So writes of a running run do not change a
//! document that has its end, and the end of a run writes all of it again if there was such a write.

use std::path::{Path, PathBuf};

use mongodb::bson::{Bson, Document, oid::ObjectId};
use pushflow::graph::RecordType;
use pushflow::history::{Changes, HistoryError, Reader, RunRecord, RunStatus, TaskRecord};

use crate::bookmark::{Bookmark, Copied};
use crate::document::{self, Asked, actor, actor_in_short};
use crate::server::{Server, Trouble};

/// How many changes are copied between two bookmarks.
const AT_ONCE: u32 = 500;
/// How many bytes of actors are in one write: far below MongoDB's limit.
const WRITE: usize = 4 << 20;
/// An actor that is larger is recorded without its data.
const LARGEST_ACTOR: usize = 8 << 20;

/// Why copying does not go on.
#[derive(Debug)]
pub enum Stopped {
    /// The server cannot be used now.
    Away(String),
    /// The history cannot be read.
    History(HistoryError),
    /// The bookmark cannot be written.
    Bookmark(PathBuf, std::io::Error),
}

/// Copies a history.
pub struct Copier {
    asked: Asked,
    bookmark: Bookmark,
    file: PathBuf,
    /// Messages for the log, each once.
    said: Vec<String>,
    /// It was logged that runs have no request id.
    made_up: bool,
}

impl Copier {
    /// Continues from the bookmark beside the history. `place`: the database and collection.
    pub fn new(history: &Path, place: &str, asked: Asked) -> Self {
        let file = Bookmark::path(history);
        let mut bookmark = Bookmark::read(&file);
        if bookmark.place != place {
            bookmark = Bookmark { place: place.to_owned(), ..Bookmark::default() };
        }
        Copier { asked, bookmark, file, said: Vec::new(), made_up: false }
    }

    /// The messages since the last call.
    pub fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Copies some changes. Whether there are more.
    pub async fn some(&mut self, reader: &mut Reader, server: &Server) -> Result<bool, Stopped> {
        let identity = reader.identity().map_err(Stopped::History)?;
        if self.bookmark.history != identity {
            let place = std::mem::take(&mut self.bookmark.place);
            self.bookmark = Bookmark { history: identity, place, ..Bookmark::default() };
        }
        let mut changes = reader.changes(self.bookmark.change, AT_ONCE).map_err(Stopped::History)?;
        if changes.cursor < self.bookmark.change {
            // The host lost its last changes, in a power cut for example. Their numbers are used again.
            self.bookmark.change = 0;
            self.bookmark.runs.clear();
            changes = reader.changes(0, AT_ONCE).map_err(Stopped::History)?;
        }
        if changes.cursor == self.bookmark.change {
            return Ok(false);
        }
        for run in &changes.runs {
            // A queued run is not recorded.
            if run.status != RunStatus::Queued {
                self.run(run, &changes, reader, server).await?;
            }
        }
        self.bookmark.change = changes.cursor;
        self.bookmark.write(&self.file).map_err(|error| Stopped::Bookmark(self.file.clone(), error))?;
        Ok(changes.more)
    }

    async fn run(
        &mut self,
        run: &RunRecord,
        changes: &Changes,
        reader: &Reader,
        server: &Server,
    ) -> Result<(), Stopped> {
        let known = self.bookmark.runs.get(&run.id).cloned();
        let tasks = changes.tasks.iter().filter(|task| task.run == run.id);
        let mut copy = RunCopy {
            asked: &self.asked,
            history: &self.bookmark.history,
            run,
            server,
            known: known.is_some(),
            has_actors: known.as_ref().is_some_and(|known| known.actors > 0),
            copied: known.unwrap_or_default(),
            told: false,
            said: Vec::new(),
            made_up: false,
        };
        let outcome = if copy.copied.given_up { Ok(()) } else { copy.all(tasks, reader).await };
        let RunCopy { mut copied, mut said, made_up, .. } = copy;
        match outcome {
            Ok(()) => {}
            Err(Failed::Stopped(stopped)) => {
                if let Some(known) = self.bookmark.runs.get_mut(&run.id) {
                    known.in_doubt = true;
                }
                return Err(stopped);
            }
            Err(Failed::GivenUp(why)) => {
                copied.given_up = true;
                said.push(format!("run {} is not recorded: {why}", run.id));
            }
        }
        if made_up && !self.made_up {
            self.made_up = true;
            said.push(format!(
                "run {} has no request id (no input `{}`, and PYPUSHFLOW_OBJECTID is not set): such runs are recorded under \
                 an id of their own",
                run.id, self.asked.request_id_from
            ));
        }
        self.said.append(&mut said);
        if run.is_over() {
            self.bookmark.runs.remove(&run.id);
        } else {
            self.bookmark.runs.insert(run.id, copied);
        }
        Ok(())
    }
}

/// Why a run is not copied.
enum Failed {
    Stopped(Stopped),
    GivenUp(String),
}

impl From<HistoryError> for Failed {
    fn from(error: HistoryError) -> Self {
        Failed::Stopped(Stopped::History(error))
    }
}

/// The copying of one run.
struct RunCopy<'c> {
    asked: &'c Asked,
    history: &'c str,
    run: &'c RunRecord,
    server: &'c Server,
    /// Its document is there.
    known: bool,
    /// Its document has a list of actors.
    has_actors: bool,
    copied: Copied,
    /// Its document says how the run is doing now.
    told: bool,
    said: Vec<String>,
    made_up: bool,
}

/// An attempt and its place in the document.
type Placed<'t> = (usize, &'t TaskRecord);

impl RunCopy<'_> {
    async fn all<'t>(
        &mut self,
        changed: impl Iterator<Item = &'t TaskRecord> + Clone,
        reader: &Reader,
    ) -> Result<(), Failed> {
        let anew = self.copied.in_doubt && self.run.is_over() && !self.copied.full;
        if anew {
            (self.copied.last, self.copied.actors) = (0, 0);
            self.copied.open.clear();
        }
        // What is new is read from the history in its order, whatever of it has changed again since.
        let has_new = anew || changed.clone().any(|task| task.id > self.copied.last);
        let placed: Vec<Placed<'_>> =
            changed.filter_map(|task| Some((*self.copied.open.get(&task.id)?, task))).collect();
        let mut new = if has_new { self.new_tasks(reader)? } else { Vec::new() };
        if !self.known {
            self.begin(&new).await?;
            new = if has_new { self.new_tasks(reader)? } else { Vec::new() };
        }
        self.put(&placed).await?;
        while !new.is_empty() {
            let first = self.copied.actors;
            let placed: Vec<Placed<'_>> = new.iter().enumerate().map(|(at, task)| (first + at, task)).collect();
            self.put(&placed).await?;
            new = self.new_tasks(reader)?;
        }
        if self.told {
            return Ok(());
        }
        let now = self.asked.now(self.run);
        self.set(now).await.map_err(|trouble| self.failed(trouble))
    }

    fn new_tasks(&self, reader: &Reader) -> Result<Vec<TaskRecord>, Failed> {
        Ok(reader.tasks(self.run.id, self.copied.last, AT_ONCE)?)
    }

    /// Makes the document. Where it is there already, it is seen whether it is this run's.
    async fn begin(&mut self, tasks: &[TaskRecord]) -> Result<(), Failed> {
        let name = self.asked.name(self.history, self.run);
        let mut document = self.asked.begun(&name, self.run);
        let start = document::time(document::started(self.run)).timestamp_millis();
        self.made_up = name.made_up && self.asked.kind == RecordType::BesDb;
        self.copied.id = name.id.to_hex();
        self.copied.start = start;
        let (actors, placed) = self.fitting(tasks.iter().enumerate());
        let has_actors = !actors.is_empty() || self.asked.kind == RecordType::MongoDb;
        if has_actors {
            document.insert("actors", actors.into_iter().map(|(_, actor)| Bson::Document(actor)).collect::<Vec<_>>());
        }
        document.extend(self.asked.now(self.run));
        match self.server.insert(&document).await {
            Ok(()) => {
                self.has_actors = has_actors;
                self.told = true;
                tasks.iter().enumerate().take(placed).for_each(|(at, task)| self.note(at, task));
            }
            Err(Trouble::Taken) => {
                let theirs = self.server.start_of(name.id).await.map_err(|trouble| self.failed(trouble))?;
                // A run that has begun again after a crash keeps the start of its document.
                let again = self.run.begun > 1;
                let since = document::time(self.run.queued_at).timestamp_millis();
                match theirs {
                    Some(theirs) if theirs == start || (again && (since..=start).contains(&theirs)) => {
                        self.copied.start = theirs;
                        self.copied.in_doubt = true;
                    }
                    _ => {
                        return Err(Failed::GivenUp(format!(
                            "there is a document of another run with its request id, {:?}, already",
                            name.request
                        )));
                    }
                }
            }
            Err(trouble) => return Err(self.failed(trouble)),
        }
        self.known = true;
        Ok(())
    }

    /// Writes attempts at their places.
    async fn put(&mut self, tasks: &[Placed<'_>]) -> Result<(), Failed> {
        let mut rest = tasks;
        while !rest.is_empty() {
            let (fields, placed) = self.fitting(rest.iter().copied());
            let (written, later) = rest.split_at(placed);
            match self.set_actors(fields).await {
                Ok(()) => {}
                Err(Trouble::TooLarge) => self.squeeze(written).await?,
                Err(trouble) => return Err(self.failed(trouble)),
            }
            written.iter().for_each(|(at, task)| self.note(*at, task));
            rest = later;
        }
        Ok(())
    }

    /// As many actors as one write takes, at least one where there is one, and how many those are.
    fn fitting<'t>(&self, tasks: impl Iterator<Item = Placed<'t>>) -> (Vec<(usize, Document)>, usize) {
        let mut actors: Vec<(usize, Document)> = Vec::new();
        let mut size = 0;
        for (at, task) in tasks {
            let actor = self.actor(task);
            size += length(&actor);
            if size > WRITE && !actors.is_empty() {
                break;
            }
            actors.push((at, actor));
        }
        let count = actors.len();
        (actors, count)
    }

    /// An attempt is in the document, at this place.
    fn note(&mut self, at: usize, task: &TaskRecord) {
        self.copied.last = self.copied.last.max(task.id);
        self.copied.actors = self.copied.actors.max(at + 1);
        match task.ended_at {
            Some(_) => _ = self.copied.open.remove(&task.id),
            None => _ = self.copied.open.insert(task.id, at),
        }
    }

    fn actor(&self, task: &TaskRecord) -> Document {
        if self.copied.full {
            return actor_in_short(self.history, task);
        }
        let document = actor(self.history, task);
        if length(&document) > LARGEST_ACTOR { actor_in_short(self.history, task) } else { document }
    }

    /// The document is full: from now on without what tasks were given and returned.
    async fn squeeze(&mut self, tasks: &[Placed<'_>]) -> Result<(), Failed> {
        if !self.copied.full {
            self.copied.full = true;
            self.said.push(format!(
                "run {}: its document is as large as MongoDB takes them: what further tasks were given and returned is not recorded",
                self.run.id
            ));
        }
        let fields = tasks.iter().map(|(at, task)| (*at, actor_in_short(self.history, task))).collect();
        match self.set_actors(fields).await {
            Ok(()) => Ok(()),
            Err(Trouble::TooLarge) => {
                // So much can be said in any case.
                let now = self.asked.now(self.run);
                self.set(now).await.map_err(|trouble| self.failed(trouble))?;
                Err(Failed::GivenUp("its document has no room for further tasks".to_owned()))
            }
            Err(trouble) => Err(self.failed(trouble)),
        }
    }

    async fn set_actors(&mut self, actors: Vec<(usize, Document)>) -> Result<(), Trouble> {
        let mut fields: Document = if self.has_actors {
            actors.into_iter().map(|(at, actor)| (format!("actors.{at}"), Bson::Document(actor))).collect()
        } else {
            // There is no list yet, or one of a copy that nobody remembers: these are its first items.
            let list = actors.into_iter().map(|(_, actor)| Bson::Document(actor)).collect();
            Document::from_iter([("actors".to_owned(), Bson::Array(list))])
        };
        fields.extend(self.asked.now(self.run));
        self.set(fields).await?;
        self.has_actors = true;
        self.told = true;
        Ok(())
    }

    /// A document that somebody has deleted meanwhile stays deleted.
    async fn set(&self, fields: Document) -> Result<(), Trouble> {
        let id = ObjectId::parse_str(&self.copied.id).map_err(|error| Trouble::Refused(error.to_string()))?;
        self.server.set(id, self.copied.start, self.run.is_over(), fields).await.map(|_| ())
    }

    fn failed(&self, trouble: Trouble) -> Failed {
        match trouble {
            Trouble::Away(why) => Failed::Stopped(Stopped::Away(why)),
            Trouble::Refused(why) => Failed::GivenUp(why),
            Trouble::Taken => Failed::GivenUp("there is another document with its _id".to_owned()),
            Trouble::TooLarge => Failed::GivenUp("its document would be too large".to_owned()),
        }
    }
}

/// How many bytes it is as BSON.
fn length(document: &Document) -> usize {
    document.to_vec().map_or(0, |bytes| bytes.len())
}
