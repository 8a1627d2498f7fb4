//! The command lines that the README and the manual print, run as they are printed, on a machine with the package installed.

use std::fmt::Write as _;
use std::path::Path;

use crate::built::Built;
use crate::installed::WORDS;
use crate::machine::Machine;

const README: &str = include_str!("../../../README.md");

/// The README and the pages of the manual, in the order in which their commands are run.
fn documents() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let pages = paths.into_iter().map(|path| std::fs::read_to_string(path).expect("a page"));
    [README.to_owned()].into_iter().chain(pages).collect()
}

/// Commands that cannot be run in the machine, and what runs them instead.
const ELSEWHERE: [(&str, &str); 2] = [
    ("cargo run --release -- run conf/workflows/hello.toml -i name=World", "tests/examples.rs runs this workflow"),
    ("tests/run", "runs this test"),
];

/// Commands whose output is a table that changes with the host: its first words are compared, not its figures.
const TABLES: [&str; 3] = [
    "pushflow ps integrate",
    "pushflow run conf/workflows/data-reduction.toml --accounting > result.json",
    "pushflow history --since 2d",
];
/// Commands that are printed in order to show an error.
const FAILING: [&str; 1] = ["pushflow check integrate.toml"];

/// A command, and what is printed below it.
struct Printed {
    command: String,
    output: Vec<String>,
}

/// The commands in the blocks of kind `console`.
fn printed() -> Vec<Printed> {
    let mut all: Vec<Printed> = Vec::new();
    let mut inside = false;
    let documents = documents();
    for line in documents.iter().flat_map(|document| document.lines()) {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            line => match line.strip_prefix("$ ") {
                Some(command) => all.push(Printed { command: command.to_owned(), output: Vec::new() }),
                None => {
                    let last = all.last_mut().expect("a block of kind console begins with a command");
                    if last.command.ends_with('\\') {
                        last.command.push('\n');
                        last.command.push_str(line);
                    } else {
                        last.output.push(line.to_owned());
                    }
                }
            },
        }
    }
    all
}

/// The file that the README shows after these words.
fn shown(after: &str) -> &'static str {
    let (_, rest) = README.split_once(after).unwrap_or_else(|| panic!("the README does not say {after:?}"));
    let (_, rest) = rest.split_once("```").expect("a block");
    let (_, rest) = rest.split_once('\n').expect("its first line");
    rest.split("```").next().expect("its end")
}

/// Figures, times and the lengths of rulers are not compared.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for char in line.trim().chars() {
        let char = if char.is_ascii_digit() { '0' } else { char };
        if !(matches!(char, '0' | '─' | ' ') && plain.ends_with(char)) {
            plain.push(char);
        }
    }
    // A quick machine says milliseconds where a slow one says seconds.
    plain.replace("0.0", "0").replace("0 ms", "0 s").replace("0 µs", "0 s")
}

/// Whether a line is the printed one, in which … stands for anything.
fn is_printed(printed: &str, line: &str) -> bool {
    let (printed, line) = (plain(printed), plain(line));
    let mut parts = printed.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || open
}

/// The printed lines are all there, in this order, and nothing else where no line is … alone.
fn compare(printed: &Printed, said: &[&str]) -> Result<(), String> {
    let table = TABLES.contains(&printed.command.as_str());
    let word = |line: &str| line.trim_matches(['│', ' ']).split("  ").next().unwrap_or_default().trim().to_owned();
    let mut gap = table;
    let mut at = 0;
    for line in printed.output.iter().filter(|line| !line.is_empty()) {
        if line == "…" {
            gap = true;
            continue;
        }
        let same = |said: &&str| if table { plain(&word(said)) == plain(&word(line)) } else { is_printed(line, said) };
        let rest: Vec<&&str> = said[at..].iter().filter(|line| !line.trim().is_empty()).collect();
        let skipped = rest.iter().position(|said| same(said));
        match skipped {
            Some(0) => at += 1 + said[at..].iter().take_while(|line| line.trim().is_empty()).count(),
            Some(skipped) if gap => {
                let found = rest[skipped];
                at += said[at..].iter().position(|line| std::ptr::eq(line, found)).unwrap_or(0) + 1;
            }
            // Rulers are for terminals, and where figures come from is the host's matter.
            _ if table && ["┌", "╞", "└", "CPU time", "ʷ"].iter().any(|start| line.starts_with(start)) => {}
            _ => return Err(format!("printed: {line}")),
        }
        gap = table;
    }
    Ok(())
}

