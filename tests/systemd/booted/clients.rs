//! Services of the system bus, called by the clients that people have.

use crate::machine::Machine;

#[test]
fn busctl_gdbus_and_python_ask_for_runs_look_and_send_signals() {
    Machine::container().check(
        r#"
        systemctl start pushflow@res
        name=org.pushflow.Workflow1.res root=/org/pushflow/workflow
        is busctl "$(busctl call $name $root org.pushflow.Workflow1 Run 'a{sv}a{sv}' 1 sleep d 0 0)" 'o "/org/pushflow/workflow/run/1"'
        with_gdbus() { method=$1; shift; gdbus call --system --dest $name --object-path $root --method org.pushflow.Workflow1.$method "$@"; }
        is gdbus "$(with_gdbus Run "{'sleep': <0.0>}" '{}')" "(objectpath '/org/pushflow/workflow/run/2',)"
        cat > /root/client.py <<'END'
import dbus
workflow = dbus.SystemBus().get_object('org.pushflow.Workflow1.res', '/org/pushflow/workflow')
print(workflow.RunJson('{"sleep": 1000}', dbus.Dictionary({}, signature='sv'), dbus_interface='org.pushflow.Workflow1'))
END
        is python "$(python3 /root/client.py)" /org/pushflow/workflow/run/3
        get() { busctl get-property $name $root$1 org.pushflow.$2 $3; }
        third() { [ "$(get /run/3 Run1 ActiveActors)" = 'as 1 "task"' ]; }
        eventually third
        is finished "$(get '' Workflow1 RunsFinished)" 't 2'
        has tree "$(busctl tree $name)" /org/pushflow/workflow/run/3
        has tree "$(busctl tree $name)" /org/pushflow/workflow/actor/task
        shown="$(busctl introspect $name $root)"
        for member in .Run .Signal .ListProcesses .ControlGroup .CPUUsageNSec .RunFinished; do has introspection "$shown" "$member"; done
        # The container's cgroups have no controllers: CPU time is there all the same, memory is unknown, and never 0.
        is ControlGroup "$(get '' Workflow1 ControlGroup)" 's "/pushflow.slice/pushflow@res.service"'
        [ "$(get '' Workflow1 CPUUsageNSec | cut -d ' ' -f 2)" -lt 60000000000 ] || { echo "no CPU time"; exit 1; }
        is MemoryCurrent "$(get '' Workflow1 MemoryCurrent)" 't 18446744073709551615'
        seen() { worker=$(pushflow ps res | awk '$4 == "task" && /pushflow-worker: res/ { print $1 }'); [ -n "$worker" ]; }
        eventually seen
        shown="$(busctl introspect $name $root/process/$worker)"
        for member in .Kill .Daemonic '"task"' '"/org/pushflow/workflow/run/3"'; do has process "$shown" "$member"; done
        has list "$(with_gdbus ListProcesses)" "'Kind': <'supervisor'>"
        is signal "$(with_gdbus Signal actor:task 15)" '()'
        lost() { [ "$(get /run/3 Run1 Status)" = 's "failed"' ]; }
        eventually lost
        pushflow submit res -i sleep=1000 >/dev/null
        fourth() { [ "$(get /run/4 Run1 ActiveActors)" = 'as 1 "task"' ]; }
        eventually fourth
        eventually seen
        cat > /root/kill.py <<END
import dbus
process = dbus.SystemBus().get_object('$name', '$root/process/$worker')
process.Kill(9, dbus_interface='org.pushflow.Process1')
END
        python3 /root/kill.py || exit 1
        lost() { [ "$(get /run/4 Run1 Status)" = 's "failed"' ]; }
        eventually lost
        pushflow submit res --wait >/dev/null || exit 1
        has journal "$(journalctl -o cat -u pushflow@res)" 'SIGTERM for actor:task was sent to'
        "#,
    );
}

#[test]
fn a_stop_ends_daemonic_tasks_at_once_and_waits_for_the_others() {
    Machine::container().check(
        r#"
        sed "s/\[pool\]/[pool]\ntype = 'multiprocessing'/; s/6s/5m/" /etc/pushflow/workflows/res.toml > /etc/pushflow/workflows/dae.toml
        for name in res dae; do
            systemctl start pushflow@$name
            pushflow submit $name -i sleep=4 >/dev/null
            runs() { pushflow status $name | grep -q '^1 *running'; }
            eventually runs
            printed() { journalctl -o cat -u pushflow@$name | grep -q 'the task prints'; }
            eventually printed
        done
        begin=$(date +%s)
        systemctl stop pushflow@dae
        took=$(($(date +%s) - begin))
        [ $took -lt 4 ] || { echo "the daemonic task was waited for: $took s"; exit 1; }
        is Result "$(property dae Result)" success
        pushflow submit res -i sleep=3 >/dev/null
        systemctl stop pushflow@res
        is Result "$(property res Result)" success
        has journal "$(journalctl -o cat -u pushflow@res)" 'running tasks may finish'
        has journal "$(journalctl -o cat -u pushflow@res)" 'run ended: stopped'
        "#,
    );
}
