//! Many iterations, many actors, large values: memory and time stay where they should.

use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::support::process::{Process, output, output_within};
use crate::support::{Project, finished};

/// How long a million iterations take at most, on a machine that does much else.
const A_MILLION: Duration = Duration::from_secs(30 * 60);

/// Runs and returns the supervisor's own peak memory, in KiB: VmHWM, read when it says that its run has ended.
fn peak_memory(project: &Project, arguments: &[&str]) -> u64 {
    let status = project.path("peak");
    // The shell's child is the supervisor itself; its memory is read from its own /proc by the last task.
    let mut command = project.command(&[&["run", "w.toml"], arguments].concat());
    let finished = finished(output_within(&mut command, A_MILLION));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    std::fs::read_to_string(status).unwrap().trim().parse().unwrap()
}

/// The last task of a workflow: notes the peak memory of its parent, the supervisor.
const NOTE_PEAK: &str = "
import os
def run(**_):
    with open(f'/proc/{os.getppid()}/status') as file:
        peak = next(line.split()[1] for line in file if line.startswith('VmHWM'))
    open('peak', 'w').write(peak)
    return {}
";

#[test]
fn a_loop_of_a_million_iterations_takes_no_more_memory_than_a_short_one() {
    let project = Project::with_workflow(
        "[pool]\nmax_workers = 1\n[actors.add]\nscript = 'add.py'\n[actors.decide]\nkind = 'router'\nitem = 'go'\n[actors.peak]\nscript = 'peak.py'",
        "links = [{ from = 'start', to = 'add' }, { from = 'add', to = 'decide' }, { from = 'decide', to = 'add', port = true }, { from = 'decide', to = 'peak', port = false }, { from = 'peak', to = 'stop' }]",
    )
    .file("add.py", "def run(value=0, limit=10, **_):\n    value += 1\n    return {'value': value, 'go': value < limit}")
    .file("peak.py", NOTE_PEAK);
    let short = peak_memory(&project, &["-q", "-i", "limit=10000"]);
    let long = peak_memory(&project, &["-q", "-i", "limit=1000000"]);
    assert!(long <= short + 2048, "{long} KiB after a million iterations, {short} KiB after ten thousand");
}

#[test]
fn a_large_array_crosses_five_actors_and_not_the_supervisor() {
    let mut sections = String::new();
    let mut links = String::from("links = [{ from = 'start', to = 'a0' }");
    for index in 0..5 {
        writeln!(sections, "[actors.a{index}]\nscript = 'image.py'").unwrap();
        write!(
            links,
            ", {{ from = 'a{index}', to = '{}' }}",
            if index < 4 { format!("a{}", index + 1) } else { "peak".into() }
        )
        .unwrap();
    }
    links.push_str(", { from = 'peak', to = 'stop' }]");
    sections.push_str("[actors.peak]\nscript = 'peak.py'");
    let project = Project::with_workflow(&sections, &links)
        .file(
            "image.py",
            "
import numpy
def run(image=None, **_):
    if image is None:
        image = numpy.zeros(1 << 23)
    image[0] += 1
    assert image.nbytes == 64 << 20
    return {'image': image, 'first': float(image[0])}
",
        )
        .file("peak.py", NOTE_PEAK);
    let peak = peak_memory(&project, &[]);
    assert!(peak < 32 << 10, "{peak} KiB");
}

#[test]
fn ten_thousand_actors_are_checked_in_under_a_second_of_computing_and_run() {
    let mut text = String::from("links = [");
    for index in 0..9_999 {
        writeln!(text, "{{ from = 'a{index}', to = 'a{}' }},", index + 1).unwrap();
    }
    text.push_str("{ from = 'start', to = 'a0' }, { from = 'a9999', to = 'stop' }]\n");
    for index in 0..10_000 {
        writeln!(text, "[actors.a{index}]\nkind = 'fork'").unwrap();
    }
    let project = Project::new().file("w.toml", &text);
    // Not by the clock on the wall: others use the machine too.
    let (checked, took) = Process::start(&mut project.command(&["check", "w.toml"])).end_with_cpu_time();
    let checked = finished(checked);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    assert!(took.as_secs_f64() < 1.0, "{took:?}");
    assert_eq!(project.run(&["-i", "x=1"]).json()["x"], 1);
}

#[test]
fn a_fan_of_five_hundred_tasks_is_joined_whole() {
    let mut sections = String::from("[actors.all]\nkind = 'join'\n");
    let mut links = String::from("links = [{ from = 'all', to = 'stop' }");
    for index in 0..500 {
        writeln!(sections, "[actors.t{index}]\nscript = 't.py'").unwrap();
        write!(links, ", {{ from = 'start', to = 't{index}' }}, {{ from = 't{index}', to = 'all' }}").unwrap();
    }
    links.push(']');
    let project = Project::with_workflow(&sections, &links).file(
        "t.py",
        "import itertools, os\ncount = itertools.count()\ndef run(**_): return {f'{os.getpid()}-{next(count)}': 1}",
    );
    let output = project.run(&[]).json();
    assert_eq!(output.as_object().unwrap().len(), 500);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_with_an_error_and_not_with_a_panic() {
    let project = Project::task("def run(**_): return {'text': 'x' * 1000000}");
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let output = output(project.command(&["run", "w.toml"]).stdout(write));
    assert_eq!((output.status.code(), output.status.signal()), (Some(1), None));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot write the output to standard output: Broken pipe"), "{stderr}");
}

#[test]
fn many_workers_need_no_higher_limit_of_open_files_and_tasks_have_the_one_there_was() {
    // Each task waits for all others: there are that many workers at once.
    let mut sections = String::from("[pool]\nmax_workers = 120\n[actors.all]\nkind = 'join'\n");
    let mut links = String::from("links = [");
    for index in 0..120 {
        writeln!(sections, "[actors.a{index}]\nscript = 'meet.py'").unwrap();
        write!(links, "{{ from = 'start', to = 'a{index}' }}, {{ from = 'a{index}', to = 'all' }}, ").unwrap();
    }
    links.push_str("{ from = 'all', to = 'stop' }]");
    let script = "
import os, resource, time
def run(**_):
    open(f'here-{os.getpid()}', 'w').close()
    end = time.monotonic() + 100
    while sum(name.startswith('here-') for name in os.listdir()) < 120:
        if time.monotonic() > end: raise TimeoutError('not all of them are there')
        time.sleep(0.05)
    return {'limit': resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
";
    let project = Project::with_workflow(&sections, &links).file("meet.py", script);
    let limited = "ulimit -Sn 200; exec \"$0\" run w.toml --timeout 120s";
    let pushflow = env!("CARGO_BIN_EXE_pushflow");
    let finished = project.start_as(project.program("sh").args(["-c", limited, pushflow])).finish();
    assert_eq!(finished.json()["limit"], 200, "{}", finished.stderr);
}
