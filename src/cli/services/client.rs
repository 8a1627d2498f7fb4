//! A client of services: connections, calls, and errors explained.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::anyhow;
use zbus::connection::Builder;
use zbus::names::{InterfaceName, OwnedInterfaceName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedVariant, fdo, match_rule};

use super::proxies::{Properties, RunProxy, WorkflowProxy, has_owner};
use super::{Place, PlaceArgs, units};
use crate::bus::{BusType, MethodError, method_error, names};
use crate::cli::locate;
use crate::cli::{Exit, Failure};
use crate::supervisor::RunId;
use crate::systemd::escape::unit_for_shell;

/// A connection to one bus.
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) place: Place,
}

/// The connections to all buses that are searched.
pub(in crate::cli) struct Clients {
    reached: Vec<Client>,
    /// The buses that could not be reached, and why.
    unreached: Vec<(Place, String)>,
}

/// The objects of a service: their interfaces, with the properties of each.
pub(super) type Objects = Vec<BTreeMap<String, Properties>>;

/// How long a call may take, as with most clients of D-Bus.
const PATIENCE: Duration = Duration::from_secs(25);

impl Clients {
    /// Connects to the buses. One of several may be missing: on many hosts not every user has both.
    pub(super) async fn connect(args: &PlaceArgs) -> Result<Self, Failure> {
        let clients = Clients::within_reach(args).await?;
        if clients.reached.is_empty() {
            let why = clients.unreached.iter().map(|(place, why)| format!("cannot reach the {}: {why}", place.bus()));
            return Err(anyhow!(why.collect::<Vec<_>>().join("; ")).into());
        }
        Ok(clients)
    }

    /// The same, even if there is no bus at all.
    pub(super) async fn within_reach(args: &PlaceArgs) -> Result<Self, Failure> {
        let (mut reached, mut unreached) = (Vec::new(), Vec::new());
        for place in args.places() {
            let builder = match (&place.host, place.which()) {
                (Some(host), _) => Builder::address(ssh(host)?.as_str()),
                (None, BusType::System) => Builder::system(),
                (None, BusType::Session) => Builder::session(),
            };
            match builder.method_timeout(PATIENCE).build().await {
                Ok(connection) => reached.push(Client { connection, place }),
                Err(error) => unreached.push((place, error.to_string())),
            }
        }
        Ok(Clients { reached, unreached })
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Client> {
        self.reached.iter()
    }

    /// The bus with the service of this name. Several are an error: it would not be clear which one is meant.
    pub(super) async fn the_one_with(&self, name: &str) -> Result<&Client, Failure> {
        match self.with(name).await.as_slice() {
            [] => Err(self.not_running(name).await),
            [client] => Ok(client),
            _ => {
                let why =
                    anyhow!("{name} runs as a service of the system and as one of this user: add --system or --user");
                Err(Failure::usage(why))
            }
        }
    }

    /// All buses with a service of this name.
    pub(super) async fn with(&self, name: &str) -> Vec<&Client> {
        let mut found = Vec::new();
        for client in &self.reached {
            if client.has(name).await {
                found.push(client);
            }
        }
        found
    }

    /// The searched buses: `looked on the system bus; the session bus cannot be reached`.
    pub(super) fn looked(&self) -> String {
        let names = |places: Vec<&Place>| places.iter().map(|it| it.bus()).collect::<Vec<_>>().join(" and the ");
        let reached = names(self.reached.iter().map(|client| &client.place).collect());
        let unreached = names(self.unreached.iter().map(|(place, _)| place).collect());
        match (reached.as_str(), unreached.as_str()) {
            (reached, "") => format!("looked on the {reached}"),
            ("", unreached) => format!("the {unreached} cannot be reached"),
            (reached, unreached) => format!("looked on the {reached}; the {unreached} cannot be reached"),
        }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.reached.iter().map(|client| &client.place).chain(self.unreached.iter().map(|(place, _)| place))
    }

    /// The error that a service is not running, with how to start it, or how it has failed.
    pub(super) async fn not_running(&self, name: &str) -> Failure {
        for client in &self.reached {
            if let Some(failed) = units::failed(&client.connection).await.remove(name) {
                let (systemctl, more) = (client.place.systemctl(), client.place.journalctl(name));
                let what = anyhow!(
                    "{name} is not running: it {}. See: {more}; start it again with: {systemctl} start {}",
                    failed.text(),
                    unit_for_shell(name)
                );
                return Failure::Because(Exit::NotFound, what);
            }
        }
        let mut starts = Vec::new();
        let mut once = "";
        let mut missing = None;
        for place in self.places() {
            if place.host.is_none() {
                match place.whose.workflow_file(name) {
                    Ok(file) if locate::runs_once(&file, place.whose.defaults_file().as_deref()) => {
                        once = " (it runs once then; to be asked for runs it needs mode = \"resident\" in [service])";
                    }
                    Ok(_) => {}
                    Err(failure) => {
                        missing = Some(failure);
                        continue;
                    }
                }
            }
            starts.push(format!("{} start {}", place.systemctl(), unit_for_shell(name)));
        }
        match (starts.is_empty(), missing) {
            (true, Some(_)) if self.places().count() > 1 => locate::not_installed(name),
            (true, Some(failure)) => failure,
            _ => {
                let (looked, starts) = (self.looked(), starts.join(" or "));
                let what = anyhow!("{name} is not running ({looked}); start it with: {starts}{once}");
                Failure::Because(Exit::NotFound, what)
            }
        }
    }
}

impl Client {
    /// The names of the running services.
    pub(super) async fn services(&self) -> Result<Vec<String>, Failure> {
        let names = self.bus().await?.list_names().await.map_err(anyhow::Error::new)?;
        Ok(names.iter().filter_map(|name| names::name_of_service(name)).collect())
    }

