//! A machine with pushflow installed as a package would install it.

use std::path::Path;

use crate::machine::Machine;

/// Where the files of the repository go. The tests' scripts make the user and group by systemd-sysusers.
const FILES: [(&str, &str); 8] = [
    ("units/system", "/usr/lib/systemd/system"),
    ("units/user", "/usr/lib/systemd/user"),
    ("packaging/dbus/org.pushflow.conf", "/usr/share/dbus-1/system.d/org.pushflow.conf"),
    ("packaging/polkit/org.pushflow.policy", "/usr/share/polkit-1/actions/org.pushflow.policy"),
    ("packaging/sysusers/pushflow.conf", "/usr/lib/sysusers.d/pushflow.conf"),
    ("packaging/tmpfiles/pushflow.conf", "/usr/lib/tmpfiles.d/pushflow.conf"),
    ("packaging/journal/pushflow.catalog", "/usr/lib/systemd/catalog/pushflow.catalog"),
    ("conf/workflows", "/usr/share/pushflow/workflows"),
];

/// What a script begins with.
pub(crate) const INSTALL: &str = "
systemd-sysusers && systemd-tmpfiles --create pushflow.conf && journalctl --update-catalog
systemctl daemon-reload && systemctl reload dbus.service
# Waits until `$@` succeeds, for 20 s.
eventually() { for _ in $(seq 200); do if \"$@\" >/dev/null 2>&1; then return 0; fi; sleep 0.1; done; echo \"never: $*\"; return 1; }
property() { systemctl show --value -p \"$2\" \"pushflow@$1\"; }
";

impl Machine {
    /// The machine, with pushflow installed in it.
    pub(crate) fn installed(self) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        FILES.iter().fold(self, |machine, (from, to)| machine.path(&here.join(from), to))
    }
}
