//! Tasks that do not end by themselves, and those that have started what does not.

use std::sync::Mutex;

/// What each task does, after which it says `ready`.
pub(crate) const TASKS: [(&str, &str); 29] = [
    ("ignores SIGINT", "    ignore(signal.SIGINT)\n    note('ready')\n    time.sleep(1000)"),
    ("ignores SIGINT and SIGTERM", "    deaf()\n    note('ready')\n    forever()"),
    ("sleeps in C and holds the GIL", "    note('ready')\n    while True: ctypes.PyDLL(None).sleep(1000)"),
    (
        "waits in C for ever and holds the GIL",
        "    lock = ctypes.create_string_buffer(64)\n    libc = ctypes.PyDLL(None)\n    libc.pthread_mutex_lock(lock)\n    note('ready')\n    libc.pthread_mutex_lock(lock)",
    ),
    (
        "is stopped",
        // One thread may go on for a moment after another was stopped.
        "    note('ready')\n    os.kill(os.getpid(), signal.SIGSTOP)\n    time.sleep(1000)",
    ),
    (
        "has a stopped child",
        "    def child():\n        os.kill(os.getpid(), signal.SIGSTOP)\n    fork(child)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has a child in a session of its own",
        "    subprocess.Popen(['sh', '-c', 'trap \"\" INT TERM; sleep 1000 & sleep 1000'], start_new_session=True)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has forked twice",
        "    def child():\n        deaf()\n        fork(forever)\n    os.waitpid(fork(child), 0)\n    note('ready')\n    time.sleep(1000)",
    ),
    ("has started a daemon under another name", "    daemon()\n    note('ready')\n    time.sleep(1000)"),
    (
        "has 200 children that do not listen",
        "    def child():\n        deaf()\n        forever()\n    for _ in range(200): fork(child)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "makes zombies",
        "    for _ in range(300): fork(lambda: None)\n    for _ in range(50): fork(lambda: fork(lambda: None))\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has a grandchild that outlives its parent",
        "    subprocess.run(['sh', '-c', 'trap \"\" INT TERM; (sleep 1000; sleep 1000) & exit 0'])\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "restarts its children",
        "    def watch():\n        deaf()\n        while True: os.waitpid(fork(forever), 0)\n    fork(watch)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "spins and catches every exception",
        "    note('ready')\n    while True:\n        try: sum(range(1000))\n        except BaseException: pass",
    ),
    (
        "blocks every signal",
        "    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n    note('ready')\n    forever()",
    ),
    (
        "ignores every signal that can be ignored",
        "    ignore(*signal.valid_signals())\n    note('ready')\n    forever()",
    ),
    ("prints without end", "    deaf()\n    note('ready')\n    while True: print('x' * 1000, flush=True)"),
    (
        "has a child that Python does not know",
        "    if ctypes.PyDLL(None).fork() == 0:\n        deaf()\n        forever()\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has a process group that is stopped",
        "    def child():\n        os.setpgid(0, 0)\n        fork(forever)\n        os.killpg(0, signal.SIGSTOP)\n    fork(child)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has threads that do not end",
        "    import threading\n    for _ in range(20): threading.Thread(target=forever).start()\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has a pool of multiprocessing",
        "    import multiprocessing\n    pool = multiprocessing.get_context('fork').Pool(3)\n    waiting = pool.map_async(time.sleep, [1000] * 3)\n    note('ready')\n    waiting.get()",
    ),
    (
        "has become a subreaper",
        "    ctypes.CDLL(None).prctl(36, 1)\n    daemon()\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "cannot be dumped",
        "    ctypes.CDLL(None).prctl(4, 0)\n    deaf()\n    note(f'pid {os.getpid()}')\n    note('ready')\n    forever()",
    ),
    (
        "has a child without an environment",
        "    def child():\n        deaf()\n        os.setsid()\n        os.execve('/bin/sleep', ['sleep', '1000'], {})\n    note(f'pid {fork(child)}')\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has a chain of children that grows",
        "    def chain(length):\n        deaf()\n        if length: fork(lambda: chain(length - 1))\n        forever()\n    fork(lambda: chain(50))\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "makes orphans again and again",
        "    def child():\n        deaf()\n        while True: os.waitpid(fork(lambda: fork(lambda: time.sleep(0.05))), 0)\n    fork(child)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "has a child that forks and ends again and again",
        "    def hop():\n        while True:\n            time.sleep(0.01)\n            if os.fork(): os._exit(0)\n    fork(hop)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "traces a child",
        "    def child():\n        ctypes.CDLL(None).ptrace(0, 0, None, None)\n        os.kill(os.getpid(), signal.SIGSTOP)\n        forever()\n    os.waitpid(fork(child), os.WUNTRACED)\n    note('ready')\n    time.sleep(1000)",
    ),
    (
        "gets a signal every millisecond",
        "    ignore(signal.SIGINT)\n    ctypes.CDLL(None).signal(int(signal.SIGALRM), ctypes.CDLL(None).abs)\n    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n    note('ready')\n    while True: time.sleep(1000)",
    ),
];

/// Does this for each of them, for several at the same time: most of it is waiting.
pub(crate) fn each_of<T: Send>(all: impl IntoIterator<Item = T, IntoIter: Send>, one: impl Fn(T) + Sync) {
    let all = Mutex::new(all.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let next = all.lock().unwrap().next();
                    match next {
                        Some(next) => one(next),
                        None => return,
                    }
                }
            });
        }
    });
}
