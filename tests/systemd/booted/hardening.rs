//! What the unit forbids, and the drop-ins that allow some of it.

use crate::machine::Machine;

/// Tries what container tools do; and what no task is to do.
const TRIES: &str = "links = [{ from = 'start', to = 'task' }, { from = 'task', to = 'stop' }]
[actors.task]
kind = 'exec'
command = ['sh', '-c', 'unshare --user --map-root-user --mount sh -c \"mount -t tmpfs none /mnt && echo contained\" 2>&1; id -u; true']
stdout_key = 'said'
";

#[test]
fn namespaces_and_mounts_are_refused_until_the_drop_in_for_containers_allows_them() {
    Machine::vm().file("/etc/pushflow/workflows/tries.toml", TRIES).check(
        r#"
        said() { journalctl -o cat -u pushflow@tries | grep output: | tail -1; }
        ended() { [ "$(property tries ActiveState)" = inactive ] && [ "$(property tries Result)" = success ]; }
        systemctl start pushflow@tries && eventually ended
        has refused "$(said)" 'Operation not permitted'
        mkdir -p /etc/systemd/system/pushflow@tries.service.d
        cp /usr/share/pushflow/units/containers.conf /etc/systemd/system/pushflow@tries.service.d/
        systemctl daemon-reload && systemctl start pushflow@tries && eventually ended
        has allowed "$(said)" 'contained'
        "#,
    );
}
