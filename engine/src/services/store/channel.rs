//! Messages between the gateways that use a database.

use async_trait::async_trait;
use tokio::sync::mpsc::Receiver;

use super::StoreError;

/// An open channel, on connections of its own.
pub struct Channel {
    /// Sends to all, this gateway included.
    pub sender: Box<dyn ChannelSender>,
    /// What arrives, at last why nothing more does.
    pub incoming: Receiver<Result<String, StoreError>>,
}

/// The sending side.
#[async_trait]
pub trait ChannelSender: Send {
    /// Sends a text of at most 7999 bytes.
    async fn send(&mut self, text: &str) -> Result<(), StoreError>;
}
