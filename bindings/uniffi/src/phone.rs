//! The open phone and making a profile: everything else hangs off [`Phone`].

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::bus::Slots;
use crate::convert::parse;
use crate::event::Listening;
use crate::{
    Bus, Events, InitReport, KeySource, Ledger, Mail, Messaging, Metrics, PacketStatistics,
    PeerView, PhoneError, PhoneOptions, PowerMode, PowerPolicy, Status, cancel,
};

/// Makes a profile in the folder `home`: the folder itself, its keys and its database. A node key
/// that lies there is taken over.
///
/// # Errors
/// `AlreadyExists` where a profile is; `InvalidArgument` for a name that is empty, longer than 64
/// characters or holds control characters; `Denied` or `Full` when the folder cannot be written.
#[uniffi::export]
pub async fn init_profile(
    home: String,
    name: String,
    key: KeySource,
) -> Result<InitReport, PhoneError> {
    let home = threephone::Home::new(home);
    Ok(threephone::Phone::init(home, name, key.try_into()?).await?.into())
}

/// An open profile: its node, its store and its services.
///
/// Shut it down when done: dropping the last reference without is an error in the log. All calls
/// may be cancelled; what they had begun to write may then be written or not.
#[derive(uniffi::Object)]
pub struct Phone {
    inner: Arc<Inner>,
}

/// What the phone and its services share.
pub(crate) struct Inner {
    pub(crate) phone: threephone::Phone,
    pub(crate) slots: Slots,
    pub(crate) listening: Listening,
    /// Cancelled once closing has begun.
    closing: CancellationToken,
}

impl Inner {
    /// Runs a future on the phone's own runtime: the one that polls us knows no timers.
    pub(crate) async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, PhoneError>
    where
        T: Send + 'static,
        E: Send + 'static,
        PhoneError: From<E>,
    {
        self.run_until(CancellationToken::new(), future).await
    }

    /// [`Inner::run`] that a handle can end.
    pub(crate) async fn run_until<T, E>(
        &self,
        token: CancellationToken,
        future: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, PhoneError>
    where
        T: Send + 'static,
        E: Send + 'static,
        PhoneError: From<E>,
    {
        if self.is_closing() {
            return Err(PhoneError::Closed);
        }
        self.phone.run(cancel::until(token, future)).await?
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }
}

#[uniffi::export]
impl Phone {
    /// Opens a profile and, if so wanted, starts its node: on return its listeners accept.
    ///
    /// Do not cancel this call: it takes a moment only, and one that is cancelled just as it
    /// finishes leaves a phone open that nobody can reach any more. Let it finish, and shut down.
    ///
    /// # Errors
    /// `NoProfile`, `InUse`, `WrongKey`, `NewerVersion`, `Damaged`, `CannotListen`. Nothing stays
    /// open then.
    #[uniffi::constructor]
    pub async fn open(options: PhoneOptions) -> Result<Arc<Self>, PhoneError> {
        let phone = threephone::Phone::open(options.try_into()?).await?;
        let inner = Inner {
            phone,
            slots: Slots::default(),
            listening: Listening::default(),
            closing: CancellationToken::new(),
        };
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }

    /// The profile's name.
    pub fn name(&self) -> String {
        self.inner.phone.name().into()
    }

    /// The overlay address, a plain IPv6 address.
    pub fn address(&self) -> String {
        self.inner.phone.address().to_string()
    }

    /// The node key, 64 hexadecimal digits.
    pub fn public_key(&self) -> String {
        self.inner.phone.public_key().to_string()
    }

    /// The phone at a glance.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn status(&self) -> Result<Status, PhoneError> {
        self.with(|inner| async move { inner.phone.status().await }).await.map(Into::into)
    }

