//! How figures add up.

use std::time::Duration;

use super::{Figure, Origin, Totals, Usage};

fn seconds(value: u64) -> Option<Figure<Duration>> {
    Some(Figure::new(Duration::from_secs(value), Origin::Cgroup))
}

fn bytes(value: u64, origin: Origin) -> Option<Figure<u64>> {
    Some(Figure::new(value, origin))
}

#[test]
fn a_share_is_the_difference_of_two_readings() {
    let before = Usage { cpu_user: seconds(2), read: bytes(10, Origin::Proc), ..Usage::default() };
    let after = Usage { cpu_user: seconds(5), read: bytes(30, Origin::Rusage), ..Usage::default() };
    let share = after.since(&before, false);
    assert_eq!(share.cpu_user, seconds(3));
    assert_eq!(share.read, bytes(20, Origin::Rusage), "the later reading says where it comes from");
    assert_eq!(share.cpu_system, None, "what was not read is absent");
}

#[test]
fn a_peak_belongs_to_a_task_only_if_it_rose_or_began_anew() {
    let before = Usage { memory_peak: bytes(100, Origin::Cgroup), ..Usage::default() };
    let same = before.since(&before, false);
    assert_eq!(same.memory_peak, None);
    assert_eq!(before.since(&before, true).memory_peak, bytes(100, Origin::Cgroup));
    let after = Usage { memory_peak: bytes(150, Origin::Cgroup), ..Usage::default() };
    assert_eq!(after.since(&before, false).memory_peak, bytes(150, Origin::Cgroup));
}

#[test]
fn a_sum_of_nothing_is_absent_and_one_with_a_missing_part_says_so() {
    let mut totals = Totals::default();
    assert_eq!(totals.cpu_user.value, None);
    totals.add(&Usage { cpu_user: seconds(1), ..Usage::default() });
    totals.add(&Usage::default());
    totals.add(&Usage { cpu_user: seconds(2), memory_peak: bytes(7, Origin::Rusage), ..Usage::default() });
    assert_eq!(totals.cpu_user.value, Some(Duration::from_secs(3)));
    assert!(totals.cpu_user.incomplete);
    assert_eq!((totals.memory_peak.value, totals.memory_peak.origins.to_string()), (Some(7), "rusage".to_owned()));
    assert_eq!(totals.read.value, None);
}

#[test]
fn stretches_of_a_task_add_up_only_if_each_was_read() {
    let one = Usage { cpu_user: seconds(1), memory_peak: bytes(9, Origin::Proc), ..Usage::default() };
    let two = Usage { cpu_user: seconds(1), memory_peak: bytes(5, Origin::Proc), ..Usage::default() };
    assert_eq!(one.then(&two).cpu_user, seconds(2));
    assert_eq!(one.then(&two).memory_peak, bytes(9, Origin::Proc));
    assert_eq!(one.then(&Usage::default()).cpu_user, None);
}

#[test]
fn origins_are_named_once_each() {
    let mut totals = Totals::default();
    for origin in [Origin::Proc, Origin::Cgroup, Origin::Proc] {
        totals.add(&Usage { read: bytes(1, origin), ..Usage::default() });
    }
    assert_eq!(totals.read.origins.to_string(), "cgroup+proc");
}
