//! What cannot be run as asked for is refused, and not run as something else.

use crate::support::Project;

#[test]
fn a_pool_type_that_is_not_supported_is_refused_before_anything_runs() {
    let finished = Project::task("def run(**_): print('ran')").run(&["--pool", "gevent"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert_eq!(finished.stderr.trim(), "pushflow: pool default: the type `gevent` is not supported yet");
}
