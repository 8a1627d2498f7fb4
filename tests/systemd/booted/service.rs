//! The units: started, reloaded, killed, hung, stopped, and with files that are wrong.

use crate::machine::Machine;

#[test]
fn a_workflow_that_runs_once_leaves_its_result_in_the_journal() {
    Machine::container().check(
        r#"
        systemctl start pushflow@hello
        ended() { [ "$(property hello ActiveState)" = inactive ]; }
        eventually ended
        is Result "$(property hello Result)" success
        story=$(journalctl -o cat PUSHFLOW_WORKFLOW=hello PUSHFLOW_RUN=1)
        has story "$story" 'run 1 started'
        has story "$story" 'output: {"name":"you","reply":"Hello you!"}'
        has catalogue "$(journalctl -x -o short PUSHFLOW_RUN=1)" 'A run of the workflow hello has ended'
        # Anybody can write lines with these fields; the unit cannot be forged.
        has command "$(journalctl -x -o short PUSHFLOW_RUN=1)" 'journalctl _SYSTEMD_UNIT=pushflow@hello.service PUSHFLOW_WORKFLOW=hello PUSHFLOW_RUN=1'
        "#,
    );
}

#[test]
fn what_tasks_print_is_in_the_journal_with_the_fields_that_say_whose_it_is() {
    let output = Machine::container().check(
        "systemctl start pushflow@res; pushflow submit res --wait >/dev/null || exit 1
        journalctl -o json PUSHFLOW_ACTOR=task --output-fields=MESSAGE,PUSHFLOW_WORKFLOW,PUSHFLOW_RUN,PUSHFLOW_POOL,PUSHFLOW_WORKER_PID",
    );
    let line = output.lines().find(|line| line.contains("the task prints")).unwrap_or_else(|| panic!("{output}"));
    let line: serde_json::Value = serde_json::from_str(line).expect("journalctl writes JSON");
    for (field, value) in [("WORKFLOW", "res"), ("RUN", "1"), ("POOL", "default")] {
        assert_eq!(line[format!("PUSHFLOW_{field}")], value, "{line}");
    }
    assert!(line["PUSHFLOW_WORKER_PID"].as_str().is_some_and(|pid| pid.parse::<u32>().is_ok()), "{line}");
}

#[test]
fn the_units_are_what_systemd_wants_and_no_more_exposed_than_the_readme_says() {
    Machine::container().check(
        "is verify \"$(systemd-analyze verify pushflow@hello.service pushflow.slice 2>&1)\" ''
        score=$(systemd-analyze security --no-pager pushflow@hello.service | sed -n 's/.*exposure level.*: \\([0-9.]*\\) .*/\\1/p')
        is score \"$score\" 2.2",
    );
}

#[test]
fn a_reload_with_an_invalid_file_fails_and_the_service_goes_on_as_it_was() {
    Machine::container().check(
        r#"
        systemctl start pushflow@res
        sed -i s/script/scirpt/ /etc/pushflow/workflows/res.toml
        systemctl reload pushflow@res 2>/dev/null && exit 1
        has journal "$(journalctl -o cat -u pushflow@res)" 'did you mean `script`?'
        is state "$(property res ActiveState)" active
        pushflow submit res --wait >/dev/null || exit 1
        sed -i s/scirpt/script/ /etc/pushflow/workflows/res.toml
        systemctl reload pushflow@res || exit 1
        pushflow submit res --wait >/dev/null || exit 1
        # What does not change by a reload is said; the rest holds.
        sed -i "s/mode = 'resident'/mode = 'run'/" /etc/pushflow/workflows/res.toml
        systemctl reload pushflow@res || exit 1
        said() { journalctl -o cat -p warning -u pushflow@res | grep -q 'mode is "run" in the file, and stays "resident" until the service is restarted'; }
        eventually said
        pushflow submit res --wait >/dev/null || exit 1
        is restarts "$(property res NRestarts)" 0
        "#,
    );
}

