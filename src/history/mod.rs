//! The history: runs and tasks in a SQLite file, written by one thread, readable meanwhile.
//!
//! One file a workflow: `/var/lib/pushflow/NAME/history.sqlite`, for users `$XDG_STATE_HOME/pushflow/NAME/history.sqlite`. The
//! tables, with what each column holds, are in `schema/1.sql`; [`Reader`] reads them as [`RunRecord`]s and [`TaskRecord`]s.
//!
//! # Following
//! Whoever copies runs elsewhere as they go on remembers two things: the file's [`Reader::identity`] and a cursor, from
//! 0. [`Reader::changes`] gives the runs and attempts that were written or changed since the cursor, each as it is now (not each step that
//! it took meanwhile), and the next cursor. Every row that is written gets the next change number of the file, and a
//! transaction is seen as a whole or not at all: nothing with a number below the cursor appears later. So a follower
//! that stores the cursor when it has passed on what it got misses nothing, and passes nothing on twice but what it had
//! passed on when it died; records have their `id`, so that passing them on again can be made to change nothing. With another
//! identity (a file that was broken has been put aside) it starts from 0.
//!
//! A run is `queued`, then `running`, then has an `ended_at` and stays as it is, but for what is left out of it later. Rows that are older or more than
//! the configuration keeps are deleted: that is no change. A run that is `running` whose owner is not there any
//! more ([`is_alive`]) is ended as `interrupted` by the next pushflow that writes the file.

mod age;
mod aside;
mod clock;
mod definition;
mod entry;
mod error;
mod exact;
mod handle;
mod json;
mod leftover;
mod offer;
mod open;
mod owner;
mod prune;
mod reader;
mod record;
mod schema;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use clock::{RunClock, now};
pub use definition::definition;
pub use entry::{Attempt, End, Fate, KeptResult, LeftRun, NewRun, Part, Recorded, RunEnd, Word};
pub use error::HistoryError;
pub use handle::{History, TaskNews, Wake};
pub use offer::{Offer, Refused};
pub use open::{claim, open_for_writing};
pub use owner::{is_alive, this_process};
pub use reader::{Changes, Filter, Reader};
pub use record::{ActorRecord, Figures, Requester, RunError, RunRecord, TaskRecord};
pub use schema::VERSION;
pub use settings::Settings;
