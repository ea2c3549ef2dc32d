//! A connection to the bus: over Redis, or over a database that passes messages on.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::Receiver;

use super::counters::Counters;
use super::redis::Redis;
use crate::services::store::{Channel, Connections};

/// What carries messages.
pub(super) enum Carrier {
    /// Nothing: there are no other gateways, or none that could be told.
    Nothing,
    /// A Redis server.
    Redis(Box<Redis>),
    /// The database of a connection, by name.
    Database(String),
}

/// An open connection.
pub(super) struct Link {
    /// Sends.
    pub(super) sender: Box<dyn Sender>,
    /// What arrives: messages, at last the reason why nothing more does.
    pub(super) incoming: Receiver<Result<String, String>>,
    /// What counts over all gateways, where the bus can.
    pub(super) counters: Option<Arc<Counters>>,
    /// What reads; it ends with this link.
    _reader: Reader,
}

/// Sends messages.
#[async_trait]
pub(super) trait Sender: Send {
    /// Sends them in this order. The error is for operators and holds no secret.
    async fn send(&mut self, messages: &[String]) -> Result<(), String>;
}

/// A task that ends with its owner.
pub(super) struct Reader(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    pub(super) fn new(sender: Box<dyn Sender>, incoming: Receiver<Result<String, String>>, reader: Reader) -> Link {
        Link { sender, incoming, counters: None, _reader: reader }
    }

    /// Opens it.
    pub(super) async fn open(carrier: &Carrier, connections: &Connections, name: &str) -> Result<Link, String> {
        match carrier {
            Carrier::Nothing => Err("there is no bus".to_owned()),
            Carrier::Redis(redis) => redis.link().await,
            Carrier::Database(connection) => {
                let found = connections.get(connection).ok_or_else(|| format!("there is no connection `{connection}`"))?;
                let channel = found.channel(name).await.map_err(|error| error.to_string())?;
                Ok(Link::over(channel))
            }
        }
    }

    fn over(channel: Channel) -> Link {
        let Channel { sender, mut incoming } = channel;
        let (told, heard) = tokio::sync::mpsc::channel(64);
        let reader = tokio::spawn(async move {
            while let Some(message) = incoming.recv().await {
                let message = message.map_err(|error| error.to_string());
                let last = message.is_err();
                if told.send(message).await.is_err() || last {
                    return;
                }
            }
        });
        Link::new(Box::new(OverDatabase(sender)), heard, Reader(reader))
    }
}

struct OverDatabase(Box<dyn crate::services::store::ChannelSender>);

#[async_trait]
impl Sender for OverDatabase {
    async fn send(&mut self, messages: &[String]) -> Result<(), String> {
        for message in messages {
            self.0.send(message).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
