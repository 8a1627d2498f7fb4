//! pushflow-mx: copies runs from the history to MongoDB, as pypushflow writes them.
//!
//! It is a child of a service or of `pushflow run`, and the only process that talks to the server: the server never affects a
//! workflow. [`mod@follow`] waits for the history to be written, [`copy`] makes documents of it ([`document`], [`value`],
//! [`identity`]) and remembers how far it is ([`bookmark`]); [`server`] and [`address`] are the other side.

mod address;
mod arguments;
mod bookmark;
mod copy;
mod document;
mod follow;
mod identity;
mod server;
mod value;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use arguments::Arguments;
use copy::Copier;
use follow::{End, follow, say};

/// How long the rest may take once nothing more comes, as long as pypushflow looks for a server.
const REST: Duration = Duration::from_secs(10);
/// The exit code for "not all is copied, try again later" (sysexits.h, EX_TEMPFAIL).
const LATER: u8 = 75;

fn main() -> ExitCode {
    // It knows the password of the server: neither a core dump nor a process of the same user gets that from its memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("cannot start", &error),
    };
    let ended = runtime.block_on(record(&arguments));
    // A driver that waits for a server, or a lock that another recorder has, holds nobody up.
    runtime.shutdown_background();
    match ended {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Left) => {
            say("not everything is recorded yet: the next recorder of this history goes on from here");
            ExitCode::from(LATER)
        }
        Err(error) => failed("cannot follow the history", &error),
    }
}

fn failed(what: &str, error: &io::Error) -> ExitCode {
    say(&format!("{what}: {error}"));
    ExitCode::FAILURE
}

async fn record(arguments: &Arguments) -> io::Result<End> {
    let way = arguments.way();
    let (tell, ending) = watch::channel(arguments.once);
    let work = async {
        let _alone = alone(&way.history).await?;
        let copier = Copier::new(&way.history, &arguments.place(), arguments.asked());
        follow(&way, copier, ending).await
    };
    let mut work = std::pin::pin!(work);
    if !arguments.once {
        let over = async {
            nothing_more(arguments.with_parent).await?;
            Ok(None)
        };
        if let Some(end) = futures_lite::future::or(async { work.as_mut().await.map(Some) }, over).await? {
            return Ok(end);
        }
        tell.send_replace(true);
    }
    match tokio::time::timeout(REST, work).await {
        Ok(end) => end,
        Err(_) => Ok(End::Left),
    }
}

/// Waits until one of two recorders of a history has ended: runs in the foreground share it.
async fn alone(history: &Path) -> io::Result<File> {
    let path = history.with_file_name("recorded.lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?
}

/// Returns when nothing more is going to be written: SIGTERM, SIGINT, or the end of the parent.
async fn nothing_more(with_parent: bool) -> io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signals = async {
        futures_lite::future::or(term.recv(), int.recv()).await;
        Ok(())
    };
    if !with_parent {
        return signals.await;
    }
    futures_lite::future::or(signals, end_of_input()).await
}

/// The parent holds the other end of standard input.
async fn end_of_input() -> io::Result<()> {
    let input = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    loop {
        input.readable().await?;
        match input.try_read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}
