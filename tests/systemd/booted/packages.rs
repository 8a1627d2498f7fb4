//! The packages on a real system: installed, used, upgraded, removed, purged.

use std::path::Path;
use std::process::Command;

use crate::built::{Built, PACKAGES, unpack};
use crate::installed::WORDS;
use crate::machine::Machine;
use crate::process::output;

/// The machine has no manual pages and no documentation of its own; those of the packages are wanted.
const START: &str = r#"
rm -f /etc/dpkg/dpkg.cfg.d/*mmdebstrap*
export DEBIAN_FRONTEND=noninteractive
systemctl is-system-running --wait >/dev/null
# How far it came, and how long it took.
step() { echo "$(cut -d ' ' -f 1 /proc/uptime) s: $*"; }
# What there is, without what changes by itself.
everything() {
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /root -o -path /exchange \
        -o -path /var/log -o -path /var/tmp -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd \) \
        -prune -o -print | sort
}
install() { apt-get install -qq --no-install-recommends "$@" >/root/apt.log 2>&1 || { cat /root/apt.log; exit 1; }; }
"#;

/// From the README: a workflow of one's own, which becomes a service. Its task can be made to wait.
const OWN: &str = r#"
cat > /etc/pushflow/workflows/own.toml <<'END'
links = [{ from = "start", to = "greet" }, { from = "greet", to = "stop" }]

[service]
mode = "resident"

[actors.greet]
script = "own.py"
END
cat > /etc/pushflow/workflows/own.py <<'END'
import os, time
def run(name="you", until=None, **inputs):
    print("greeting", name, flush=True)
    while until and not os.path.exists(until):
        time.sleep(0.1)
    return {"reply": f"Hello {name}!"}
END
"#;

/// What is said of the recorder too, where the tests are compiled with it.
fn with_recorder(script: &str) -> &str {
    if cfg!(feature = "mx") { script } else { "\n" }
}

/// As the README says: a section in the workflow file, and the address in a credential.
const RECORDED: &str = r#"
step 'the recorder'
is mode "$(stat -c '%a %U %G' /usr/bin/pushflow-mx)" '755 root root'
for path in /usr/share/man/man1/pushflow-mx.1.gz /usr/share/doc/pushflow-mx/copyright /usr/share/doc/pushflow-mx/THIRD-PARTY-NOTICES.gz; do
    is mode "$(stat -c '%a %U %G' $path)" '644 root root'
done
(mkdir -p /root/mongo && cd /root/mongo && exec python3 /root/documents.py 27017) &
printf 'mongodb://127.0.0.1/\n' > /etc/pushflow/credentials/mongo-url
chmod 600 /etc/pushflow/credentials/mongo-url
printf '\n[record]\ntype = "besdb"\nrequest_id_from = "request_id"\n' >> /etc/pushflow/workflows/own.toml
mkdir -p /etc/systemd/system/pushflow@own.service.d
printf '[Service]\nLoadCredential=pushflow-mongo-url:/etc/pushflow/credentials/mongo-url\n' > /etc/systemd/system/pushflow@own.service.d/mongo.conf
"#;

#[test]
fn the_debs_are_installed_used_upgraded_removed_and_purged() {
    let (old, new) = (Built::version("0.0.1", &["--loose"]), Built::version("9.9.9", &["--loose"]));
    let machine = Machine::without_pushflow("vm");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let machine = machine.path(&here.join("tests/systemd/documents.py"), "/root/documents.py");
    let machine = [("old", &old), ("new", &new)].iter().fold(machine, |machine, (folder, built)| {
        let all = PACKAGES.iter().map(|package| built.deb(package));
        all.fold(machine, |machine, deb| {
            let name = deb.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            machine.path(&deb, &format!("/root/{folder}/{name}"))
        })
    });
    let script = r#"
everything > /root/before

# Installed: nothing runs, everything is known.
step 'installed'
install /root/old/*.deb
is units "$(systemctl list-units --all --no-legend 'pushflow*')" ''
is enabled "$(systemctl list-unit-files --state=enabled --no-legend 'pushflow*')" ''
has user "$(getent passwd pushflow)" ':/var/lib/pushflow:'
has group "$(getent group pushflow)" 'pushflow:'
is modes "$(stat -c '%a %U %n' /etc/pushflow /etc/pushflow/*)" '755 root /etc/pushflow
700 root /etc/pushflow/credentials
644 root /etc/pushflow/pushflow.toml
755 root /etc/pushflow/workflows'
is verify "$(systemd-analyze verify pushflow@hello.service pushflow.slice 2>&1)" ''
has catalogue "$(journalctl --list-catalog)" 'A run of the workflow'
for page in man1/pushflow.1 man1/pushflow-run.1 man5/pushflow.toml.5 man5/org.pushflow.Workflow1.5 man8/pushflow@.service.8; do
    test -f /usr/share/man/$page.gz || { echo "no $page"; exit 1; }
done
is example "$(cd /root && pushflow run hello -i name=World -q)" '{"name":"World","reply":"Hello World!"}'
is doctor "$(pushflow doctor hello --json | python3 -c '
import json, sys
for check in json.load(sys.stdin)["checks"]:
    if check["state"] != "ok":
        print(check)')" ''

# Used.
OWN
RECORDED
step 'used'
is check "$(pushflow check /etc/pushflow/workflows/own.toml)" '/etc/pushflow/workflows/own.toml: ok (1 actor, 2 links, 1 pool)'
mkdir -p /etc/systemd/system/pushflow@own.service.d
printf '[Service]\nEnvironment=BEAMLINE=7\n' > /etc/systemd/system/pushflow@own.service.d/beamline.conf
printf '[service]\nmax_queued_runs = 7\n' >> /etc/pushflow/pushflow.toml
systemctl enable -q --now pushflow@own || exit 1
is output "$(pushflow submit own -i name=World --wait)" '{"name":"World","reply":"Hello World!"}'
RECORDS

# Upgraded while a run goes on: it is not disturbed, and what is new begins with the next start.
step 'upgraded'
run=$(pushflow submit own -i until=/var/lib/pushflow/own/upgraded --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["run"])') || exit 1
greeting() { journalctl -o cat -u pushflow@own PUSHFLOW_RUN="$run" | grep -q greeting; }
eventually greeting
pid=$(property own MainPID)
install /root/new/*.deb
for package in PACKAGES; do is version "$(dpkg-query -f '${Version}' -W $package)" 9.9.9-1; done
is process "$(property own MainPID) $(property own NRestarts) $(property own ActiveState)" "$pid 0 active"
has program "$(readlink /proc/$pid/exe)" '(deleted)'
STILL_RECORDS
touch /var/lib/pushflow/own/upgraded
ended() { [ "$(busctl get-property org.pushflow.Workflow1.own /org/pushflow/workflow/run/$run org.pushflow.Run1 Status)" = 's "finished"' ]; }
eventually ended
is output "$(pushflow submit own -i name=again --wait)" '{"name":"again","reply":"Hello again!"}'
has configuration "$(cat /etc/pushflow/pushflow.toml)" 'max_queued_runs = 7'
has drop-in "$(systemctl cat pushflow@own)" 'BEAMLINE=7'
is reload "$(property own NeedDaemonReload)" no
systemctl reload pushflow@own || exit 1
systemctl restart pushflow@own
is program "$(readlink /proc/$(property own MainPID)/exe)" /usr/bin/pushflow
RECORDS_ANEW

# Removed: what ran has ended, what people have written is still there.
step 'removed'
(cd /root && pushflow run hello -q >/dev/null)
touch /var/lib/pushflow/own/kept
apt-get remove -qq pushflow >/dev/null 2>&1 || exit 1
is state "$(systemctl show --value -p ActiveState pushflow@own)" inactive
is processes "$(pgrep -u pushflow)" ''
for path in /etc/pushflow/workflows/own.toml /etc/pushflow/pushflow.toml /var/lib/pushflow/own/kept /etc/systemd/system/pushflow@own.service.d/beamline.conf; do
    test -e $path || { echo "$path is gone"; exit 1; }
done
for path in /usr/bin/pushflow /usr/bin/pushflow-mx /usr/share/pushflow /usr/lib/systemd/system/pushflow@.service /usr/share/dbus-1/system.d/org.pushflow.conf \
    /usr/share/doc/pushflow /usr/share/doc/pushflow-mx /usr/share/man/man1/pushflow-mx.1.gz; do
    test -e $path && { echo "$path is left"; exit 1; }
done
is catalogue "$(journalctl --list-catalog | grep -c 'A run of the workflow')" 0

# Installed again: it is as it was.
step 'installed again'
install /root/new/*.deb
systemctl start pushflow@own || exit 1
is output "$(pushflow submit own --wait)" '{"reply":"Hello you!"}'
test -e /var/lib/pushflow/own/kept || exit 1

# Purged while it runs: nothing is left but the user, whose number must not become another's.
step 'purged'
apt-get purge -qq PACKAGES >/dev/null 2>&1 || exit 1
is processes "$(pgrep -u pushflow)" ''
is units "$(systemctl list-units --all --no-legend 'pushflow*'; systemctl list-unit-files --no-legend 'pushflow*')" ''
everything > /root/after
is paths "$(diff /root/before /root/after)" ''
is run "$(ls /run/pushflow 2>&1 >/dev/null | grep -c 'No such')" 1
step 'done'
"#;
    // The recorder is a child of the service, reads the credential as its user, and reaches the server through the unit's fences.
    let records = r#"
documents() { grep -q -a "$1" /root/mongo/documents; }
eventually documents finished
recorder=$(pgrep -u pushflow -x pushflow-mx)
has cgroup "$(cat /proc/$recorder/cgroup)" '/pushflow.slice/pushflow@own.service/'
"#;
    let still_records = r#"
is recorder "$(pgrep -u pushflow -x pushflow-mx)" "$recorder"
"#;
    let anew = r#"
anew() { program=$(readlink /proc/"$(pgrep -u pushflow -x pushflow-mx)"/exe) && [ "$program" = /usr/bin/pushflow-mx ]; }
eventually anew
"#;
    let script = script
        .replace("\nOWN\n", &format!("\n{OWN}\n"))
        .replace("\nRECORDED\n", with_recorder(RECORDED))
        .replace("\nRECORDS\n", with_recorder(records))
        .replace("\nSTILL_RECORDS\n", with_recorder(still_records))
        .replace("\nRECORDS_ANEW\n", with_recorder(anew))
        .replace("PACKAGES", &PACKAGES.join(" "));
    // The steps with their times, for who asks for them with --nocapture.
    println!("{}", machine.patient(600).run(&format!("{START}{WORDS}{script}")).ok());
}

#[test]
fn the_rpm_unpacked_and_its_scripts_run() {
    let built = Built::version("0.0.1", &["--loose"]);
    let rpm = built.rpm("pushflow");
    let unpacked = tempfile::tempdir().expect("a temporary folder");
    unpack(&rpm, unpacked.path());
    let script = |name: &str| {
        let output = output(Command::new("rpm").args(["-qp", "--qf", &format!("%{{{name}}}")]).arg(&rpm));
        String::from_utf8(output.stdout).expect("text")
    };
    let machine = ["etc", "usr"].iter().fold(Machine::without_pushflow("container"), |machine, top| {
        machine.path(&unpacked.path().join(top), &format!("/{top}"))
    });
    let machine = ["POSTIN", "PREUN", "POSTUN"]
        .iter()
        .fold(machine, |machine, name| machine.file(&format!("/root/{name}"), &script(name)));
    let script = r#"
systemctl is-system-running --wait >/dev/null
sh /root/POSTIN 1 || exit 1
is units "$(systemctl list-units --all --no-legend 'pushflow*')" ''
has user "$(getent passwd pushflow)" ':/var/lib/pushflow:'
is folders "$(stat -c '%a %n' /etc/pushflow/workflows /etc/pushflow/credentials)" '755 /etc/pushflow/workflows
700 /etc/pushflow/credentials'
OWN
systemctl start pushflow@own || exit 1
is output "$(pushflow submit own -i name=World --wait)" '{"name":"World","reply":"Hello World!"}'
# An upgrade: the scripts of the old package with 1, those of the new one with 2.
pid=$(property own MainPID)
sh /root/POSTIN 2 && sh /root/PREUN 1 && sh /root/POSTUN 1 || exit 1
is process "$(property own MainPID) $(property own ActiveState)" "$pid active"
# The end.
sh /root/PREUN 0 || exit 1
is state "$(property own ActiveState)" inactive
is processes "$(pgrep -u pushflow)" ''
rm -r /usr/bin/pushflow /usr/lib/systemd/*/pushflow* /usr/share/pushflow
sh /root/POSTUN 0 || exit 1
is units "$(systemctl list-units --all --no-legend 'pushflow*')" ''
test -d /var/lib/pushflow/own || exit 1
"#;
    let script = script.replace("\nOWN\n", &format!("\n{OWN}\n"));
    machine.run(&format!("{WORDS}{script}")).ok();
}
