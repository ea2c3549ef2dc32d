//! Messages between gateways, by `LISTEN` and `NOTIFY`. The server passes them on to whoever listens at that moment, and keeps none. They
//! need no right that an account does not have. A pool that lends a connection for one transaction only (PgBouncer in transaction mode)
//! accepts `LISTEN` and passes nothing on.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgListener, PgPool, Postgres as Driver};

use super::Postgres;
use crate::services::store::channel::{Channel, ChannelSender};
use crate::services::store::server::Server;
use crate::services::store::{Kind, StoreError};

/// For connecting.
const CONNECT: Duration = Duration::from_secs(5);

/// Opens one, on two connections of its own: a listener is not lent to anybody else, and a message must not wait behind statements.
pub(super) async fn open(server: &Server<Postgres>, name: &str) -> Result<Channel, StoreError> {
    let failed = |error: sqlx::Error| server.error(&error);
    let pool = PoolOptions::<Driver>::new().max_connections(2).acquire_timeout(CONNECT).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(server.options().clone()).await.map_err(failed)?;
    // Gateways of another schema have other tables, and are no concern of these.
    let schema: String =
        sqlx::query_scalar("select coalesce(current_schema()::text, '')").fetch_one(&pool).await.map_err(failed)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{name}\n{schema}").as_bytes());
    let channel = format!("gateways_{}", hex::encode(digest.as_ref().get(..12).unwrap_or_default()));
    let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
    // A listener that connects again by itself would hide that messages are missing.
    listener.eager_reconnect(false);
    listener.listen(&channel).await.map_err(failed)?;
    let (told, incoming) = tokio::sync::mpsc::channel(64);
    let lost = server.failed(Kind::Unavailable, "the connection was closed");
    tokio::spawn(async move {
        let mut lost = Some(lost);
        loop {
            let message = tokio::select! {
                () = told.closed() => return,
                message = listener.try_recv() => message,
            };
            let message = match message {
                Ok(Some(message)) => Ok(message.payload().to_owned()),
                Ok(None) | Err(_) => match lost.take() {
                    Some(lost) => Err(lost),
                    None => return,
                },
            };
            let last = message.is_err();
            if told.send(message).await.is_err() || last {
                return;
            }
        }
    });
    Ok(Channel { sender: Box::new(Notifier { pool, channel, name: server.failed(Kind::Unavailable, "").connection }), incoming })
}

struct Notifier {
    pool: PgPool,
    channel: String,
    /// Of the connection, for errors.
    name: smol_str::SmolStr,
}

#[async_trait]
impl ChannelSender for Notifier {
    async fn send(&mut self, text: &str) -> Result<(), StoreError> {
        let sent = sqlx::query("select pg_notify($1, $2)").bind(&self.channel).bind(text).execute(&self.pool).await;
        // The driver's words may show the text, which is of no use to operators.
        sent.map(|_| ()).map_err(|_| StoreError::new(Kind::Unavailable, &self.name, "a message could not be sent"))
    }
}