    /// Whether a service is on the bus.
    pub(super) async fn has(&self, name: &str) -> bool {
        has_owner(&self.connection, &names::service(name)).await.unwrap_or(false)
    }

    /// Asks the bus for the signals that match a rule.
    pub(super) async fn add_match(&self, rule: match_rule::Builder<'_>) -> Result<(), Failure> {
        let rule = rule.build().map_err(anyhow::Error::new)?;
        self.bus().await?.add_match_rule(rule).await.map_err(|error| anyhow::Error::new(error).into())
    }

    async fn bus(&self) -> Result<fdo::DBusProxy<'_>, Failure> {
        fdo::DBusProxy::new(&self.connection).await.map_err(|error| anyhow::Error::new(error).into())
    }

    /// The workflow of a service.
    pub(super) async fn workflow(&self, name: &str) -> Result<WorkflowProxy<'_>, Failure> {
        let builder = WorkflowProxy::builder(&self.connection).destination(names::service(name));
        builder.cache_properties(CacheProperties::No).build().await.map_err(|error| anyhow::Error::new(error).into())
    }

    /// A run of a service.
    pub(super) async fn run(&self, name: &str, run: RunId) -> Result<RunProxy<'_>, Failure> {
        let builder = RunProxy::builder(&self.connection).destination(names::service(name)).path(names::run(run));
        builder.cache_properties(CacheProperties::No).build().await.map_err(|error| anyhow::Error::new(error).into())
    }

    /// All properties of an object of a service.
    pub(super) async fn properties(&self, name: &str, path: &str, interface: &str) -> Result<Properties, Failure> {
        let get = async {
            let builder = fdo::PropertiesProxy::builder(&self.connection).destination(names::service(name));
            let proxy = builder.path(path.to_owned()).build().await?;
            proxy.get_all(InterfaceName::try_from(interface)?).await.map_err(zbus::Error::from)
        };
        let properties = get.await.map_err(|error| self.explain(name, &error))?;
        Ok(properties.into_iter().collect())
    }

    /// All objects of a service.
    pub(super) async fn objects(&self, name: &str) -> Result<Objects, Failure> {
        let get = async {
            let builder = fdo::ObjectManagerProxy::builder(&self.connection).destination(names::service(name));
            let proxy = builder.path(names::ROOT).build().await?;
            proxy.get_managed_objects().await.map_err(zbus::Error::from)
        };
        let objects = get.await.map_err(|error| self.explain(name, &error))?;
        let properties = |interfaces: HashMap<OwnedInterfaceName, HashMap<String, OwnedVariant>>| {
            interfaces.into_iter().map(|(name, its)| (name.to_string(), its.into_iter().collect())).collect()
        };
        Ok(objects.into_values().map(properties).collect())
    }

    /// What an error of a service means, and what to do.
    pub(super) fn explain(&self, name: &str, error: &zbus::Error) -> Failure {
        let Some(MethodError { name: error_name, text }) = method_error(error) else {
            return Failure::from(anyhow!("cannot talk to the service {name}: {error}"));
        };
        match error_name.rsplit('.').next().unwrap_or_default() {
            "ServiceUnknown" | "NameHasNoOwner" => Failure::Because(
                Exit::NotFound,
                anyhow!("{name} is not running any more: {}", self.place.journalctl(name)),
            ),
            "InvalidInputs" => Failure::usage(anyhow!("{name}: {text}")),
            "NoSuchRun" | "UnknownObject" => Failure::Because(Exit::NotFound, anyhow!("{name}: {text}")),
            // The text of the bus does not help: it names rules of its policy.
            "AccessDenied" if is_refusal_of_the_bus(&text) => anyhow!(
                "you may look at {name}, but not act on it: only root and members of the group pushflow may \
                     (sudo usermod -aG pushflow USER, and log in again)"
            )
            .into(),
            _ => anyhow!("{name}: {text}").into(),
        }
    }
}

/// Whether dbus-daemon or dbus-broker has refused to pass a message on, and not the service itself. Only the text tells: the name of the
/// error is the same, and zbus drops the sender of errors with names that it knows.
fn is_refusal_of_the_bus(text: &str) -> bool {
    text.contains("matched rules") || text.contains("not authorized to send")
}

/// Whether the service has no such object.
pub(super) fn is_unknown_object(error: &zbus::Error) -> bool {
    method_error(error).is_some_and(|error| error.name == "org.freedesktop.DBus.Error.UnknownObject")
}

/// The address of the system bus of another host, as systemctl reaches it.
fn ssh(host: &str) -> Result<String, Failure> {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let (user, name) = host.rsplit_once('@').map_or((None, host), |(user, name)| (Some(user), name));
    // Names of hosts and users contain no characters with a meaning in a D-Bus address.
    if !plain(name) || !user.is_none_or(plain) {
        return Err(Failure::usage(anyhow!("{host:?} is not the name of a host, nor USER@HOST")));
    }
    let user = user.map_or_else(Vec::new, |user| vec!["-l", user]);
    let words = [vec!["-xT"], user, vec!["--", name, "systemd-stdio-bridge"]].concat();
    let words = words.iter().zip(1..).map(|(word, at)| format!(",argv{at}={word}"));
    Ok(format!("unixexec:path=ssh{}", words.collect::<String>()))
}
