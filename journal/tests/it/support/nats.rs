//! A real nats-server of the test's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

pub struct Nats {
    child: Child,
    pub port: u16,
    pub dir: TempDir,
}

/// The server to run: `BACKSTOCK_NATS_SERVER`, else the one on `PATH`, else the one that
/// `make test` installs.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BACKSTOCK_NATS_SERVER") {
        return path.into();
    }
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("nats-server")).collect::<Vec<_>>()
    });
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nats-server");
    on_path.chain([installed]).find(|path| path.is_file()).expect(
        "no nats-server: set BACKSTOCK_NATS_SERVER, put it on PATH, or run `make test`, which \
         installs it into target/tools",
    )
}

impl Nats {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let port = backstock_proto::listen::free_port().expect("port");
        let child = spawn(dir.path(), port);
        let nats = Self { child, port, dir };
        nats.connect().await;
        nats
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.expect("kill");
    }

    pub async fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.port);
        self.connect().await;
    }

    pub async fn connect(&self) -> async_nats::Client {
        let url = format!("nats://127.0.0.1:{}", self.port);
        for _ in 0..200 {
            if let Ok(client) =
                backstock_proto::stream::connect_options().connect(url.as_str()).await
            {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("nats-server does not answer at {url}");
    }

    pub async fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.connect().await)
    }
}

fn spawn(dir: &Path, port: u16) -> Child {
    let config = dir.join("nats.conf");
    let store = dir.join("store");
    let text = format!(
        "host: 127.0.0.1\nport: {port}\nmax_payload: {}\njetstream {{ store_dir: {store:?} }}\n",
        backstock_proto::stream::MAX_PAYLOAD_BYTES
    );
    std::fs::write(&config, text).expect("config");
    Command::new(binary())
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("start nats-server")
}
