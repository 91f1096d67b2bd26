//! nats-server, as a program that a test starts.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns true if nats-server is installed. Otherwise the test is skipped with a message, or fails
/// where `TWISTOR_TOOLS=required`.
pub(crate) fn is_installed() -> bool {
    let version = Command::new("nats-server").arg("--version").output();
    let is_installed = version.is_ok_and(|output| output.status.success());
    if !is_installed {
        let missing = "nats-server is not installed";
        assert!(std::env::var("TWISTOR_TOOLS").as_deref() != Ok("required"), "{missing}");
        eprintln!("skipped: {missing}");
    }
    is_installed
}

/// Returns ports that were free.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A server on the loopback interface. Dropping it kills it.
pub(crate) struct NatsServer {
    process: Option<Child>,
    pub(crate) port: u16,
    config: PathBuf,
    folder: Folder,
}

impl NatsServer {
    /// Starts a server with these lines in its configuration.
    pub(crate) fn start(config: &str) -> Self {
        // Another program may take the port meanwhile.
        for _ in 0..10 {
            let [port] = free_ports();
            let mut server = Self::prepare(port, config);
            if server.try_run() {
                return server;
            }
        }
        panic!("nats-server does not listen");
    }

    /// Writes the configuration of a server on this port. `FOLDER` in it stands for a folder of the
    /// server's own.
    pub(crate) fn prepare(port: u16, config: &str) -> Self {
        let folder = Folder::new();
        let path = folder.0.join("nats.conf");
        let place = folder.0.to_str().unwrap();
        let listen = format!("listen: \"127.0.0.1:{port}\"\n");
        fs::write(&path, listen + &config.replace("FOLDER", place)).unwrap();
        Self { process: None, port, config: path, folder }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.0.join(name), content).unwrap();
    }

    /// Starts the server, or starts it again after [`kill`](Self::kill).
    pub(crate) fn run(&mut self) {
        assert!(self.try_run(), "nats-server does not listen on port {}", self.port);
    }

    fn try_run(&mut self) -> bool {
        let log = fs::File::create(self.folder.0.join("log")).unwrap();
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().unwrap();
        let until = Instant::now() + TIMEOUT;
        while Instant::now() < until {
            if TcpStream::connect(self.address()).is_ok() {
                self.process = Some(process);
                return true;
            }
            if process.try_wait().unwrap().is_some() {
                let log = fs::read_to_string(self.folder.0.join("log")).unwrap();
                eprintln!("nats-server has ended: {log}");
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = process.kill();
        let _ = process.wait();
        false
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Kills the server, without a farewell to its clients.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Has the server enter lame duck mode.
    pub(crate) fn lame_duck(&self) {
        let id = self.process.as_ref().unwrap().id();
        let signal = format!("ldm={id}");
        let told = Command::new("nats-server").args(["--signal", &signal]).status().unwrap();
        assert!(told.success());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Prepares three servers that are a cluster. Each is started with [`NatsServer::run`].
pub(crate) fn cluster(config: &str) -> [NatsServer; 3] {
    let ports: [u16; 3] = free_ports();
    let routes: [u16; 3] = free_ports();
    let all = routes.map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).join(", ");
    let mut number = 0;
    ports.map(|port| {
        let route = routes[number];
        number += 1;
        let cluster = format!(
            "server_name: n{number}\ncluster {{ name: test, listen: \"127.0.0.1:{route}\", \
             routes: [{all}] }}\n{config}\n"
        );
        NatsServer::prepare(port, &cluster)
    })
}

/// A new folder, which goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("twistor-nats-{}-{number}", std::process::id());
        let path: &Path = &std::env::temp_dir().join(name);
        fs::create_dir_all(path).unwrap();
        Self(path.to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
