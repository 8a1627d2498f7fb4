# The first code in an interpreter of pushflow. `python -c` reads it from the connection, the descriptor `fd`: see bundle.rs.
import sys
# `python -c` puts the current folder first. It may contain anybody's modules.
if sys.path[:1] == [""] and not getattr(sys.flags, "safe_path", False): del sys.path[0]
if sys.version_info < (3, 8):
    import os, struct
    if fd is None: sys.exit("pushflow: Python %d.%d is too old: 3.8 or newer is needed" % sys.version_info[:2])
    text = ("Python %d.%d is too old: pushflow needs 3.8 or newer (%s)" % (sys.version_info[:2] + (sys.executable,))).encode()
    os.write(fd, struct.pack("<IBQ", 9 + len(text), 6, 0) + text); sys.exit(1)
try:
    from _socket import socket
except ImportError:
    from socket import socket
if fd is not None: s = socket(fileno=fd)
# It waits without limit, even if something has called `socket.setdefaulttimeout` (a sitecustomize.py).
s.settimeout(None)
def read(n):
    b = b""
    while len(b) < n:
        c = s.recv(n - len(b))
        if not c: sys.exit("pushflow: the supervisor went away")
        b += c
    return b
exec(compile(read(int.from_bytes(read(4), "little")), "<pushflow>", "exec"), {"socket_": s})
