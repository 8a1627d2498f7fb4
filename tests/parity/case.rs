//! One graph with its inputs.

use serde_json::{Map, Value, json};

/// A graph and what it is run with, here and in pypushflow.
#[derive(Debug, Clone)]
pub struct Case {
    /// `file:Class` in `tests/parity/graphs`, or `dotted.module:Class`.
    pub graph: &'static str,
    /// The inputs by name.
    pub inputs: Map<String, Value>,
    /// The positional inputs.
    pub args: Vec<Value>,
    /// The run's timeout in seconds.
    pub timeout: Option<f64>,
    /// The type of the pool; each program's default where absent.
    pub pool: Option<&'static str>,
}

/// A graph with one input, `value = 1`.
pub fn graph(graph: &'static str) -> Case {
    graph_with(graph, json!({"value": 1}))
}

/// A graph with these inputs.
pub fn graph_with(graph: &'static str, inputs: Value) -> Case {
    let Value::Object(inputs) = inputs else { panic!("inputs are an object") };
    Case { graph, inputs, args: Vec::new(), timeout: None, pool: None }
}

impl Case {
    /// The same with positional inputs.
    pub fn args(self, args: Value) -> Self {
        let Value::Array(args) = args else { panic!("arguments are an array") };
        Case { args, ..self }
    }

    /// The same with a timeout in seconds.
    pub fn timeout(self, seconds: f64) -> Self {
        Case { timeout: Some(seconds), ..self }
    }

    /// The same in a pool of this type.
    pub fn pool(self, pool: &'static str) -> Self {
        Case { pool: Some(pool), ..self }
    }

    /// The module (`graphs.actors`, `pypushflow.tests.test_workflow1`) and the class.
    pub fn module_and_class(&self) -> (String, &'static str) {
        let (module, class) = self.graph.split_once(':').expect("module:Class");
        let module = if module.contains('.') { module.to_owned() } else { format!("graphs.{module}") };
        (module, class)
    }
}
