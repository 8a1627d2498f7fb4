//! Every reader, against made-up files.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Controller, Controllers, Gauges, Leaf, LimitName, Limits, NotDelegated, NotFound, Own, Reading, claim, cpu, io,
    memory, own, pids, pressure,
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }
}

// --- where this process is -------------------------------------------------------------------------------------------

const UNIFIED: &str =
    "24 1 0:21 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

fn found(cgroup: &str, mountinfo: &str) -> Result<Own, NotFound> {
    let proc = Folder::new().file("cgroup", cgroup).file("mountinfo", mountinfo);
    own(proc.path())
}

#[test]
fn on_a_unified_host_the_cgroup_is_below_the_one_mount() {
    let own = found("0::/system.slice/pushflow@x.service\n", UNIFIED).unwrap();
    assert_eq!(own.folder, Path::new("/sys/fs/cgroup/system.slice/pushflow@x.service"));
    assert!(!own.hybrid);
}

#[test]
fn on_a_hybrid_host_version_one_is_passed_over() {
    let cgroup = "4:memory:/x\n1:name=systemd:/y\n0::/user.slice/a b\n";
    let mounts = "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 24 0:28 / /sys/fs/cgroup/uni\\040fied rw shared:9 - cgroup2 cgroup2 rw\n";
    let own = found(cgroup, mounts).unwrap();
    assert_eq!(own.folder, Path::new("/sys/fs/cgroup/uni fied/user.slice/a b"));
    assert!(own.hybrid);
}

#[test]
fn systemds_own_hierarchy_of_version_one_holds_no_controllers() {
    assert!(!found("1:name=systemd:/y\n0::/\n", UNIFIED).unwrap().hybrid);
}

#[test]
fn in_a_container_the_mount_begins_below_the_root_of_the_hierarchy() {
    let mounts = "30 24 0:26 /machine/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_eq!(found("0::/machine/one/two\n", mounts).unwrap().folder, Path::new("/sys/fs/cgroup/two"));
    assert_eq!(found("0::/machine/one\n", mounts).unwrap().folder, Path::new("/sys/fs/cgroup"));
    assert_eq!(found("0::/machine/other\n", mounts), Err(NotFound::Outside("/machine/other".into())));
}

#[test]
fn without_version_two_there_is_nothing_to_find() {
    assert_eq!(found("4:memory:/x\n", UNIFIED), Err(NotFound::NoHierarchy));
    assert_eq!(found("0::/\n", "24 1 0:21 / /proc rw - proc proc rw\n"), Err(NotFound::NoHierarchy));
    assert!(matches!(own(Path::new("/nowhere")), Err(NotFound::Unreadable { .. })));
}

// --- whether it is ours ----------------------------------------------------------------------------------------------

fn cgroup() -> (Folder, Own) {
    let root = Folder::new().file("a.slice/b/cgroup.procs", "").file("a.slice/b/cgroup.subtree_control", "");
    let own = Own { folder: root.path().join("a.slice/b"), mount: root.path().to_owned(), hybrid: false };
    (root, own)
}

