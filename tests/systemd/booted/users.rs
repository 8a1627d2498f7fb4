//! Services of a user.

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
        has status "$(as_worker systemctl --user status pushflow@res)" 'Status: "idle; 1 over"'
        as_worker systemctl --user stop pushflow@res || exit 1
        is state "$(as_worker systemctl --user show --value -p Result pushflow@res)" success
        has said "$(as_worker pushflow submit --user res 2>&1)" 'start it with: systemctl --user start pushflow@res'
        "#,
    );
}
