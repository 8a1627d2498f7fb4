//! Following the history: copying when it is written, waiting while the server is away, and ending.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use pushflow::graph::RecordUrl;
use pushflow::history::{HistoryError, Reader};
use tokio::sync::watch;

use crate::address::Address;
use crate::copy::{Copier, Stopped};
use crate::server::Server;

/// How long to wait for more writes after the first: they are copied together.
const TOGETHER: Duration = Duration::from_millis(200);
/// How long a server that is away is tried once more at the end.
const LAST_TRY: Duration = Duration::from_secs(3);
/// The pause before a server that is away is tried again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where runs are copied from and to.
#[derive(Debug, Clone)]
pub struct Way {
    /// The history.
    pub history: PathBuf,
    /// Where the server's address is.
    pub url: RecordUrl,
    /// The database.
    pub database: String,
    /// The collection.
    pub collection: String,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is copied.
    Done,
    /// The next recorder copies the rest.
    Left,
}

/// Copies the history, and what is added to it until `ending` is true.
pub async fn follow(way: &Way, mut copier: Copier, mut ending: watch::Receiver<bool>) -> io::Result<End> {
    let mut watch = HistoryWatch::new(&way.history)?;
    let mut away: Option<Away> = None;
    let mut at: Option<(Address, Server)> = None;
    let mut reader: Option<Reader> = None;
    let mut recording = false;
    loop {
        let asked_to_end = *ending.borrow();
        let pass = pass(way, &mut copier, &mut reader, &mut at);
        let passed = match asked_to_end && away.is_some() {
            true => match tokio::time::timeout(LAST_TRY, pass).await {
                Ok(passed) => passed,
                Err(_) => return Ok(End::Left),
            },
            false => pass.await,
        };
        let stopped = match passed {
            Ok(more) => {
                copier.said().iter().for_each(|text| say(text));
                let server = at.as_ref().map(|(_, server)| server);
                let hosts = server.map_or("", |server| server.hosts.as_str());
                let answers = server.is_some_and(Server::has_answered);
                if away.take().is_some() {
                    say(&format!("MongoDB at {hosts} is back, and what it has missed is being recorded"));
                } else if !recording && answers {
                    say(&format!("runs are recorded in MongoDB at {hosts}, {}.{}", way.database, way.collection));
                }
                recording |= answers;
                if more {
                    continue;
                }
                if asked_to_end {
                    return Ok(End::Done);
                }
                if watch.next(&mut ending).await {
                    reader = None;
                }
                continue;
            }
            Err(stopped) => stopped,
        };
        copier.said().iter().for_each(|text| say(text));
        if asked_to_end {
            return Ok(End::Left);
        }
        let pause = away.get_or_insert_with(|| Away::new(&stopped, at.as_ref().map(|(_, server)| server))).pause();
        if let Stopped::History(_) = stopped {
            reader = None;
        }
        let end = async { _ = ending.changed().await };
        futures_lite::future::or(tokio::time::sleep(pause), end).await;
    }
}

/// Copies a part. Whether there is more.
async fn pass(
    way: &Way,
    copier: &mut Copier,
    reader: &mut Option<Reader>,
    at: &mut Option<(Address, Server)>,
) -> Result<bool, Stopped> {
    let reader = match reader {
        Some(reader) => reader,
        None => match Reader::open(&way.history) {
            Ok(opened) => reader.insert(opened),
            // The file is created with the first run.
            Err(HistoryError::Missing(_)) => return Ok(false),
            Err(error) => return Err(Stopped::History(error)),
        },
    };
    let mut warned = None;
    let address = Address::read(&way.url, |path| warned = Some(path.to_owned()));
    let address = address.map_err(|error| Stopped::Away(error.to_string()))?;
    let server = match at {
        Some((known, server)) if *known == address => server,
        // The address is new or has changed.
        _ => {
            if let Some(path) = warned {
                say(&format!(
                    "everyone on this host can read the server's address in {0}: chmod o= {0}",
                    path.display()
                ));
            }
            let server = Server::at(&address, &way.database, &way.collection).await;
            let server = server.map_err(|error| Stopped::Away(error.to_string()))?;
            &mut at.insert((address, server)).1
        }
    };
    copier.some(reader, server).await
}

/// The server, or something else that is needed, cannot be used now.
struct Away {
    next: Duration,
}

impl Away {
    /// Logs it.
    fn new(stopped: &Stopped, server: Option<&Server>) -> Self {
        let later = "runs go on, and are recorded later";
        match (stopped, server) {
            (Stopped::Away(why), Some(server)) => say(&format!("MongoDB at {} is away, {later}: {why}", server.hosts)),
            (Stopped::Away(why), None) => say(&format!("cannot record, {later}: {why}")),
            (Stopped::History(error), _) => say(&format!("cannot record, {later}: {error}")),
            (Stopped::Bookmark(path, error), _) => {
                say(&format!("cannot record, {later}: cannot write {}: {error}", path.display()));
            }
        }
        Away { next: PAUSES.0 }
    }

    /// How long to wait before the next try: longer each time.
    fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(PAUSES.1);
        pause
    }
}

/// Watches the history for writes (inotify(7)), with a thread that waits for the kernel.
///
/// tokio's `AsyncFd` would save the thread, but since tokio 1.54 it can be made only with `unsafe`.
struct HistoryWatch {
    seen: watch::Receiver<Seen>,
    known: Seen,
}

/// How often the history was written, and how often another file has taken its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    written: u64,
    replaced: u64,
}

impl HistoryWatch {
    fn new(history: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let folder = history.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(folder, AddWatchFlags::IN_MODIFY | made)?;
        let name = history.file_name().unwrap_or_default().to_owned();
        let (tell, seen) = watch::channel(Seen::default());
        std::thread::Builder::new().name("inotify".to_owned()).spawn(move || {
            while let Ok(events) = inotify.read_events() {
                let mut now = *tell.borrow();
                for event in events {
                    let its = event.name.as_ref().map(|name| name.as_encoded_bytes());
                    // No name: events were lost. The log, `history.sqlite-wal`, counts as well; the index, `-shm`, is written
                    // by readers too.
                    let name = name.as_encoded_bytes();
                    now.written += u64::from(its.is_none_or(|its| its.starts_with(name) && !its.ends_with(b"-shm")));
                    now.replaced += u64::from(its.is_none_or(|its| its == name) && event.mask.intersects(made));
                }
                if now != *tell.borrow() && tell.send(now).is_err() {
                    return;
                }
            }
        })?;
        Ok(HistoryWatch { seen, known: Seen::default() })
    }

    /// Waits until the history is written, and a little for more writes, or until the end. Whether another file has taken its
    /// place.
    async fn next(&mut self, ending: &mut watch::Receiver<bool>) -> bool {
        let end = async {
            _ = ending.changed().await;
            false
        };
        let written = async { self.seen.changed().await.is_ok() };
        if futures_lite::future::or(written, end).await {
            let end = async { _ = ending.changed().await };
            futures_lite::future::or(tokio::time::sleep(TOGETHER), end).await;
        }
        // The caller reads the history after this.
        let before = std::mem::replace(&mut self.known, *self.seen.borrow_and_update());
        self.known.replaced != before.replaced
    }
}

/// One line for people, in the log of the service.
pub fn say(text: &str) {
    eprintln!("{}", pushflow::text::line(text));
}
