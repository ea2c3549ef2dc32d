//! For tests: a server that records the heads of its requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The server. It runs to the end of the test.
pub(crate) struct Backend {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    /// Gives this answer to every request; with an empty one it never answers.
    pub(crate) async fn start(answer: impl Into<String>) -> Backend {
        Backend::at("127.0.0.1:0", answer).await
    }

    /// The same at this address.
    pub(crate) async fn at(address: &str, answer: impl Into<String>) -> Backend {
        let listener = TcpListener::bind(address).await.unwrap();
        let (port, heads) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let (kept, answer) = (Arc::clone(&heads), answer.into());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), answer.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(head);
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Backend { port, heads }
    }

    /// The heads since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
