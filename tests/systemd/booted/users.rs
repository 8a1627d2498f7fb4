//! Services of a user, and of another host.

use crate::machine::Machine;

#[test]
fn an_ordinary_user_has_services_of_their_own() {
    Machine::container().check(
        r#"
        useradd -m worker
        loginctl enable-linger worker
        bus=/run/user/$(id -u worker)
        eventually test -S $bus/bus
        as_worker() { runuser -u worker -- env HOME=/home/worker XDG_RUNTIME_DIR=$bus DBUS_SESSION_BUS_ADDRESS=unix:path=$bus/bus "$@"; }
        as_worker mkdir -p /home/worker/.config/pushflow/workflows
        cp /etc/pushflow/workflows/res.* /home/worker/.config/pushflow/workflows/
        is verify "$(as_worker systemd-analyze --user verify pushflow@res.service 2>&1)" ''
        as_worker systemctl --user start pushflow@res || exit 1
        has output "$(as_worker pushflow submit --user res --wait)" "\"user\":$(id -u worker)"
        has list "$(as_worker pushflow list --user)" 'res   idle'
        has ps "$(as_worker pushflow ps)" 'res (user service, pid '
        has "ps --user" "$(as_worker pushflow ps --user res)" '(supervisor)'
        # The service manager hears of the end of the run after its client.
        idle() { as_worker systemctl --user status pushflow@res | grep -q 'Status: "idle'; }
        eventually idle
        as_worker systemctl --user stop pushflow@res || exit 1
        is state "$(as_worker systemctl --user show --value -p Result pushflow@res)" success
        has said "$(as_worker pushflow submit --user res 2>&1)" 'start it with: systemctl --user start pushflow@res'
        "#,
    );
}

#[test]
fn services_of_another_host_are_reached_over_ssh() {
    Machine::container().check(
        r#"
        mkdir -p /run/sshd ~/.ssh
        ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519 && cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys
        [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -A
        systemd-run -q --unit=other-host /usr/sbin/sshd -D -o ListenAddress=127.0.0.1
        printf 'Host beamline\nHostName 127.0.0.1\nStrictHostKeyChecking no\nLogLevel ERROR\n' > ~/.ssh/config
        reached() { ssh beamline true; }
        eventually reached
        systemctl start pushflow@res
        has list "$(pushflow list -H root@beamline)" 'res   idle'
        has ps "$(pushflow ps -H root@beamline res)" "res (system service, pid $(property res MainPID)): idle"
        has output "$(pushflow submit -H beamline res --wait)" '"secret":null'
        has said "$(pushflow status -H beamline other 2>&1)" 'other is not running (looked on the system bus of beamline); start it with: systemctl -H beamline start pushflow@other'
        has words "$(pushflow list -H 'a,b=c' 2>&1)" 'is not the name of a host'
        has nobody "$(pushflow status -H nowhere.invalid res 2>&1)" 'cannot reach the system bus of nowhere.invalid'
        "#,
    );
}
