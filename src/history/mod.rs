//! The history: runs and tasks in a SQLite file, written by one thread, readable meanwhile.
//!
//! One file a workflow: `/var/lib/pushflow/NAME/history.sqlite`, for users `$XDG_STATE_HOME/pushflow/NAME/history.sqlite`. The
//! tables, with what each column holds, are in `file/schema/1.sql`; [`Reader`] reads them as [`RunRecord`]s and [`TaskRecord`]s.
//!
//! # Following
//! A follower copies runs elsewhere while they run. It remembers the file's [`Reader::identity`] and a cursor, which starts at 0.
//! [`Reader::changes`] returns the runs and attempts that were written since the cursor, in their current state, and the next
//! cursor. Each row that is written gets the next change number of the file, and a transaction is visible as a whole or not at
//! all: nothing with a number below the cursor appears later. A follower that stores the cursor after it has copied the changes
//! misses nothing. If it is killed, it copies some changes twice; records have an `id`, so that copying them again can be made
//! to change nothing. If the identity has changed (a damaged file was replaced), it starts from 0.
//!
//! A run is `queued`, then `running`, then has an `ended_at` and does not change any more, except that tasks can be left out of it
//! later. Rows beyond the limits of the configuration are deleted, which is not a change. A `running` run whose owner is gone
//! ([`is_alive`]) is ended as `interrupted` by the next pushflow that writes the file.

mod clock;
mod definition;
mod entry;
mod error;
mod file;
mod owner;
mod read;
mod record;
mod recover;
mod recovered;
mod request;
mod requester;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod values;
mod withdraw;
mod write;

pub use clock::{RunClock, now};
pub use definition::definition;
pub use entry::{Attempt, End, NewRun, RunEnd, WriteError, WriteId, WriterReply};
pub use error::HistoryError;
pub use file::migrations::VERSION;
pub use file::open::{claim, open_for_writing};
pub use owner::{is_alive, this_process};
pub use read::{Changes, Filter, Reader};
pub use record::{ActorRecord, Figures, RunError, RunRecord, TaskRecord};
pub use recovered::{KeptResult, RecoveredRun, Recovery};
pub use request::RunRequest;
pub use requester::Requester;
pub use settings::Settings;
pub use status::{RunStatus, TaskStatus};
pub use values::{Part, Recorded};
pub use withdraw::{RefusedRuns, Withdrawal};
pub use write::{History, TaskNews, Wake};
