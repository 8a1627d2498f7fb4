//! The history: runs and tasks in a SQLite file, written by one thread, readable meanwhile.
//!
//! One file a workflow: `/var/lib/pushflow/NAME/history.sqlite`, for users `$XDG_STATE_HOME/pushflow/NAME/history.sqlite`. The
//! tables, with what each column holds, are in `file/schema/1.sql`; [`Reader`] reads them as [`RunRecord`]s and [`TaskRecord`]s.
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