#[test]
fn an_invalid_or_missing_file_fails_once_and_is_not_tried_again() {
    Machine::container().check(
        "echo 'links = 1' > /etc/pushflow/workflows/bad.toml
        systemctl start pushflow@bad 2>/dev/null && exit 1
        has mistyped \"$(systemctl start pushflow@nowhere 2>&1)\" 'Assertion failed'
        is folders \"$(ls -d /var/lib/pushflow/nowhere /run/pushflow/nowhere 2>/dev/null)\" ''
        # The pause before a restart would be one second.
        sleep 2
        is bad \"$(property bad ExecMainStatus) $(property bad ActiveState) $(property bad NRestarts)\" '2 failed 0'
        is nowhere \"$(property nowhere ActiveState) $(property nowhere NRestarts)\" 'inactive 0'
        # What has failed does not look as if it was never started.
        has list \"$(pushflow list)\" ' failed (exit status 2, '
        has status \"$(pushflow status bad 2>&1)\" 'bad is not running: it failed (exit status 2, '
        has more \"$(pushflow status bad 2>&1)\" 'journalctl -e -u pushflow@bad'",
    );
}

/// What is left of a killed service, and that it is there again; on both kinds of machine.
const KILLED: &str = "
    systemctl start pushflow@res
    pushflow submit res -i sleep=1000 -i leave=true >/dev/null
    eventually pgrep -x sleep
    systemctl kill -s KILL --kill-whom=main pushflow@res
    eventually nothing sleep
    eventually restarted res 1
    pushflow submit res --wait >/dev/null || exit 1
";

#[test]
fn nothing_is_left_of_a_killed_service_and_it_is_started_again() {
    Machine::container().check(KILLED);
}

#[test]
fn a_service_that_hangs_is_ended_by_the_watchdog_and_started_again() {
    Machine::container().check(
        r#"
        mkdir -p /run/systemd/system/pushflow@res.service.d
        printf '[Service]\nWatchdogSec=2s\n' > /run/systemd/system/pushflow@res.service.d/quick.conf
        systemctl daemon-reload
        systemctl start pushflow@res
        # Longer than the watchdog: the loop feeds it, idle or not.
        sleep 3
        is restarts "$(property res NRestarts)" 0
        kill -STOP "$(property res MainPID)"
        eventually restarted res 1
        has journal "$(journalctl -o cat -u pushflow@res)" 'Watchdog timeout'
        "#,
    );
}

#[test]
fn a_stop_waits_for_the_running_task_says_so_and_leaves_nothing() {
    Machine::container().check(
        r#"
        systemctl start pushflow@res
        pushflow submit res -i sleep=3 -i leave=true >/dev/null
        eventually pgrep -x sleep
        systemctl stop --no-block pushflow@res
        waiting() { property res StatusText | grep -q 'waiting for: run 1: 0 of 1 actors done, running: task'; }
        eventually waiting
        ended() { [ "$(property res ActiveState)" = inactive ]; }
        eventually ended
        is Result "$(property res Result)" success
        is left "$(pgrep -x sleep)" ''
        has journal "$(journalctl -o cat -u pushflow@res)" 'run ended: stopped'
        "#,
    );
}

#[test]
fn in_a_virtual_machine_too_and_secrets_reach_the_tasks() {
    let machine = Machine::vm().file("/etc/pushflow/workflows/greedy.toml", GREEDY).file(
        "/etc/pushflow/workflows/greedy.py",
        "def run(**_):\n    data = bytearray(300 << 20)\n    data[::4096] = bytes(len(data) // 4096)\n    return {}\n",
    );
    let output = machine.check(&VM_SCRIPT.replace("KILLED", KILLED));
    assert!(output.contains("/org/pushflow/workflow/actor/task"), "{output}");
}

/// A task that wants more than it may have.
const GREEDY: &str = "links = [{ from = 'start', to = 'hungry' }, { from = 'hungry', to = 'stop' }]
[service]
mode = 'resident'
[pool]
memory_max = '60M'
[actors.hungry]
script = 'greedy.py'
";

