//! Who may: the D-Bus policy, polkit, and whose data it is.

use crate::machine::Machine;

const PEOPLE: &str = "
useradd looker; useradd -G pushflow member
as() { user=$1; shift; runuser -u \"$user\" -- \"$@\"; }
systemctl start pushflow@res
run=/org/pushflow/workflow/run
";

#[test]
fn everyone_may_look_and_only_the_group_may_act() {
    Machine::container().check(&format!(
        r#"{PEOPLE}
        as member pushflow submit res --wait >/dev/null || exit 1
        for verb in 'submit res' 'stop res' 'stop res 1' 'stop res --abort'; do
            has "$verb" "$(as looker pushflow $verb 2>&1)" 'only root and members of the group pushflow may'
        done
        for call in 'Run a{{sv}}a{{sv}} 0 0' 'RunJson sa{{sv}} {{}} 0' 'Drain' 'Abort s x' 'Reload' 'Signal si all 0'; do
            as looker busctl call org.pushflow.Workflow1.res /org/pushflow/workflow org.pushflow.Workflow1 $call 2>/dev/null && exit 1
        done
        as looker busctl call org.pushflow.Workflow1.res $run/1 org.pushflow.Run1 Abort s x 2>/dev/null && exit 1
        supervisor=$(property res MainPID)
        as looker busctl call org.pushflow.Workflow1.res /org/pushflow/workflow/process/$supervisor org.pushflow.Process1 Kill i 15 2>/dev/null && exit 1
        is process "$(as looker busctl get-property org.pushflow.Workflow1.res /org/pushflow/workflow/process/$supervisor org.pushflow.Process1 Kind)" 's "supervisor"'
        has ps "$(as looker pushflow ps res)" "res (system service, pid $supervisor): idle, 0 runs, "
        has "ps of all" "$(as looker pushflow ps --json)" '"bus":"system","state":"idle"'
        as looker busctl call org.pushflow.Workflow1.res /org/pushflow/workflow org.pushflow.Workflow1 ListProcesses >/dev/null || exit 1
        figure=$(as looker busctl get-property org.pushflow.Workflow1.res /org/pushflow/workflow org.pushflow.Workflow1 CPUUsageNSec)
        has figure "$figure" 't '
        has status "$(as looker pushflow status res)" 'idle: 0 active, 0 queued; 1 over'
        has introspection "$(as looker busctl introspect org.pushflow.Workflow1.res /org/pushflow/workflow 2>/dev/null)" RunFinished
        is state "$(property res ActiveState)" active
        as member busctl call org.pushflow.Workflow1.res /org/pushflow/workflow org.pushflow.Workflow1 Signal si daemonic 15 || exit 1
        as member pushflow stop res >/dev/null || exit 1
        "#
    ));
}

#[test]
fn the_policy_holds_for_every_service_beside_others() {
    Machine::container().check(&format!(
        r#"{PEOPLE}
        for name in a b; do cp /etc/pushflow/workflows/res.toml /etc/pushflow/workflows/$name.toml; systemctl start pushflow@$name || exit 1; done
        for name in res a b; do
            as member pushflow submit $name --wait >/dev/null || exit 1
            has "act on $name" "$(as looker pushflow submit $name 2>&1)" 'only root and members of the group pushflow may'
            has "look at $name" "$(as looker pushflow status $name)" '1 over'
        done
        # Also when the one ends that has the name that they share.
        systemctl stop pushflow@res
        as member pushflow submit a --wait >/dev/null && as member pushflow submit b --wait >/dev/null || exit 1
        "#
    ));
}

#[test]
fn the_data_of_a_run_is_for_root_and_whoever_asked_for_it() {
    Machine::container().check(&format!(
        r#"{PEOPLE}
        as member pushflow submit res -i secret= --wait >/dev/null
        pushflow submit res --wait >/dev/null
        as member pushflow submit res -i leave=true -i sleep=1000 >/dev/null
        eventually pgrep -x sleep
        seen() {{ pushflow ps res | grep -q 'sleep 1000'; }}
        eventually seen
        has "command lines" "$(as member pushflow ps res)" 'sleep 1000'
        has "others' command lines" "$(as looker pushflow ps res)" '[sleep]'
        as looker pushflow ps res | grep -q 'sleep 1000' && exit 1
        read_it() {{ as "$1" busctl get-property org.pushflow.Workflow1.res $run/$2 org.pushflow.Run1 "$3" 2>&1; }}
        for name in Inputs Outputs Error; do
            has "$name of others" "$(read_it looker 1 $name)" 'ccess denied'
            has "$name of root's" "$(read_it member 2 $name)" 'ccess denied'
            as looker busctl call org.pushflow.Workflow1.res $run/1 org.freedesktop.DBus.Properties GetAll s org.pushflow.Run1 | grep -q "\"$name\"" && exit 1
        done
        as looker busctl call org.pushflow.Workflow1.res /org/pushflow/workflow org.freedesktop.DBus.ObjectManager GetManagedObjects | grep -q secret && exit 1
        has own "$(read_it member 1 Outputs)" secret
        has "root's view" "$(read_it root 1 Outputs)" secret
        has status "$(read_it looker 1 Status)" finished
        "#
    ));
}

#[test]
fn polkit_decides_beyond_that() {
    Machine::container().check(&format!(
        r#"{PEOPLE}
        mkdir -p /etc/polkit-1/rules.d
        echo 'polkit.addRule(function(action, subject) {{ if (action.id == "org.pushflow.manage") return polkit.Result.NO; }});' > /etc/polkit-1/rules.d/10-test.rules
        systemctl restart polkit
        as member pushflow submit res --wait >/dev/null || exit 1
        has refusal "$(as member pushflow stop res 2>&1)" 'polkit does not allow you org.pushflow.manage'
        call="busctl call org.pushflow.Workflow1.res /org/pushflow/workflow"
        has signal "$(as member $call org.pushflow.Workflow1 Signal si all 15 2>&1)" 'ccess denied'
        has kill "$(as member $call/process/$(property res MainPID) org.pushflow.Process1 Kill i 15 2>&1)" 'ccess denied'
        as member $call org.pushflow.Workflow1 ListProcesses >/dev/null || exit 1
        pushflow stop res >/dev/null || exit 1
        "#
    ));
}

#[test]
fn a_workflow_with_a_user_of_its_own_works_once_the_bus_and_polkit_know_that_user_and_doctor_tells() {
    Machine::container().check(&format!(
        r#"{PEOPLE}
        as member pushflow submit res --wait >/dev/null || exit 1
        useradd --system --no-create-home beamline
        mkdir -p /etc/systemd/system/pushflow@res.service.d
        cp /usr/share/pushflow/units/user.conf /etc/systemd/system/pushflow@res.service.d/
        systemctl daemon-reload && systemctl restart pushflow@res
        has "bus" "$(pushflow doctor)" 'the D-Bus policy does not allow beamline to own the names of workflows'
        echo '<busconfig><policy user="beamline"><allow own_prefix="org.pushflow.Workflow1"/></policy></busconfig>' > /etc/dbus-1/system.d/pushflow-beamline.conf
        systemctl reload dbus && systemctl restart pushflow@res
        has "polkit" "$(pushflow doctor)" 'polkit does not answer beamline'
        has "refusal" "$(as member pushflow submit res --wait 2>&1)" 'polkit does not answer the user of this service'
        sed -i 's/unix-user:pushflow/& unix-user:beamline/' /usr/share/polkit-1/actions/org.pushflow.policy
        systemctl restart polkit
        has "output" "$(as member pushflow submit res --wait)" "\"user\":$(id -u beamline)"
        has "doctor" "$(pushflow doctor)" 'beamline: known to the bus and polkit'
        has "history" "$(as member pushflow history res)" 'res/1'
        "#
    ));
}
