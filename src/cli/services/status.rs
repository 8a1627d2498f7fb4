//! `pushflow status`: what a service is doing.

use std::time::Duration;

use anyhow::anyhow;
use serde_json::{Value as Json, json};

use super::client::{Client, Clients, Objects};
use super::proxies::Properties;
use super::text::{number, print, print_json, print_table, text, to_json};
use super::units::{self, FailedUnit};
use super::{Place, PlaceArgs};
use crate::bus::names;
use crate::cli::{Exit, Failure};
use crate::systemd::escape::unit_for_shell;
use crate::text as safe;

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
        let clients = Clients::connect(&args.place).await?;
        let mut found = Vec::new();
        let mut failed = Vec::new();
        match &args.name {
            Some(name) => {
                for client in clients.with(name).await {
                    found.push((name.clone(), &client.place, look(client, name).await?));
                }
                if found.is_empty() {
                    return Err(clients.not_running(name).await);
                }
                if args.json && found.len() > 1 {
                    let why = anyhow!("{name} runs in several places: add --system or --user");
                    return Err(Failure::usage(why));
                }
            }
            None => {
                for client in clients.iter() {
                    for name in client.services().await? {
                        // One of many that has ended meanwhile.
                        let Ok(seen) = look(client, &name).await else { continue };
                        found.push((name, &client.place, seen));
                    }
                    let units = units::failed(&client.connection).await;
                    failed.extend(units.into_iter().map(|(name, unit)| (name, &client.place, unit)));
                }
            }
        }
        if args.json {
            let mut services: Vec<Json> =
                found.iter().map(|(name, place, seen)| service_json(name, place, seen)).collect();
            services.extend(failed.iter().map(|(name, place, unit)| failed_json(name, place, unit)));
            let single = args.name.is_some();
            print_json(&if single { services.into_iter().next().unwrap_or_default() } else { Json::Array(services) })?;
            return Ok(Exit::Finished);
        }
        if found.is_empty() && failed.is_empty() {
            print(&format!("no workflow is running ({})", clients.looked()))?;
        }
        for (index, (name, place, seen)) in found.iter().enumerate() {
            if index > 0 {
                print("")?;
            }
            show(name, place, seen)?;
        }
        for (index, (name, place, unit)) in failed.iter().enumerate() {
            if index + found.len() > 0 {
                print("")?;
            }
            print(&format!("{} ({} service)", safe::line(name), place.word()))?;
            print(&format!("  state  {}", safe::line(&unit.text())))?;
            print(&format!("  see    {}", safe::line(&place.journalctl(name))))?;
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
    let mut runs: Vec<_> = objects.iter().filter_map(|interfaces| interfaces.get(names::RUN)).collect();
    runs.sort_by_key(|run| number(run, "Id"));
    runs
}

fn failed_json(name: &str, place: &Place, unit: &FailedUnit) -> Json {
    json!({ "Name": name, "Bus": place.word(), "State": "failed", "Failure": unit.why, "FailedAt": unit.at })
}

fn service_json(name: &str, place: &Place, (service, objects): &Seen) -> Json {
    let mut service = to_json(service);
    let actors = objects.iter().filter_map(|interfaces| interfaces.get(names::ACTOR));
    service.insert("Name".to_owned(), json!(name));
    service.insert("Bus".to_owned(), json!(place.word()));
    service.insert("Runs".to_owned(), runs(objects).into_iter().map(|run| Json::Object(to_json(run))).collect());
    service.insert("Actors".to_owned(), actors.map(|actor| Json::Object(to_json(actor))).collect());
    Json::Object(service)
}

fn show(name: &str, place: &Place, (found, objects): &Seen) -> Result<(), Failure> {
    let count = |name| number(found, name).unwrap_or_default();
    let description = match text(found, "Description") {
        "" => String::new(),
        description => format!(" - {description}"),
    };
    let title = format!("{name} ({} service){description}", place.word());
    print(&safe::short(&title, safe::LINE))?;
    print(&format!("  unit   {}", unit_for_shell(name)))?;
    print(&format!("  file   {}", safe::line(text(found, "FragmentPath"))))?;
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
    let elapsed = number(run, "ElapsedUSec").map(Duration::from_micros);
    vec![
        number(run, "Id").unwrap_or_default().to_string(),
        text(run, "Status").to_owned(),
        text(run, "Label").to_owned(),
        elapsed.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
        progress,
        actors.collect::<Vec<_>>().join(", "),
    ]
}