#[test]
fn every_command_line_of_the_readme_and_the_manual_does_what_is_printed() {
    let built = Built::version(env!("CARGO_PKG_VERSION"), &["--loose"]);
    let deb = built.deb("pushflow");
    let name = deb.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = String::from(
        r#"
rm -f /etc/dpkg/dpkg.cfg.d/*mmdebstrap*
systemctl is-system-running --wait >/dev/null
useradd ada
cd /root/checkout
export NO_COLOR=1 PAGER=cat
# The reader is not root.
sudo() { "$@"; }
# A run with children, for pushflow ps.
prepare_ps() {
    mkdir -p /root/elsewhere && cd /root/elsewhere
    printf '%s\n' 'links = [{ from = "start", to = "index" }, { from = "index", to = "stop" }]' '[actors.index]' 'script = "index.py"' > integrate.toml
    printf '%s\n' 'import multiprocessing, subprocess, time' 'def sleep(): time.sleep(1000)' 'def run(**_):' \
        '    multiprocessing.Process(target=sleep, daemon=True).start()' '    subprocess.Popen(["sh", "-c", "cp /bin/sleep /tmp/xds_par; /tmp/xds_par 1000; true"])' \
        '    print("ready", flush=True)' '    time.sleep(1000)' > index.py
    pushflow run integrate.toml > /dev/null 2> log &
    eventually grep -q ready log
    eventually pgrep -x xds_par
    cd /root/checkout
}
# A service with two runs, the second of which goes wrong.
prepare_history() {
    cp -r /usr/share/pushflow/workflows/data-reduction* /etc/pushflow/workflows/
    printf '[service]\nmode = "resident"\n' >> /etc/pushflow/workflows/data-reduction.toml
    systemctl start pushflow@data-reduction
    pushflow submit data-reduction --label lysozyme-3 --wait >/dev/null
    pushflow submit data-reduction -i images=/nowhere --label lysozyme-4 --wait >/dev/null 2>&1
    :
}
"#,
    );
    let all = printed();
    let run: Vec<&Printed> =
        all.iter().filter(|printed| !ELSEWHERE.iter().any(|(command, _)| *command == printed.command)).collect();
    assert!(run.len() > 20, "{} commands are printed, fewer than there should be", run.len());
    for (command, _) in ELSEWHERE {
        assert!(all.iter().any(|printed| printed.command == command), "nothing prints {command} any more");
    }
    for printed in &run {
        if printed.command.starts_with("pushflow ps integrate") {
            script.push_str("prepare_ps\n");
        }
        if printed.command.starts_with("pushflow history") {
            script.push_str("prepare_history\n");
        }
        let command = with_errors(&printed.command);
        // A reader is slower than the run that was asked for before.
        let wait = if command.contains(" Outputs") {
            format!("outputs() {{ ! {command} | grep -q 's \"\"'; }}\neventually outputs\n")
        } else {
            String::new()
        };
        let _ = writeln!(script, "{wait}echo '=== command'\n{command} 2>&1\necho \"=== status $?\"");
    }
    let machine = Machine::without_pushflow("container")
        .path(&deb, &format!("/root/checkout/{name}"))
        .path(&here.join("conf"), "/root/checkout/conf")
        .file("/root/checkout/hello.toml", shown("`hello.toml`:"))
        .file("/root/checkout/greet.py", shown("`greet.py` beside it:"))
        .file("/root/checkout/loop.toml", shown("`loop.toml`"))
        .file("/root/checkout/measure.py", shown("`measure.py`:"))
        .file(
            "/root/checkout/integrate.toml",
            "links = [\n    { from = \"start\", to = \"greet\" },\n    { from = \"greet\", to = \"stpo\" },\n    { from = \"greet\", to = \"stop\" },\n]\n[actors.greet]\nscript = \"greet.py\"\n",
        );
    let output = machine.run(&format!("{WORDS}{script}")).ok();
    let mut said = output.split("=== command\n").skip(1);
    let mut wrong = String::new();
    for printed in run {
        let Some((text, status)) = said.next().and_then(|said| said.split_once("=== status ")) else {
            panic!("nothing is said of {}:\n{output}", printed.command);
        };
        let status = status.lines().next().unwrap_or_default();
        let expected = if FAILING.contains(&printed.command.as_str()) { "2" } else { "0" };
        let lines: Vec<&str> = text.lines().collect();
        if status != expected {
            let _ = writeln!(wrong, "$ {}\n{text}(status {status})", printed.command);
        } else if let Err(why) = compare(printed, &lines) {
            let _ = writeln!(wrong, "$ {}\n{text}({why})", printed.command);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The command as it is printed; where its output goes into a file, the log is what the reader sees.
fn with_errors(command: &str) -> String {
    match command.split_once(" > ") {
        // The order matters: 2>&1 comes after.
        Some(_) => format!("{{ {command}; }}"),
        None => command.to_owned(),
    }
}

#[test]
fn lines_are_compared_without_their_figures() {
    assert!(is_printed("22:11:31 prepare | to /tmp/pushflow-1000", "09:00:02 prepare | to /tmp/pushflow-0"));
    assert!(is_printed("finished after 2.61 s", "finished after 902 ms"));
    assert!(is_printed("s \"{…", "s \"{anything}\""));
    assert!(is_printed("0 faults, …", "0 faults, 12 notes"));
    assert!(!is_printed("run 1 started", "run 1 ended"));
    assert!(!is_printed("a … c", "a b d"));
}
