//! A machine with pushflow installed as a package would install it.

use std::path::Path;

use crate::machine::Machine;

/// Where the files of the repository go.
const FILES: [(&str, &str); 13] = [
    ("units/system", "/usr/lib/systemd/system"),
    ("units/user", "/usr/lib/systemd/user"),
    ("packaging/dbus/org.pushflow.conf", "/usr/share/dbus-1/system.d/org.pushflow.conf"),
    ("packaging/dbus/org.pushflow.Workflow1.xml", "/usr/share/dbus-1/interfaces/org.pushflow.Workflow1.xml"),
    ("packaging/dbus/org.pushflow.Run1.xml", "/usr/share/dbus-1/interfaces/org.pushflow.Run1.xml"),
    ("packaging/dbus/org.pushflow.Actor1.xml", "/usr/share/dbus-1/interfaces/org.pushflow.Actor1.xml"),
    ("packaging/dbus/org.pushflow.Process1.xml", "/usr/share/dbus-1/interfaces/org.pushflow.Process1.xml"),
    ("packaging/polkit/org.pushflow.policy", "/usr/share/polkit-1/actions/org.pushflow.policy"),
    ("packaging/sysusers/pushflow.conf", "/usr/lib/sysusers.d/pushflow.conf"),
    ("packaging/tmpfiles/pushflow.conf", "/usr/lib/tmpfiles.d/pushflow.conf"),
    ("packaging/journal/pushflow.catalog", "/usr/lib/systemd/catalog/pushflow.catalog"),
    ("units/examples", "/usr/share/pushflow/units"),
    ("conf/workflows", "/usr/share/pushflow/workflows"),
];

/// What a script begins with: the end of the installation.
const INSTALL: &str = r#"
systemd-sysusers && systemd-tmpfiles --create pushflow.conf && journalctl --update-catalog || exit 1
systemctl daemon-reload && systemctl reload dbus.service || exit 1
"#;

/// Words for what follows.
pub(crate) const WORDS: &str = r#"
# is WHAT FOUND EXPECTED
is() { [ "$2" = "$3" ] || { printf 'wrong: %s is %s, not %s\n' "$1" "$2" "$3"; journalctl -o cat -n 40; exit 1; }; }
# has WHAT TEXT PART
has() { case "$2" in *"$3"*) ;; *) printf 'wrong: %s is %s, without %s\n' "$1" "$2" "$3"; exit 1 ;; esac; }
# Waits until a command succeeds.
eventually() { for _ in $(seq 300); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.1; done; echo "never: $*"; journalctl -o cat -n 40; exit 1; }
property() { systemctl show --value -p "$2" "pushflow@$1"; }
restarted() { [ "$(property "$1" NRestarts)" -ge "$2" ] && [ "$(property "$1" SubState)" = running ]; }
nothing() { ! pgrep -x "$1"; }
"#;

/// A resident workflow `res` whose task does what its inputs say.
const WORKFLOW: &str = "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]
[service]
mode = 'resident'
stop_timeout = '6s'
[pool]
grace = '1s'
[actors.task]
script = 'res.py'
";
const TASK: &str = "
import os, subprocess, time
def run(sleep=0, leave=False, secret=None, **_):
    print('the task prints', flush=True)
    if leave:
        subprocess.Popen(['sleep', '1000'], start_new_session=True)
    time.sleep(sleep)
    if secret:
        secret = open(os.path.join(os.environ['CREDENTIALS_DIRECTORY'], secret)).read()
    return {'user': os.getuid(), 'secret': secret}
";

impl Machine {
    /// The machine, with pushflow installed in it.
    fn installed(self) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let machine = FILES.iter().fold(self, |machine, (from, to)| machine.path(&here.join(from), to));
        machine.file("/etc/pushflow/workflows/res.toml", WORKFLOW).file("/etc/pushflow/workflows/res.py", TASK)
    }

    /// Runs a script in it that uses [`WORDS`].
    pub(crate) fn check(self, script: &str) -> String {
        self.installed().run(&format!("{INSTALL}{WORDS}{script}")).ok()
    }
}
