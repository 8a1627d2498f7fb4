"""Packs and unpacks payloads: a body has an entry for each key, with the value's pickle and its buffers (pickle protocol 5).

The Rust side is `Frame::put_entry` in `src/worker/frame.rs` and `Reader::entry` in `src/worker/message.rs`.
"""

import sys

import pushflow
from pushflow import routing_value
from pushflow.lowlevel_imports import Struct, dumps, loads, pickle, ref, standard
from pushflow.memory_files import (
    COUNT, LENGTH, SHARE_FROM, SHARED_LENGTH, Files, NoMemoryFile, Received, open_files_limit,
)
from pushflow.wire import LONGEST_FRAME

ENTRY = Struct("<BIQI")  # flags, length of the key, length of the pickle, number of buffers
POSITION, SHARED, ROUTING_VALUE, JSON_REPR = 1, 2, 4, 8  # flags of an entry
# Further flags in the length of a buffer; SHARED_LENGTH is the first.
CHANGED = 1 << 62  # with SHARED_LENGTH: a piece follows that says where the buffer is different
GIVEN = 1 << 61  # only from a worker, instead of both: the buffer of this number that came with the task, except for what follows

#: A frame itself contains at most MOST_INLINE bytes of pickles; further pickles of at least INLINE bytes travel in memory files.
MOST_INLINE = 1 << 20
INLINE = 512
ALIGNED = 64
#: Arrays up to this size, in bytes, own their data when they arrive, as with numpy's own pickles: they can be resized in place.
OWNED = 1000

PickleBuffer = pickle.PickleBuffer

#: Returns the JSON for records of a value (`json_repr.of`), where runs are recorded.
json_repr = None


def unpack(channel, body, at=0, given=None, broken=None):
    """Unpacks the payload in a body, from an offset on.

    Each buffer that came in a memory file is added to `given`: the file, weakly, its offset and its length. If a value cannot be
    unpickled, its error is raised; or it is put into `broken`, if that is a dict, under the value's key.
    """
    unpack_entry = ENTRY.unpack_from
    (count,) = COUNT.unpack_from(body, at)
    at += 4
    entries = {}
    received = None
    failed = None
    for _ in range(count):
        flags, key_length, length, buffers = unpack_entry(body, at)
        at += 17
        end = at + key_length
        key = body[at:end].decode()
        if flags & POSITION:
            key = int(key)
        if received is None and (flags & SHARED or buffers):
            received = Received(channel)
        if flags & SHARED:
            _, _, stream, at = received.piece(length, body, end)
        else:
            at = end + length
            stream = body[end:at]
        views = ()
        if buffers:
            views = []
            for _ in range(buffers):
                view, at = _unpack_buffer(received, body, at, given)
                views.append(view)
        try:
            entries[key] = loads(stream, buffers=views)
        except BaseException as error:
            # The other entries are read nevertheless: their files must not stay for the next frame.
            failed = failed or error
            if broken is not None:
                entries[key] = None
                broken[key] = error
    if failed is not None and broken is None:
        try:
            raise failed
        finally:
            del failed  # it refers to this frame, and this frame to all values
    return entries


def _unpack_buffer(received, body, at, given):
    (size,) = LENGTH.unpack_from(body, at)
    at += 8
    if not size & SHARED_LENGTH:
        return bytearray(body[at : at + size]), at + size
    length = size & ~(SHARED_LENGTH | CHANGED)
    file, offset, view, at = received.piece(length, body, at)
    if size & CHANGED:
        changes, at = received.bytes(body, at)
        pushflow.pages.apply(view, changes)
    if given is not None:
        # A file that was read instead of mapped has no pages that `pages.returned` could compare.
        given.append((None if type(file) is bytearray else ref(file), offset, length))
    # The object of a memoryview would be the whole file.
    return view if view is file else PickleBuffer(view), at


def pack(entries, routing_keys, fds, given=()):
    """Packs a payload; descriptors are appended to `fds`.

    Values under `routing_keys` are sent with their routing values. `given` are the buffers that came with the task.
    """
    parts = [COUNT.pack(len(entries))]
    files = Files(fds)
    for key, value in entries.items():
        routing = routing_value.pack(value) if key in routing_keys else None
        try:
            parts += _pack_entry(key, value, routing, files, given)
        except NoMemoryFile as failed:
            raise _cannot_pass_on(key, value, failed) from None
        except KeyNotUnicode:
            raise TypeError(f"run() returned the key {key!r}, which cannot be written as UTF-8 and so cannot be passed on") from None
        except MemoryError as error:
            raise MemoryError(f"{_what(key, value)} cannot be pickled: out of memory") from error
        except Exception as error:
            raise TypeError(f"{_what(key, value)} cannot be pickled: {_reason(error)}") from error
    files.finish()
    body = b"".join(parts)
    if len(body) > LONGEST_FRAME:
        raise ValueError(f"run() returned {len(entries)} keys whose values take {len(body)} bytes: these are too many")
    return body