    /// Remembered peers, and those that have a link.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn list_peers(&self) -> Result<Vec<PeerView>, PhoneError> {
        let peers = self.with(|inner| async move { inner.phone.peers().await }).await?;
        Ok(peers.into_iter().map(Into::into).collect())
    }

    /// Connects to a peer such as `tcp://192.0.2.1:9651` now and at every later start. One that is
    /// known already stays.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no endpoint; `TooMany`; `Closed`.
    pub async fn add_peer(&self, endpoint: String) -> Result<(), PhoneError> {
        let endpoint = parse("endpoint", &endpoint)?;
        self.with(move |inner| async move { inner.phone.add_peer(endpoint).await }).await
    }

    /// Disconnects from a peer and forgets it.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no endpoint; `NotFound` when it is neither remembered nor
    /// connected; `Closed`.
    pub async fn remove_peer(&self, endpoint: String) -> Result<(), PhoneError> {
        let endpoint = parse("endpoint", &endpoint)?;
        self.with(move |inner| async move { inner.phone.remove_peer(endpoint).await }).await
    }

    /// Sets how much the node does on its own, until it is set anew or the phone is shut down; gives
    /// the mode it is in then. For example idle in the background, and suspended while the system
    /// lets nothing run.
    ///
    /// # Errors
    /// `Offline` when the phone was opened without its node; `Closed`.
    pub async fn set_power(&self, policy: PowerPolicy) -> Result<PowerMode, PhoneError> {
        let policy = threephone::node::PowerPolicy::from(policy);
        let mode = self.with(move |inner| async move { inner.phone.set_power(policy).await });
        Ok(mode.await?.into())
    }

    /// What the node counts: figures only, for a page of statistics.
    ///
    /// # Errors
    /// `Offline` when the phone was opened without its node; `Closed`.
    pub async fn metrics(&self) -> Result<Metrics, PhoneError> {
        Ok((&self.with(|inner| async move { inner.phone.metrics().await }).await?).into())
    }

    /// What the node has cost since it was started: wake-ups, processor time, bytes.
    ///
    /// # Errors
    /// `Offline` when the phone was opened without its node; `Closed`.
    pub async fn ledger(&self) -> Result<Ledger, PhoneError> {
        Ok(self.with(|inner| async move { inner.phone.ledger().await }).await?.into())
    }

    /// Data packets that the node sent, received or forwarded, by overlay address.
    ///
    /// # Errors
    /// `Offline` when the phone was opened without its node; `Closed`.
    pub async fn packet_statistics(&self) -> Result<PacketStatistics, PhoneError> {
        let ask = |inner: Arc<Inner>| async move { inner.phone.packet_statistics() };
        Ok(self.with(ask).await?.into())
    }

    /// To be called when the system says that the network is another one, or that it is awake
    /// again: peers are dialled at once, and dead links are found within seconds.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn network_changed(&self) -> Result<(), PhoneError> {
        let tell = |inner: Arc<Inner>| async move {
            inner.phone.network_changed().await;
            Ok::<_, PhoneError>(())
        };
        self.with(tell).await
    }

    /// Chats.
    pub fn messaging(&self) -> Arc<Messaging> {
        Arc::new(Messaging::new(self.inner.clone()))
    }

    /// Mail.
    pub fn mail(&self) -> Arc<Mail> {
        Arc::new(Mail::new(self.inner.clone()))
    }

    /// Messages of any bytes between nodes.
    ///
    /// # Errors
    /// `Offline` when the phone was opened without its node.
    pub fn bus(&self) -> Result<Arc<Bus>, PhoneError> {
        let bus = self.inner.phone.bus()?;
        Ok(Arc::new(Bus::new(self.inner.clone(), bus)))
    }

    /// The stream of what changed.
    pub fn events(&self) -> Arc<Events> {
        Arc::new(Events::new(self.inner.clone()))
    }

    /// Stops the node, finishes what is being written and closes every file. Calls that wait end
    /// with `Closed`, later ones too. A second call waits for the first. Cancelling the call does
    /// not cancel the closing.
    ///
    /// (Not named `close`: that is what Kotlin calls giving up a reference.)
    ///
    /// # Errors
    /// When the database could not be finished cleanly; nothing is lost then.
    pub async fn shut_down(&self) -> Result<(), PhoneError> {
        self.inner.closing.cancel();
        self.inner.listening.stop();
        Ok(self.inner.phone.close().await?)
    }
}

impl Phone {
    async fn with<T, E, F>(&self, call: impl FnOnce(Arc<Inner>) -> F) -> Result<T, PhoneError>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        PhoneError: From<E>,
    {
        self.inner.run(call(self.inner.clone())).await
    }
}
