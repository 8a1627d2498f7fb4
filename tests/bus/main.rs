//! `pushflow serve` on D-Bus, with real clients (busctl, gdbus, python3-dbus), each test on a bus of its own.

#![allow(clippy::unwrap_used)]

mod bus;
mod clients;
mod deaf_manager;
mod ending;
mod figures;
mod hostile;
mod interfaces;
mod needs_root;
mod places;
mod processes;
mod reload;
mod signals;
#[path = "../binary/support.rs"]
#[allow(dead_code)]
mod support;
mod verbs;
