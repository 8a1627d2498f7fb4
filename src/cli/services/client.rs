//! A client of services: the connection, calls, and what errors mean to people.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use zbus::connection::Builder;
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, wire};

use super::PlaceArgs;
use crate::bus::{Which, answered, names};
use crate::cli::locate::{self, Whose};
use crate::cli::{Exit, Failure};

/// A bus on which services may be.
pub(super) struct Client {
    pub(super) connection: Connection,
    place: PlaceArgs,
}

/// The properties of one object, by name.
pub(super) type Properties = BTreeMap<String, OwnedVariant>;
/// Objects, their interfaces, and the properties of those.
pub(super) type Objects = HashMap<OwnedObjectPath, BTreeMap<String, Properties>>;

/// A service that hangs is not waited for any longer, as with most clients of D-Bus.
const PATIENCE: Duration = Duration::from_secs(25);

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

impl Client {
    pub(super) async fn connect(place: &PlaceArgs) -> Result<Self, Failure> {
        let which = place.whose().bus();
        let (builder, at) = match (&place.host, which) {
            (Some(host), _) => (Builder::address(ssh(host)?.as_str()), format!("system bus of {host}")),
            (None, Which::System) => (Builder::system(), which.word().to_owned()),
            (None, Which::Session) => (Builder::session(), which.word().to_owned()),
        };
        let builder = builder.method_timeout(PATIENCE);
        let connection = builder.build().await.map_err(|error| anyhow!("cannot reach the {at}: {error}"))?;
        Ok(Client { connection, place: place.clone() })
    }

    /// The names of the services that are running.
    pub(super) async fn services(&self) -> Result<Vec<String>, Failure> {
        let reply = self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "ListNames", &()).await;
        let names: Vec<String> = reply.and_then(|reply| reply.body().deserialize()).map_err(anyhow::Error::new)?;
        Ok(names.iter().filter_map(|name| names::name_of_service(name)).collect())
    }

    /// Whether a service is on the bus.
    pub(super) async fn has(&self, name: &str) -> bool {
        let service = names::service(name);
        let reply =
            self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &service.as_str()).await;
        reply.and_then(|reply| reply.body().deserialize()).unwrap_or(false)
    }

    /// Whose services these are.
    pub(super) fn whose(&self) -> Whose {
        self.place.whose()
    }

    /// Asks the bus to pass on the signals that a rule describes.
    pub(super) async fn add_match(&self, rule: &str) -> Result<(), Failure> {
        let reply = self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &rule).await;
        reply.map(drop).map_err(|error| anyhow::Error::new(error).into())
    }

    /// Calls a method of a service's object.
    pub(super) async fn call<B>(
        &self,
        name: &str,
        path: &str,
        member: (&str, &str),
        body: &B,
    ) -> Result<Message, Failure>
    where
        B: Serialize + wire::DynamicType,
    {
        let (interface, method) = member;
        let service = names::service(name);
        let reply = self.connection.call_method(Some(service.as_str()), path, Some(interface), method, body).await;
        reply.map_err(|error| self.explain(name, error))
    }

    pub(super) async fn properties(&self, name: &str, path: &str, interface: &str) -> Result<Properties, Failure> {
        let reply = self.call(name, path, ("org.freedesktop.DBus.Properties", "GetAll"), &interface).await?;
        reply.body().deserialize().map_err(|error| anyhow::Error::new(error).into())
    }

    /// All objects of a service.
    pub(super) async fn objects(&self, name: &str) -> Result<Objects, Failure> {
        let member = ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        let reply = self.call(name, names::ROOT, member, &()).await?;
        reply.body().deserialize().map_err(|error| anyhow::Error::new(error).into())
    }

    /// What an error means, and what to do.
    fn explain(&self, name: &str, error: zbus::Error) -> Failure {
        let Some((error_name, text)) = answered(&error) else {
            return Failure::from(anyhow::Error::new(error).context(format!("cannot talk to the service {name}")));
        };
        let text = text.as_str();
        match error_name.rsplit('.').next().unwrap_or_default() {
            "ServiceUnknown" | "NameHasNoOwner" => self.not_running(name),
            "InvalidInputs" => Failure::usage(anyhow!("{name}: {text}")),
            "NoSuchRun" | "UnknownObject" => Failure::Because(Exit::NotFound, anyhow!("{name}: {text}")),
            // The bus's own refusal, dbus-daemon's or dbus-broker's, says nothing to people.
            "AccessDenied" if text.contains("matched rules") || text.contains("not authorized to send") => anyhow!(
                "you may look at {name}, but not act on it: only root and members of the group pushflow may \
                     (sudo usermod -aG pushflow USER, and log in again)"
            )
            .into(),
            _ => anyhow!("{name}: {text}").into(),
        }
    }

    /// Says that a service is not running, and how to change that.
    pub(super) fn not_running(&self, name: &str) -> Failure {
        let unit = format!("pushflow@{name}");
        let mut once = "";
        if self.place.host.is_none() {
            match self.place.whose().workflow_file(name) {
                Ok(file) if locate::runs_once(&file, self.whose().defaults_file().as_deref()) => {
                    once = " (it runs once then; to be asked for runs it needs mode = \"resident\" in [service])";
                }
                Ok(_) => {}
                Err(failure) => return failure,
            }
        }
        let systemctl = self.place.systemctl();
        let what = anyhow!("{name} is not running; start it with: {systemctl} start {unit}{once}");
        Failure::Because(Exit::NotFound, what)
    }
}

/// The address of the system bus of another host, as systemctl reaches it.
fn ssh(host: &str) -> Result<String, Failure> {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let (user, name) = host.rsplit_once('@').map_or((None, host), |(user, name)| (Some(user), name));
    // What means something in an address of D-Bus is in no name of a host or user.
    if !plain(name) || !user.is_none_or(plain) {
        return Err(Failure::usage(anyhow!("{host:?} is not the name of a host, nor USER@HOST")));
    }
    let user = user.map_or_else(Vec::new, |user| vec!["-l", user]);
    let words = [vec!["-xT"], user, vec!["--", name, "systemd-stdio-bridge"]].concat();
    let words = words.iter().zip(1..).map(|(word, at)| format!(",argv{at}={word}"));
    Ok(format!("unixexec:path=ssh{}", words.collect::<String>()))
}