fn mark(folder: &Path) {
    rustix::fs::setxattr(folder, "user.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn a_cgroup_that_nobody_has_delegated_is_left_alone() {
    let (_root, own) = cgroup();
    assert!(matches!(claim(&own, false), Err(NotDelegated::Unmarked(_))));
}

#[test]
fn a_marked_cgroup_is_claimed_by_one_supervisor() {
    let (_root, own) = cgroup();
    mark(&own.folder);
    let first = claim(&own, false).unwrap();
    assert!(matches!(claim(&own, false), Err(NotDelegated::Taken(_))));
    drop(first);
    assert!(claim(&own, false).is_ok());
}

#[test]
fn a_cgroup_that_was_granted_is_marked() {
    let (_root, own) = cgroup();
    drop(claim(&own, true).unwrap());
    assert!(claim(&own, false).is_ok());
}

#[test]
fn inside_what_another_manager_divides_up_nothing_is_taken_or_asked_for() {
    let (root, own) = cgroup();
    mark(&root.path().join("a.slice"));
    assert!(matches!(claim(&own, false), Err(NotDelegated::Nested(_))));
}

// --- limits ----------------------------------------------------------------------------------------------------------

const ALL: &str = "cpu io memory pids\n";

fn leaf(files: &[&str]) -> (Folder, Leaf) {
    let mut folder = Folder::new().file("cgroup.procs", "").file("above", ALL).file("cgroup.controllers", ALL);
    for file in files {
        folder = folder.file(file, "");
    }
    let controllers = Controllers::offered(folder.path()).unwrap();
    let leaf = Leaf::open(folder.path().to_owned(), controllers).unwrap();
    (folder, leaf)
}

#[test]
fn limits_are_written_as_the_kernel_reads_them() {
    let limits = Limits {
        memory_max: Some(1 << 30),
        memory_high: Some(1 << 29),
        cpu_max: Some(1.5),
        cpu_weight: Some(50),
        pids_max: Some(20),
        io_weight: Some(300),
    };
    let files = ["memory.max", "memory.high", "memory.oom.group", "cpu.max", "cpu.weight", "pids.max", "io.weight"];
    let (folder, leaf) = leaf(&files);
    assert!(leaf.limit(&limits).is_empty());
    let written = files.map(|file| folder.text(file));
    assert_eq!(written, ["1073741824", "536870912", "1", "150000 100000", "50", "20", "default 300"]);
}

#[test]
fn a_weight_for_io_goes_to_bfq_where_the_kernel_has_only_that() {
    let (folder, leaf) = leaf(&["io.bfq.weight"]);
    assert!(leaf.limit(&Limits { io_weight: Some(5000), ..Limits::default() }).is_empty());
    assert_eq!(folder.text("io.bfq.weight"), "1000");
}

#[test]
fn what_cannot_be_limited_is_named_with_its_reason() {
    let (_folder, leaf) = leaf(&[]);
    let unapplied = leaf.limit(&Limits { pids_max: Some(2), io_weight: Some(1), ..Limits::default() });
    assert_eq!(unapplied.iter().map(|it| it.limit).collect::<Vec<_>>(), [LimitName::PidsMax, LimitName::IoWeight]);
    assert!(
        unapplied[0].why.to_string().starts_with("cannot write 2 to ")
            && unapplied[0].why.to_string().contains("pids.max"),
        "{unapplied:?}"
    );
    assert!(unapplied[1].why.to_string().contains("neither io.weight nor"), "{unapplied:?}");
}

#[test]
fn a_limit_without_its_controller_is_not_tried() {
    let folder = Folder::new().file("cgroup.procs", "").file("memory.max", "");
    let leaf = Leaf::open(folder.path().to_owned(), Controllers::default()).unwrap();
    let unapplied = leaf.limit(&Limits { memory_max: Some(1), ..Limits::default() });
    assert_eq!(unapplied[0].why.to_string(), "there is no memory controller");
    assert_eq!(folder.text("memory.max"), "");
}

#[test]
fn controllers_are_known_by_their_names() {
    let folder = Folder::new().file("cgroup.controllers", "cpuset cpu hugetlb pids\n");
    let there = Controllers::offered(folder.path()).unwrap();
    assert!(there.has(Controller::Cpu) && there.has(Controller::Pids));
    assert_eq!(there.missing().collect::<Vec<_>>(), [Controller::Io, Controller::Memory]);
}

// --- figures ---------------------------------------------------------------------------------------------------------

#[test]
fn cpu_times_are_there_without_the_lines_about_throttling() {
    let stat = cpu::Stat::parse("usage_usec 30\nuser_usec 10\nsystem_usec 20\n");
    assert_eq!(stat.user, Some(Duration::from_micros(10)));
    assert_eq!(stat.system, Some(Duration::from_micros(20)));
    assert_eq!(stat.throttled, None);
    assert_eq!(cpu::Stat::parse("user_usec x\nthrottled_usec 5\n").user, None);
}

#[test]
fn io_is_the_sum_over_the_devices() {
    let stat = io::Stat::parse("8:0 rbytes=10 wbytes=1 rios=3\n254:16 rbytes=5 wbytes=2 rios=9 dbytes=7\n");
    assert_eq!(stat, io::Stat { read: 15, written: 3 });
    assert_eq!(io::Stat::parse(""), io::Stat::default(), "no device was used");
    assert_eq!(io::Stat::parse("8:0 \n"), io::Stat::default(), "a device without figures");
}

#[test]
fn events_of_memory_and_pids_are_counted() {
    let events = memory::Events::parse("low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n");
    assert_eq!(events, memory::Events { oom: Some(2), oom_kill: Some(1) });
    assert_eq!(memory::Events::parse("oom_kill 3\n"), memory::Events { oom: None, oom_kill: Some(3) });
    assert_eq!((pids::refused("max 4\n"), pids::refused("")), (Some(4), None));
}

#[test]
fn pressure_is_the_total_of_some() {
    let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
    assert_eq!(pressure::stalled(text), Some(Duration::from_micros(1500)));
    assert_eq!(pressure::stalled(""), None);
}

#[test]
fn what_a_cgroup_does_not_have_is_absent() {
    let folder = Folder::new();
    assert_eq!(Gauges::open(folder.path()).read(), Reading::default());
    let folder = Folder::new().file("cpu.stat", "user_usec 5\nsystem_usec 6\n").file("memory.current", "max\n");
    let reading = Gauges::open(folder.path()).read();
    assert_eq!(reading.cpu.user, Some(Duration::from_micros(5)));
    assert_eq!((reading.memory, reading.io, reading.processes), (None, None, None));
}

#[test]
fn gauges_read_anew_each_time_and_files_of_any_length() {
    let many: String = (0..500).map(|minor| format!("8:{minor} rbytes=1 wbytes=2 rios=1 wios=1\n")).collect();
    let folder = Folder::new().file("io.stat", &many).file("memory.current", "10\n").file("pids.current", "3\n");
    let mut gauges = Gauges::open(folder.path());
    assert_eq!(gauges.read().io, Some(io::Stat { read: 500, written: 1000 }));
    fs::write(folder.path().join("memory.current"), "20\n").unwrap();
    let reading = gauges.read();
    assert_eq!((reading.memory, reading.processes), (Some(20), Some(3)));
}

#[test]
fn errors_name_the_operation_and_the_file() {
    let error = Controllers::offered(&PathBuf::from("/nowhere/at/all")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /nowhere/at/all/cgroup.controllers: No such file or directory (os error 2)"
    );
}