const VM_SCRIPT: &str = r#"
        echo hidden > /etc/pushflow/credentials/token
        mkdir -p /run/systemd/system/pushflow@res.service.d
        printf '[Service]\nLoadCredential=token:/etc/pushflow/credentials/token\n' > /run/systemd/system/pushflow@res.service.d/secret.conf
        systemctl daemon-reload
        KILLED
        has output "$(pushflow submit res -i secret=token --wait)" '"secret":"hidden\n"'
        get() { busctl get-property org.pushflow.Workflow1.res "/org/pushflow/workflow$1" "org.pushflow.$2" "$3" | cut -d ' ' -f 2; }
        is ControlGroup "$(get '' Workflow1 ControlGroup)" '"/pushflow.slice/pushflow@res.service"'
        # near WHAT FOUND EXPECTED: within a fifth
        near() { [ "$2" -ge $(($3 * 4 / 5)) ] && [ "$2" -le $(($3 * 6 / 5)) ] || { printf 'wrong: %s is %s, not about %s\n' "$1" "$2" "$3"; exit 1; }; }
        for figure in CPUUsageNSec MemoryCurrent TasksCurrent; do near $figure "$(get '' Workflow1 $figure)" "$(property res $figure)"; done
        for figure in MemoryPeak IOReadBytes IOWriteBytes; do
            [ "$(get '' Workflow1 $figure)" -lt 1000000000000 ] || { echo "$figure is not known"; exit 1; }
        done
        [ "$(get /actor/task Actor1 LastDurationUSec)" -lt 60000000 ] || { echo "no duration"; exit 1; }
        [ "$(get /actor/task Actor1 CPUUsageNSec)" -lt 60000000000 ] || { echo "no CPU time"; exit 1; }
        has ps "$(pushflow ps res --json)" '"control_group":"/pushflow.slice/pushflow@res.service/supervisor"'
        # Out of memory: said in the journal with its figures, whatever the workflow makes of the error.
        systemctl start pushflow@greedy
        pushflow submit greedy --wait 2>/dev/null && exit 1
        journalctl -o json MESSAGE_ID=561d9fdd0f3c4dbc88ba767040d5b10f PUSHFLOW_WORKFLOW=greedy > /run/oom
        is lines "$(wc -l < /run/oom)" 1
        for field in '"PUSHFLOW_ACTOR":"hungry"' '"PUSHFLOW_RUN":"1"' '"PUSHFLOW_POOL":"default"' '"PUSHFLOW_MEMORY_LIMIT":"62914560"' '"PUSHFLOW_MEMORY_LIMIT_OF":"pool default"' '"PRIORITY":"3"'; do
            has "out of memory" "$(cat /run/oom)" "$field"
        done
        peak=$(sed -n 's/.*"PUSHFLOW_MEMORY_PEAK":"\([0-9]*\)".*/\1/p' /run/oom)
        near peak "$peak" 62914560
        has pid "$(cat /run/oom)" '"PUSHFLOW_WORKER_PID":"'
        has text "$(journalctl -o cat -u pushflow@greedy)" 'hungry ran out of memory and was killed: limit 60 MiB (memory_max of pool default), peak 60 MiB'
        has catalogue "$(journalctl -x -o short MESSAGE_ID=561d9fdd0f3c4dbc88ba767040d5b10f)" 'Its limit was 62914560 bytes'
        is state "$(property greedy ActiveState)" active
        systemctl stop pushflow@greedy
        has controllers "$(cat /sys/fs/cgroup/pushflow.slice/pushflow@res.service/cgroup.controllers)" memory
        idle() { systemctl status pushflow@res | grep -q 'Status: "idle'; }
        eventually idle
        busctl tree org.pushflow.Workflow1.res 2>/dev/null
        systemctl stop pushflow@res
        is Result "$(property res Result)" success
"#;

#[test]
fn the_journal_names_the_actor_that_failed_and_who_asks_is_told_what_to_do() {
    Machine::container().check(
        r#"
        has once "$(pushflow submit hello 2>&1)" 'start it with: systemctl start pushflow@hello (it runs once then; '
        is resident "$(pushflow submit --system res 2>&1)" 'pushflow: res is not running (looked on the system bus); start it with: systemctl start pushflow@res'
        systemctl start pushflow@res
        pushflow submit res -i secret=none --wait >/dev/null 2>&1
        has failure "$(journalctl -o cat -p err PUSHFLOW_WORKFLOW=res PUSHFLOW_ACTOR=task PUSHFLOW_RUN=1)" "run 1 task: KeyError: 'CREDENTIALS_DIRECTORY'"
        is printed "$(journalctl -o cat -p 6 PUSHFLOW_ACTOR=task PUSHFLOW_RUN=1 | head -1)" 'run 1 task | the task prints'
        "#,
    );
}
