//! Control: commands over the bus, signals, reload, and the end of the service.

mod commands;
mod on_signal;
mod reload;
mod shutdown;
mod signal;
