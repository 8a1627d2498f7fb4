//! `pushflow status`: what a service is doing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::PlaceArgs;
use super::client::{Client, Objects, Properties};
use super::text::{number, print, print_table, text, to_json};
use crate::bus::names;
use crate::cli::{Exit, Failure};

/// So many runs are shown, the newest.
const SHOWN: usize = 20;

/// The arguments of `pushflow status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The newest 20 runs are shown; --json has all that the service remembers, and its actors.

Examples:
  pushflow status
  pushflow status integrate
  pushflow status integrate --json

Exit status 3 if the service is not running.")]
pub(in crate::cli) struct StatusArgs {
    /// The service [default: all that are running]
    name: Option<String>,

    #[command(flatten)]
    place: PlaceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn status(args: &StatusArgs) -> Result<Exit, Failure> {
    zbus::block_on(async {
        let client = Client::connect(&args.place).await?;
        let names = match &args.name {
            Some(name) => vec![name.clone()],
            None => client.services().await?,
        };
        let mut found = Vec::new();
        for name in names {
            match look(&client, &name).await {
                Ok(seen) => found.push((name, seen)),
                // One of many that has ended meanwhile.
                Err(_) if args.name.is_none() => {}
                Err(failure) => return Err(failure),
            }
        }
        if args.json {
            let services: Vec<Json> = found.iter().map(|(name, seen)| service_json(name, seen)).collect();
            let single = args.name.is_some();
            let json = if single { services.into_iter().next().unwrap_or_default() } else { Json::Array(services) };
            print(&json.to_string())?;
        } else if found.is_empty() {
            print("no workflow is running")?;
        } else {
            for (index, (name, seen)) in found.iter().enumerate() {
                if index > 0 {
                    print("")?;
                }
                show(name, seen)?;
            }
        }
        Ok(Exit::Finished)
    })
}

/// The service itself, and its objects.
type Seen = (Properties, Objects);

async fn look(client: &Client, name: &str) -> Result<Seen, Failure> {
    Ok((client.properties(name, names::ROOT, names::WORKFLOW).await?, client.objects(name).await?))
}

fn runs(objects: &Objects) -> Vec<&Properties> {
    let mut runs: Vec<_> = objects.values().filter_map(|interfaces| interfaces.get(names::RUN)).collect();
    runs.sort_by_key(|run| number(run, "Id"));
    runs
}

fn service_json(name: &str, (service, objects): &Seen) -> Json {
    let mut service = to_json(service);
    let actors = objects.values().filter_map(|interfaces| interfaces.get(names::ACTOR));
    service.insert("Name".to_owned(), json!(name));
    service.insert("Runs".to_owned(), runs(objects).into_iter().map(|run| Json::Object(to_json(run))).collect());
    service.insert("Actors".to_owned(), actors.map(|actor| Json::Object(to_json(actor))).collect());
    Json::Object(service)
}

fn show(name: &str, (found, objects): &Seen) -> Result<(), Failure> {
    let count = |name| number(found, name).unwrap_or_default();
    let description = match text(found, "Description") {
        "" => String::new(),
        description => format!(" - {description}"),
    };
    print(&format!("{name}{description}"))?;
    print(&format!("  file   {}", text(found, "FragmentPath")))?;
    print(&format!(
        "  state  {}: {} active, {} queued; {} over, {} of them failed",
        text(found, "State"),
        count("ActiveRuns"),
        count("QueuedRuns"),
        count("RunsFinished"),
        count("RunsFailed"),
    ))?;
    let runs = runs(objects);
    let rows: Vec<_> = runs.iter().rev().take(SHOWN).rev().map(|run| row(run)).collect();
    if !rows.is_empty() {
        print("")?;
        print_table(&["run", "status", "label", "took", "done", "running"], rows)?;
    }
    Ok(())
}

fn row(run: &Properties) -> Vec<String> {
    let json = to_json(run);
    let progress = json.get("Progress").and_then(|progress| progress.get(0)).map(Json::to_string).unwrap_or_default();
    let actors = json.get("ActiveActors").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let until = number(run, "EndedAt").or(u64::try_from(now).ok());
    let took = number(run, "StartedAt").zip(until).map(|(from, to)| Duration::from_micros(to.saturating_sub(from)));
    vec![
        number(run, "Id").unwrap_or_default().to_string(),
        text(run, "Status").to_owned(),
        text(run, "Label").to_owned(),
        took.map_or_else(|| "-".to_owned(), |took| format!("{:.1} s", took.as_secs_f64())),
        progress,
        actors.collect::<Vec<_>>().join(", "),
    ]
}
