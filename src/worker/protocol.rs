//! The constants of the wire protocol, which both directions share. The Python side has them in `python/wire.py`,
//! `python/memory_files.py`, `python/payload_codec.py` and `python/routing_value.py`.
//!
//! A frame is `<IBQ`: the number of bytes after this field, the kind, the id of the job; the body follows.

/// The length of a frame's header, bytes.
pub(super) const HEADER: usize = 13;
/// The longest frame in bytes, without its length field, which has 32 bits. Large pieces travel in memory files beside the frame, so
/// frames are much shorter.
pub const MAX_FRAME: usize = u32::MAX as usize;

// Kinds of frames.
pub(super) const SETUP: u8 = 1;
pub(super) const SPAWN: u8 = 2;
pub(super) const RUN: u8 = 3;
pub(super) const DESCRIBE: u8 = 4;
pub(super) const READY: u8 = 5;
pub(super) const FAILED: u8 = 6;
pub(super) const RESULT: u8 = 7;
pub(super) const ERROR: u8 = 8;
pub(super) const DESCRIBED: u8 = 9;
pub(super) const INTERRUPT: u8 = 10;
pub(super) const PRINTED: u8 = 11;
pub(super) const THREADED: u8 = 12;
pub(super) const ELSEWHERE: u8 = 13;
pub(super) const PAUSES: u8 = 14;

// Flags of a payload's entry.
pub(super) const POSITION: u8 = 1;
pub(super) const SHARED: u8 = 2;
pub(super) const ROUTING_VALUE: u8 = 4;
pub(super) const JSON_REPR: u8 = 8;

// Flags in a length: the piece is in a memory file; a piece with its changes follows; it is a buffer that came with the task.
pub(super) const SHARED_LENGTH: u64 = 1 << 63;
pub(super) const CHANGED: u64 = 1 << 62;
pub(super) const GIVEN: u64 = 1 << 61;

// Values of a task frame instead of the CPU to wait on.
pub(super) const ANYWHERE: u16 = u16::MAX;
pub(super) const FOLLOWED: u16 = u16::MAX - 1;

/// The id of the job that a frame is about.
pub(super) fn job_of(frame: &[u8]) -> u64 {
    frame.get(5..HEADER).and_then(|job| job.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Longer frames go over the connection. The worker reads into a buffer of twice this size (`wire.py`).
pub(super) const LONGEST_QUEUED: usize = 32 * 1024;
