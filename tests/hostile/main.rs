//! Tasks that do not want to end, or leave behind what does not. Whatever they do, nothing of them is left: looked at
//! from outside, by a mark in the environment of every process.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../binary/support.rs"]
mod support;

mod deaf;
mod deaths;
mod frozen;
mod held_up;
mod killed;
mod matrix;
mod needs_root;
mod scene;
#[path = "../binary/seed.rs"]
mod seed;
mod signals;
mod strays;
mod stubborn;
