"""Buffers that came with a task and leave with its result: only the pages that the task has written travel back.

Such a buffer is a private mapping of a memory file. A page that is written becomes a page of the process's own, and
the kernel tells which are (/proc/self/pagemap, Documentation/admin-guide/mm/pagemap.rst). What the supervisor gets is
which of the files it was, and runs of bytes that are different in it.
"""

import mmap
import os
import sys

from pushflow.light import Struct

RUN = Struct("<QQ")  # where in the buffer, how many bytes; the bytes follow

ENTRY = 8
#: The byte of a page's entry with the flags: present, swapped out, and whether the page is a file's.
FLAGS = 7 if sys.byteorder == "little" else 0
PRESENT, SWAPPED, OF_A_FILE = 0x80, 0x40, 0x20
OWN = bytes(bool(flags & (PRESENT | SWAPPED)) and not flags & OF_A_FILE for flags in range(256))


def addresses(given):
    """Where the mapped buffers of a task are: address -> their number, their mapping, weakly, and their length. `given`: for each
    buffer its mapping, weakly, where in it the buffer is, and its length."""
    found = {}
    try:
        for number, (mapping, offset, length) in enumerate(given):
            alive = mapping() if mapping is not None else None
            if alive is not None:
                found[_address(alive) + offset] = number, mapping, length
    except Exception:
        pass  # no ctypes in this Python: new files are right in any case
    return found


def returned(buffer, given):
    """The number of the given buffer that this one is, whole, and what has changed in it; None if it is none of them, or if so much
    has changed that a new file is less work. `given`: what `addresses` has found."""
    try:
        address = _address(buffer)
        number, mapping, length = given[address]
        # A mapping that has gone may have left its address to another one.
        if length == buffer.nbytes and mapping() is not None:
            changes = _changes(buffer, address)
            return None if changes is None else (number, changes)
    except Exception:
        pass  # another buffer, or no pagemap for this process: a new file is right in any case
    return None


def apply(mapping, changes):
    """Writes what has changed into a mapping."""
    at = 0
    while at < len(changes):
        start, length = RUN.unpack_from(changes, at)
        at += RUN.size
        mapping[start : start + length] = changes[at : at + length]
        at += length


def _address(writable):
    from ctypes import addressof, c_char

    return addressof(c_char.from_buffer(writable))


def _changes(buffer, address):
    page = mmap.PAGESIZE
    size = buffer.nbytes
    pages = -(-size // page)
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        entries = os.pread(pagemap, pages * ENTRY, address // page * ENTRY)
    finally:
        os.close(pagemap)
    own = entries[FLAGS::ENTRY].translate(OWN)
    if len(own) != pages:
        return None
    pieces = []
    room = size // 2
    first = own.find(1)
    while first >= 0:
        after = own.find(0, first)
        if after < 0:
            after = pages
        start, end = first * page, min(after * page, size)
        room -= end - start
        if room < 0:
            return None
        pieces += RUN.pack(start, end - start), buffer[start:end]
        first = own.find(1, after)
    return b"".join(pieces)
