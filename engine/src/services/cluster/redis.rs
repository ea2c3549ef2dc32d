//! Redis: messages by its publish and subscribe, and the connection on which gateways count together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError, TlsCertificates};
use url::Url;

use super::counters::Counters;
use super::link::{Link, Reader, Sender};
use crate::services::config;
use crate::services::keys::certificates_in;
use crate::services::store::is_local;

/// For connecting, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// For an answer. Whoever waits longer goes on without Redis.
const ANSWER: Duration = Duration::from_secs(1);

/// A Redis server.
pub(super) struct Redis {
    client: Client,
    /// What names begin with.
    prefix: String,
}

/// What is wrong with the settings, apart from files.
pub(super) fn check(given: &config::Redis) -> Result<(), String> {
    const FORM: &str = "an address such as `rediss://redis.example:6379/0`, `redis://127.0.0.1` or `unix:///run/redis.sock`";
    let url = Url::parse(&given.url).map_err(|_| format!("this is not {FORM}"))?;
    let socket = matches!(url.scheme(), "unix" | "redis+unix");
    if !socket && !matches!(url.scheme(), "redis" | "rediss") || url.fragment().is_some() {
        return Err(format!("this is not {FORM}"));
    }
    if given.ca.is_some() && (given.allow_plaintext || url.scheme() != "rediss") {
        return Err(
            "`ca` names authorities for TLS, but the address or `allow_plaintext` does without: use `rediss://`".to_owned()
        );
    }
    let remote = url.host_str().filter(|host| !socket && !is_local(host));
    match remote {
        Some(host) if url.scheme() == "redis" && !given.allow_plaintext => Err(format!(
            "`{host}` is not this machine: use `rediss://`, or `allow_plaintext: true` where nobody else reads the network"
        )),
        _ => given.url.as_str().into_connection_info().map(|_| ()).map_err(|_| format!("this is not {FORM}")),
    }
}

impl Redis {
    /// Prepares it. Files are relative to `home`, and must be there.
    pub(super) fn new(given: &config::Redis, prefix: &str, home: &Path) -> Result<Redis, String> {
        check(given)?;
        let mut info = given.url.as_str().into_connection_info().map_err(|error| said(&error))?;
        let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(user) = &given.user {
            settings = settings.set_username(user);
        }
        let read = |file: &PathBuf| {
            let path = home.join(file);
            std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        let password = match &given.password_file {
            Some(file) => Some(read(file)?.lines().next().unwrap_or("").to_owned()),
            None => given.password.clone(),
        };
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        info = info.set_redis_settings(settings);
        let client = match &given.ca {
            Some(file) => {
                let path = home.join(file);
                if certificates_in(&path).map_err(|error| error.to_string())?.is_empty() {
                    return Err(format!("{} holds no certificate", path.display()));
                }
                let tls = TlsCertificates { client_tls: None, root_cert: Some(read(file)?.into_bytes()) };
                Client::build_with_tls(info, tls)
            }
            None => Client::open(info),
        };
        Ok(Redis { client: client.map_err(|error| said(&error))?, prefix: prefix.to_owned() })
    }

    /// A connection for commands. All that use it at once share its round trips.
    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
        self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| said(&error))
    }

    /// What names of keys begin with. The braces keep them in one slot of a Redis cluster.
    fn keys(&self) -> String {
        format!("{{{}}}", self.prefix)
    }

    pub(super) async fn link(&self) -> Result<Link, String> {
        // Channels belong to all databases of a server, and gateways of another database are other gateways.
        let channel = format!("{}:{}:bus", self.prefix, self.client.get_connection_info().redis_settings().db());
        let sender = self.connect().await?;
        let listener = tokio::time::timeout(CONNECT, async {
            let mut listener = self.client.get_async_pubsub().await?;
            listener.subscribe(&channel).await?;
            Ok::<_, RedisError>(listener)
        });
        let listener = listener.await.map_err(|_| "it does not answer".to_owned())?.map_err(|error| said(&error))?;
        let (told, heard) = tokio::sync::mpsc::channel(64);
        let reader = tokio::spawn(async move {
            let mut messages = listener.into_on_message();
            while let Some(message) = messages.next().await {
                // One that is not text is of nobody known here.
                let text = String::from_utf8_lossy(message.get_payload_bytes()).into_owned();
                if told.send(Ok(text)).await.is_err() {
                    return;
                }
            }
            let _ = told.send(Err("the connection was closed".to_owned())).await;
        });
        let counters = Counters::new(sender.clone(), self.keys());
        let mut link = Link::new(Box::new(Publisher { connection: sender, channel }), heard, Reader(reader));
        link.counters = Some(Arc::new(counters));
        Ok(link)
    }
}

struct Publisher {
    connection: MultiplexedConnection,
    channel: String,
}

#[async_trait]
impl Sender for Publisher {
    async fn send(&mut self, messages: &[String]) -> Result<(), String> {
        let mut pipeline = redis::pipe();
        for message in messages {
            pipeline.publish(&self.channel, message).ignore();
        }
        pipeline.exec_async(&mut self.connection).await.map_err(|error| said(&error))
    }
}

/// An error without what the server or the address may show of secrets.
pub(super) fn said(error: &RedisError) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    match error.code() {
        // The words of the server name the command, and arguments may follow.
        Some(code) => format!("it answers {code}"),
        None if error.is_io_error() => error.to_string(),
        None => format!("{:?}", error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, ca: bool, allow_plaintext: bool) -> Result<(), String> {
        check(&config::Redis {
            url: url.to_owned(),
            ca: ca.then(|| "ca.pem".into()),
            allow_plaintext,
            ..config::Redis::default()
        })
    }

    #[test]
    fn other_machines_need_tls() {
        for url in
            ["redis://127.0.0.1:6379", "redis://localhost/3", "redis://u:p@[::1]", "unix:///run/redis.sock", "rediss://r.example"]
        {
            assert_eq!(checked(url, false, false), Ok(()), "{url}");
        }
        let why = checked("redis://u:hunter2@r.example", false, false).unwrap_err();
        assert!(why.contains("rediss://") && !why.contains("hunter2"), "{why}");
        assert_eq!(checked("redis://r.example", false, true), Ok(()));
        assert!(checked("rediss://r.example/#insecure", false, false).is_err(), "a name that nobody checks");
        assert!(checked("redis://127.0.0.1", true, false).is_err() && checked("rediss://r.example", true, true).is_err());
        assert_eq!(checked("rediss://r.example", true, false), Ok(()));
        for url in ["", "r.example", "http://r.example", "redis:", "redis://127.0.0.1/x"] {
            let why = checked(url, false, false).unwrap_err();
            assert!(why.contains("rediss://"), "{url}: {why}");
        }
    }
}
