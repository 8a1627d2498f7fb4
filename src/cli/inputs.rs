//! The inputs of a run on the command line.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value as Json};

use crate::payload::{Key, Payload, Plain, payload_from_json};

/// Sources of inputs. Later ones override earlier ones: the workflow file, `--inputs`, `-i` and `--arg`.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// An input. VALUE is JSON, or else a string. Can be repeated
    #[arg(short = 'i', long = "input", value_name = "KEY=VALUE", value_parser = key_value)]
    inputs: Vec<(Key, Json)>,

    /// A JSON file with an object of inputs; `-` reads standard input
    #[arg(long = "inputs", value_name = "FILE|-", value_hint = clap::ValueHint::FilePath)]
    file: Option<String>,

    /// A positional argument for the first actors. VALUE as in -i. Can be repeated
    #[arg(long = "arg", value_name = "VALUE", value_parser = argument, allow_hyphen_values = true)]
    args: Vec<Json>,
}

/// Maximum size of inputs. Larger data belongs in a file that a task reads.
const MAX_SIZE: u64 = 1 << 30;

impl InputArgs {
    /// The inputs as one JSON object.
    pub(super) fn object(&self) -> anyhow::Result<Map<String, Json>> {
        let mut object = match &self.file {
            Some(file) => read_object(file)?,
            None => Map::new(),
        };
        object.extend(self.inputs.iter().map(|(key, value)| (key.to_string(), value.clone())));
        object.extend(self.args.iter().enumerate().map(|(position, value)| (position.to_string(), value.clone())));
        Ok(object)
    }

    /// The inputs, together with the defaults of the workflow file.
    pub(super) fn over(&self, defaults: &Payload) -> anyhow::Result<Payload> {
        let mut payload = defaults.clone();
        if let Some(file) = &self.file {
            payload.merge(&payload_from_json(&read_object(file)?).map_err(anyhow::Error::msg)?);
        }
        for (key, value) in &self.inputs {
            let value = Plain::from_json(value).map_err(|why| anyhow!("{key}: {why}"))?;
            payload.insert(key.clone(), value.to_value());
        }
        for (position, value) in self.args.iter().enumerate() {
            let value = Plain::from_json(value).map_err(|why| anyhow!("argument {position}: {why}"))?;
            payload.insert(Key::Position(position as i64), value.to_value());
        }
        Ok(payload)
    }
}

fn read_object(file: &str) -> anyhow::Result<Map<String, Json>> {
    let place = if file == "-" { "standard input" } else { file };
    let read = if file == "-" { bounded(io::stdin()) } else { File::open(file).and_then(bounded) };
    let text = read.with_context(|| format!("cannot read inputs from {place}"))?;
    match serde_json::from_str(&text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(other) => Err(anyhow!("the inputs in {place} must be a JSON object, not {}", kind(&other))),
        Err(error) => Err(anyhow!("the inputs in {place} are not valid JSON: {error}")),
    }
}

/// Reads at most `MAX_SIZE`: devices have no end.
fn bounded(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_SIZE {
        true => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("they are larger than {} MiB", MAX_SIZE >> 20)))
        }
        false => Ok(text),
    }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

fn key_value(text: &str) -> Result<(Key, Json), String> {
    let (key, value) = text.split_once('=').ok_or("must be of the form KEY=VALUE")?;
    if key.is_empty() {
        return Err("the key before = is missing".to_owned());
    }
    Ok((Key::from_written(key), json_or_text(value)))
}

fn argument(text: &str) -> Result<Json, String> {
    Ok(json_or_text(text))
}

/// A value on the command line: JSON if it parses, else a string.
pub(super) fn json_or_text(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}
