//! A real nats-server of the test's own, which syncs before it acknowledges.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, stream::Stream};
use backstock_proto::listen::free_port;
use backstock_proto::stream::{Partition, connect_options, stream_config, stream_name};
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;

pub(crate) struct Nats {
    dir: TempDir,
    port: u16,
    child: Child,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        Self::start_syncing("always").await
    }

    /// With another `sync_interval`.
    pub(crate) async fn start_syncing(interval: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port().expect("port");
        let store = dir.path().join("store");
        let config = format!(
            "listen: 127.0.0.1:{port}\nmax_payload: 17825792\n\
             jetstream {{ store_dir: {store:?}, sync_interval: {interval} }}\n"
        );
        std::fs::write(dir.path().join("nats.conf"), config).expect("write the configuration");
        let child = spawn(&dir);
        let nats = Self { dir, port, child };
        nats.answers().await;
        nats
    }

    /// Ends the server as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("wait");
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.dir);
        self.answers().await;
    }

    /// Stops the server's process without closing its connections.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }

    pub(crate) async fn connect(&self) -> async_nats::Client {
        connect_options().connect(format!("127.0.0.1:{}", self.port)).await.expect("connect")
    }

    /// Creates the stream of the first partition, as the journal does.
    pub(crate) async fn create_stream(&self, bytes_max: i64) -> Stream {
        self.create_stream_of(0, bytes_max).await
    }

    /// Creates the stream of any partition.
    pub(crate) async fn create_stream_of(&self, partition: Partition, bytes_max: i64) -> Stream {
        let config = stream_config((partition, partition + 1), 1, bytes_max);
        jetstream::new(self.connect().await).create_stream(config).await.expect("a stream")
    }

    /// Every message on the stream, in order.
    pub(crate) async fn messages(&self) -> Vec<async_nats::jetstream::message::StreamMessage> {
        let context = jetstream::new(self.connect().await);
        let mut stream = context.get_stream(stream_name(0)).await.expect("the stream");
        let state = stream.info().await.expect("info").state.clone();
        let sequences = state.first_sequence.max(1)..=state.last_sequence;
        futures::stream::iter(sequences)
            .map(|seq| stream.get_raw_message(seq))
            .buffered(64)
            .try_collect()
            .await
            .expect("every message")
    }

    async fn answers(&self) {
        for _ in 0..500 {
            let connected = connect_options().connect(format!("127.0.0.1:{}", self.port)).await;
            if let Ok(client) = connected
                && jetstream::new(client).query_account().await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nats-server did not answer within 10 s");
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &TempDir) -> Child {
    let binary = binary();
    Command::new(&binary)
        .arg("-c")
        .arg(dir.path().join("nats.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}. Install nats-server 2.12 or newer on PATH, or name it \
                 in BACKSTOCK_NATS_SERVER; `make test` does so by itself",
                binary.display()
            )
        })
}

fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("BACKSTOCK_NATS_SERVER") {
        return named.into();
    }
    let tools = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nats-server");
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|dir| dir.join("nats-server").is_file())
    });
    if !on_path && tools.is_file() { tools } else { "nats-server".into() }
}
