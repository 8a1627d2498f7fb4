//! Names of workflows that the name of a unit has to escape.

use crate::machine::Machine;

#[test]
fn a_workflow_with_a_space_in_its_name_is_a_service_as_systemd_escape_writes_it() {
    Machine::container().check(
        r#"
        for name in 'my-own flow' -x data-red 'é%'; do
            cp /etc/pushflow/workflows/res.toml "/etc/pushflow/workflows/$name.toml"
            unit="pushflow@$(systemd-escape -- "$name").service"
            systemctl start -- "$unit" || exit 1
            has output "$(pushflow submit --wait -- "$name")" '"secret":null'
            has status "$(pushflow status -- "$name")" "  file   /etc/pushflow/workflows/$name.toml"
            systemctl reload -- "$unit" || exit 1
            has run "$(pushflow show -- "$name/1")" "/etc/pushflow/workflows/$name.toml"
            has history "$(pushflow history)" "$name/1"
            systemctl stop -- "$unit" || exit 1
            is Result "$(systemctl show --value -p Result -- "$unit")" success
        done
        # Usual names need no escape.
        systemctl start pushflow@data-red || exit 1
        has list "$(pushflow list)" 'data-red'
        has folder "$(ls /var/lib/pushflow)" 'my\x2down\x20flow'
        "#,
    );
}
