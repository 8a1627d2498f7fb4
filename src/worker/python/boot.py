import sys
if sys.version_info < (3, 8):
    import os, struct
    if sys.argv[1] == "connect": sys.exit("pushflow: Python %d.%d is too old: 3.8 or newer is needed" % sys.version_info[:2])
    text = ("Python %d.%d is too old: pushflow needs 3.8 or newer (%s)" % (sys.version_info[:2] + (sys.executable,))).encode()
    os.write(int(sys.argv[1]), struct.pack("<IBQ", 9 + len(text), 6, 0) + text); sys.exit(1)
try:
    from _socket import socket
except ImportError:
    from socket import socket
def read(n):
    b = b""
    while len(b) < n:
        c = s.recv(n - len(b))
        if not c: sys.exit("pushflow: the supervisor went away")
        b += c
    return b
if sys.argv[1] == "connect":
    from os import environ
    a, t = environ.pop("PUSHFLOW_WORKER_ADDRESS", None), environ.pop("PUSHFLOW_WORKER_TOKEN", None)
    if not a or not t: sys.exit("pushflow: the launcher has not passed on PUSHFLOW_WORKER_ADDRESS and PUSHFLOW_WORKER_TOKEN")
    s = socket(1, 1)  # AF_UNIX, SOCK_STREAM
    try: s.connect(a)
    except OSError as e: sys.exit("pushflow: cannot connect to %s: %s" % (a, e))
    s.sendall(t.encode())
else:
    s = socket(fileno=int(sys.argv[1]))
exec(compile(read(int.from_bytes(read(4), "little")), "<pushflow>", "exec"), {"socket_": s})
