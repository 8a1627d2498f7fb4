//! Several arrivals at the stop actor: an output beats an error, the last output wins, the first error stays.

use crate::case::graph;
use crate::compare::same;

#[test]
fn the_last_output_wins() {
    same(graph("stops:GoodThenGood"));
}

#[test]
fn an_error_does_not_replace_an_output() {
    same(graph("stops:GoodThenError"));
}

#[test]
fn an_output_replaces_an_error() {
    same(graph("stops:ErrorThenGood"));
}

#[test]
fn the_first_error_stays() {
    same(graph("stops:ErrorThenError"));
}

#[test]
fn an_error_after_a_recovery_does_not_replace_it() {
    same(graph("stops:ErrorGoodError"));
}

#[test]
fn a_recovery_is_an_output_like_any_other() {
    same(graph("stops:GoodThenErrorThenGood"));
}
