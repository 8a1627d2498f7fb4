//! The real `pushflow`, with real Python workers, real signals and real processes.

#![allow(clippy::unwrap_used)]

mod accounting;
mod cache;
mod commands;
mod completions;
mod doctor;
mod errors;
mod foreign_text;
mod inputs;
mod interpreters;
mod lost_workers;
mod names;
mod new;
mod output;
mod programs;
mod ps;
mod scale;
mod signals;
mod started;
mod support;
mod terminal;
mod values;
