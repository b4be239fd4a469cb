//! The way a command reaches the profile: through the running daemon, or, without one, by opening
//! the profile itself, offline. Either way the same methods run with the same parameters.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use threephone::{Home, KeySource, Network, Phone, PhoneError, PhoneOptions, Purpose, shell_word};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::args::Global;
use crate::client::Client;
use crate::error::CliError;
use crate::input::{self, Limit};
use crate::method::{self, Sink};
use crate::print::remark;

/// How long a command waits for another one that has the profile open, or for a daemon that has
/// the lock and does not listen yet.
const TURN_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

const PASSPHRASE_FILE: &str = "--passphrase-file";
const PASSPHRASE: Limit = Limit { bytes: 64 * 1024, of: "the file of a passphrase" };

pub(crate) enum Door {
    /// A daemon runs.
    Daemon(Client),
    /// None does; this process has the profile open.
    Profile(Box<Phone>),
}

impl Door {
    /// Opens whichever door there is.
    pub(crate) async fn open(global: &Global) -> Result<Self, CliError> {
        let home = home(global)?;
        let deadline = Instant::now() + TURN_WITHIN;
        loop {
            if let Some(client) = connect(&home).await? {
                return Ok(Self::Daemon(client));
            }
            let options = PhoneOptions {
                home: home.clone(),
                key: key_source(global)?,
                network: Network::Offline,
                purpose: Purpose::Command,
            };
            match Phone::open(options).await {
                Ok(phone) => return Ok(Self::Profile(Box::new(phone))),
                // Another command, or a daemon that is starting or closing.
                Err(PhoneError::InUse { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The door for commands that need the node.
    pub(crate) async fn daemon(global: &Global) -> Result<Self, CliError> {
        let home = home(global)?;
        match connect(&home).await? {
            Some(client) => Ok(Self::Daemon(client)),
            None => {
                // Where there is no profile, starting its node is no advice.
                home.check()?;
                Err(CliError::Failed(format!(
                    "the node of {} is not running; {}",
                    home.path().display(),
                    start_hint(&home)
                )))
            }
        }
    }

    /// Calls a method whose result is all it yields.
    pub(crate) async fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: impl Serialize,
    ) -> Result<R, CliError> {
        self.call_with(method, params, |_: Value| Ok(())).await
    }

    /// Calls a method; `item` gets each thing it yields before its result.
    pub(crate) async fn call_with<R: DeserializeOwned, I: DeserializeOwned>(
        &mut self,
        method: &str,
        params: impl Serialize,
        mut item: impl FnMut(I) -> Result<(), CliError>,
    ) -> Result<R, CliError> {
        let params = serde_json::to_value(params).map_err(CliError::failed)?;
        let result = match self {
            Self::Daemon(client) => client.call(method, params, |value| item(read(value)?)).await?,
            Self::Profile(phone) => {
                call_here(phone, method, params, |value| item(read(value)?)).await?
            }
        };
        read(result)
    }

    /// Closes the profile, if it is ours. What was done is on the disk by then, so a failure does
    /// not undo it and is only remarked: whoever took it for one would do the work twice.
    pub(crate) async fn close(self) {
        let Self::Profile(phone) = self else { return };
        if let Err(error) = phone.close().await {
            remark(&format!(
                "threephone: warning: the database was not closed cleanly ({error}); \
                 what was written to it is kept"
            ));
        }
    }
}

/// Runs a method in this process, handing on what it yields.
async fn call_here(
    phone: &Phone,
    method: &str,
    params: Value,
    mut item: impl FnMut(Value) -> Result<(), CliError>,
) -> Result<Value, CliError> {
    let (items, mut yielded) = mpsc::channel(16);
    let sink = Sink::Command(items);
    let mut call = std::pin::pin!(method::call(phone, method, params, &sink));
    let outcome = loop {
        tokio::select! {
            biased;
            Some(value) = yielded.recv() => item(value)?,
            outcome = &mut call => break outcome,
        }
    };
    while let Ok(value) = yielded.try_recv() {
        item(value)?;
    }
    Ok(outcome?)
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|error| {
        CliError::Failed(format!("the daemon's answer is of another version: {error}"))
    })
}

/// Opens a phone for the daemon. A command that has the profile open is waited for, another daemon
/// is not.
pub(crate) async fn open_in_turn(options: PhoneOptions) -> Result<Phone, CliError> {
    let deadline = Instant::now() + TURN_WITHIN;
    loop {
        match Phone::open(options.clone()).await {
            Err(PhoneError::InUse { holder, .. })
                if Instant::now() < deadline
                    && holder.is_none_or(|holder| holder.purpose == Purpose::Command) =>
            {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// None when no daemon listens.
async fn connect(home: &Home) -> Result<Option<Client>, CliError> {
    match Client::connect(home).await {
        Ok(client) => Ok(Some(client)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => {
                Ok(None)
            }
            ErrorKind::PermissionDenied => Err(CliError::Failed(format!(
                "{}: {error}; this profile is another user's: run this as that user, or name your \
                 own with --home",
                home.control_socket().display()
            ))),
            _ => Err(CliError::file(&home.control_socket(), &error)),
        },
    }
}

/// The home that was asked for.
pub(crate) fn home(global: &Global) -> Result<Home, CliError> {
    if let Some(home) = &global.home {
        return Ok(Home::new(home));
    }
    let from_env = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(home) = from_env("THREEPHONE_HOME") {
        return Ok(Home::new(home));
    }
    from_env("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| from_env("HOME").map(|home| home.join(".local/share")))
        .map(|data| Home::new(data.join("threephone")))
        .ok_or_else(|| CliError::Usage("say where the profile is: --home DIR".into()))
}

/// What opens the profile's database.
pub(crate) fn key_source(global: &Global) -> Result<KeySource, CliError> {
    match &global.passphrase_file {
        None => Ok(KeySource::File),
        Some(path) => Ok(KeySource::Passphrase(read_passphrase(path)?)),
    }
}

fn read_passphrase(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, CliError> {
    let bytes = zeroize::Zeroizing::new(input::file(PASSPHRASE_FILE, path, PASSPHRASE)?);
    let line = input::first_line(&bytes);
    if line.is_empty() {
        return Err(CliError::Failed(format!(
            "{PASSPHRASE_FILE} {}: the first line is empty; write the passphrase there",
            path.display()
        )));
    }
    Ok(zeroize::Zeroizing::new(line.to_vec()))
}

/// What to type to start the daemon of a home.
pub(crate) fn start_hint(home: &Home) -> String {
    format!("start it with `threephone --home {} up`", shell_word(home.path()))
}
