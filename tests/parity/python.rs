//! The Python that the tests use.

use std::path::{Path, PathBuf};

/// The interpreter that has pypushflow 2.0.0 and numpy.
pub fn python() -> PathBuf {
    let python = match std::env::var_os("PUSHFLOW_TEST_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/bin/python"),
    };
    assert!(
        python.exists(),
        "there is no {}: these tests need a Python with pypushflow 2.0.0; tests/run makes one in target/test-env, \
         PUSHFLOW_TEST_PYTHON names another",
        python.display()
    );
    python
}