def pack_entry(key, value, fds):
    """Packs one entry without a routing value; descriptors are appended to `fds`."""
    files = Files(fds)
    packed = b"".join(_pack_entry(key, value, None, files, ()))
    files.finish()
    return packed


def _pack_entry(key, value, routing, files, given):
    flags = 0
    if isinstance(key, str):
        key = _utf8(key)
    else:
        flags = POSITION
        key = str(int(key)).encode()
    buffers = []
    stream = dumps(value, 5, buffer_callback=buffers.append)
    if buffers:
        stream, buffers = _with_small_buffers(value, stream, buffers)
    length = len(stream)
    said = None if json_repr is None else json_repr(value, length)
    if length >= SHARE_FROM or (length >= INLINE and files.inline >= MOST_INLINE):
        place = files.put(stream, length, ALIGNED)
        if place is not None:
            flags |= SHARED
            stream = place
    else:
        files.inline += length
    if routing is not None:
        flags |= ROUTING_VALUE
    if said is not None:
        flags |= JSON_REPR
    parts = [ENTRY.pack(flags, len(key), length, len(buffers)), key, stream]
    for buffer in buffers:
        with buffer.raw() as raw:
            returned = None
            if given:
                if files.given is None:
                    files.given = pushflow.pages.addresses(given)
                returned = pushflow.pages.returned(raw, files.given)
            if returned is None:
                parts.append(files.piece(raw, raw.nbytes))
            else:
                number, changes = returned
                parts += LENGTH.pack(raw.nbytes | GIVEN), COUNT.pack(number), files.piece(changes, len(changes))
    if routing is not None:
        parts.append(routing)
    if said is not None:
        parts += COUNT.pack(len(said)), said
    return parts


class KeyNotUnicode(Exception):
    """The key of a payload has half of a surrogate pair."""


def _utf8(key):
    try:
        return str.encode(key)
    except UnicodeEncodeError:
        raise KeyNotUnicode from None


def _with_small_buffers(value, stream, buffers):
    """Returns the pickle of a value that has buffers, and the buffers that travel beside it: large and writable ones."""
    measured = []
    for buffer in buffers:
        with buffer.raw() as raw:
            measured.append((raw.nbytes, raw.readonly))
    if all(size >= SHARE_FROM and not readonly for size, readonly in measured):
        return stream, buffers
    # Buffers beside the pickle keep arrays from being resized. Those that the value itself exports must stay as they are.
    buffer = None
    buffers.clear()
    if _is_copied(value):
        return dumps(value, 4), []
    buffers = []
    written = standard("io").BytesIO()
    _Pickler(written, 5, buffer_callback=lambda buffer: _is_small(buffer) or buffers.append(buffer)).dump(value)
    return written.getbuffer(), buffers


def _is_small(buffer):
    with buffer.raw() as raw:
        return raw.nbytes < SHARE_FROM


def _is_copied(value):
    """Whether it is an array that is pickled with protocol 4. That protocol does not keep an unusual byte order or layout."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray:
        return False
    flags = value.flags
    return not flags.writeable or (value.nbytes <= OWNED and value.dtype.isnative and (flags.c_contiguous or flags.f_contiguous))


class _Pickler(pickle.Pickler):
    """Pickles small and read-only arrays with protocol 4: a small array then owns its data when it arrives, and tasks may write into
    the arrays that they receive, as in pypushflow."""

    def reducer_override(self, value):
        return value.__reduce_ex__(4) if _is_copied(value) else NotImplemented


def _cannot_pass_on(key, value, failed):
    error = failed.error
    limit = open_files_limit() if error.errno == standard("errno").EMFILE else ""
    reason = f"no memory file of {failed.size} bytes can be made: {error.strerror}{limit}"
    return OSError(error.errno, f"{_what(key, value)} cannot be passed on: {reason}")


def _what(key, value):
    return f"the value of {key!r}, a {type(value).__qualname__},"


def _reason(error):
    """The text of an error; its class if it has none."""
    return str(error) or type(error).__name__
