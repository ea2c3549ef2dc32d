//! What stands around gateways: a Redis server of a test's own, a proxy before a server that can be cut, a load balancer.

use std::net::{SocketAddr, TcpListener as Listener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::load::{Target, once};

/// Longer than any start takes.
const START: Duration = Duration::from_secs(20);

/// A port of the loopback address that nobody uses now.
pub fn free_port() -> Result<u16> {
    Ok(Listener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A Redis server that keeps nothing. Dropping it kills it.
pub struct Redis {
    program: PathBuf,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Redis {
    /// The program: `PORTCULLIS_TEST_REDIS`, or the one in the path. `None` if it is not installed.
    pub fn program() -> Option<PathBuf> {
        if let Some(named) = std::env::var_os("PORTCULLIS_TEST_REDIS") {
            return Some(named.into());
        }
        std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("redis-server")).find(|path| path.exists())
    }

    /// Starts one, at a socket in its own folder.
    pub fn start(program: PathBuf) -> Result<Redis> {
        let mut redis = Redis { program, folder: tempfile::tempdir()?, child: None };
        redis.run()?;
        Ok(redis)
    }

    /// Its address for `gateway.yaml`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Starts it again.
    pub fn run(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(self.socket()).current_dir(self.folder.path());
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            if begun.elapsed() > START {
                bail!("Redis does not start");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A proxy before a server. When it is cut, all its connections end and new ones are closed at once, as if the server had been killed.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// How often it was cut or mended: it is open while the number is even.
    changes: watch::Sender<u64>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// Before the server at this address.
    pub fn start(server: SocketAddr) -> Result<Proxy> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let changes = watch::Sender::new(0);
        let state = changes.clone();
        runtime.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut state = state.subscribe();
                let begun = *state.borrow();
                if begun % 2 == 1 {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = state.wait_for(|now| *now != begun) => {}
                    }
                });
            }
        });
        Ok(Proxy { address, changes, runtime: Some(runtime) })
    }

    /// Cuts it.
    pub fn cut(&self) {
        self.changes.send_modify(|changes| *changes |= 1);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.changes.send_modify(|changes| *changes += *changes % 2);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A load balancer: passes each connection on to the next of the gateways that say at `/ready` that they are ready. It tries no second
/// one, so a gateway that refuses although it was ready costs a request.
#[derive(Clone)]
pub struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    backends: Arc<Vec<Backend>>,
}

struct Backend {
    /// Where the gateway answers, and where it says that it is ready.
    at: Mutex<Option<(SocketAddr, SocketAddr)>>,
    ready: AtomicBool,
}

impl Balancer {
    /// For so many gateways; within a runtime.
    pub async fn start(count: usize) -> Result<Balancer> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let backend = |_| Backend { at: Mutex::new(None), ready: AtomicBool::new(false) };
        let balancer = Balancer { address: listener.local_addr()?, backends: Arc::new((0..count).map(backend).collect()) };
        let (backends, turn) = (Arc::clone(&balancer.backends), AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let ready: Vec<SocketAddr> = backends.iter().filter_map(Backend::target).collect();
                let Some(target) = ready.get(turn.fetch_add(1, Ordering::Relaxed) % ready.len().max(1)).copied() else {
                    continue;
                };
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        let backends = Arc::clone(&balancer.backends);
        tokio::spawn(async move {
            loop {
                for backend in backends.iter() {
                    let at = *backend.at.lock().unwrap_or_else(PoisonError::into_inner);
                    let ready = match at {
                        Some((_, monitoring)) => is_ready(monitoring).await,
                        None => false,
                    };
                    backend.ready.store(ready, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Ok(balancer)
    }

    /// The gateway at this place is there: where it answers, and where it says that it is ready.
    pub fn place(&self, place: usize, at: SocketAddr, monitoring: SocketAddr) {
        if let Some(backend) = self.backends.get(place) {
            *backend.at.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, monitoring));
        }
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.backends.iter().filter(|backend| backend.ready.load(Ordering::Relaxed)).count()
    }
}

impl Backend {
    fn target(&self) -> Option<SocketAddr> {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.filter(|_| self.ready.load(Ordering::Relaxed)).map(|(at, _)| at)
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let asked = once(Target { address, tls: false }, b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    matches!(tokio::time::timeout(Duration::from_secs(2), asked).await, Ok(Ok((200, _, _))))
}

/// Where the server of a database URL is.
pub fn address_of(url: &str) -> Result<SocketAddr> {
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).context("no host")?;
    host.rsplit('@').next().context("no host")?.parse().with_context(|| format!("no address in {host}"))
}
