//! A Redis server for one test: on a free loopback port, in a directory of its own, killed by its pid.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use redis::{Cmd, Connection, FromRedisValue};
use rustix::process::{Pid, Signal, kill_process};

/// A server.
pub(crate) struct Redis {
    pub(crate) port: u16,
    settings: Vec<String>,
    /// Whether the port is one of TLS.
    is_tls: bool,
    directory: tempfile::TempDir,
    child: Option<Child>,
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Redis {
    /// A server without persistence.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// One that is to be part of a cluster.
    pub(crate) fn start_clustered() -> Self {
        let bus = free_port().to_string();
        Self::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus])
    }

    fn with(settings: &[&str]) -> Self {
        Self::on_a_free_port(settings, false)
    }

    /// One that speaks TLS alone, as these settings say.
    pub(crate) fn with_tls(settings: &[&str]) -> Self {
        Self::on_a_free_port(settings, true)
    }

    fn on_a_free_port(settings: &[&str], is_tls: bool) -> Self {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        // A port may be taken between the look and the start.
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let mut server = Self { port: free_port(), settings: settings.clone(), is_tls, directory, child: None };
            if server.run() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// Starts the process; whether it is ready.
    fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let ports =
            if self.is_tls { ["--port", "0", "--tls-port", &port] } else { ["--port", &port, "--tls-port", "0"] };
        let command = Command::new("redis-server")
            .args(ports)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            // For the test itself, which speaks no TLS.
            .args(["--unixsocket".as_ref(), self.socket().as_os_str()])
            .args(["--repl-diskless-sync-delay", "0", "--busy-reply-threshold", "50"])
            .args(&self.settings)
            .arg("--dir")
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = command.unwrap_or_else(|error| panic!("redis-server: {error}; run scripts/setup"));
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        self.child = Some(child);
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            if line.contains("Ready to accept connections") {
                // Read on, so that it never waits for a reader.
                std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
                return true;
            }
            line.clear();
        }
        self.kill();
        false
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("socket")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis{}://127.0.0.1:{}", if self.is_tls { "s" } else { "" }, self.port)
    }

    /// A connection for the test itself.
    pub(crate) fn connection(&self) -> Connection {
        redis::Client::open(format!("redis+unix://{}", self.socket().display())).unwrap().get_connection().unwrap()
    }

    /// One command on a connection of its own.
    pub(crate) fn run_command<T: FromRedisValue>(&self, command: &str) -> T {
        words(command).query(&mut self.connection()).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub(crate) fn command(&self, command: &str) {
        let _: redis::Value = self.run_command(command);
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The same server again, on its port.
    pub(crate) fn start_again(&mut self) {
        assert!(self.run(), "the port was taken meanwhile");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command of words that have no spaces.
pub(crate) fn words(command: &str) -> Cmd {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        cmd.arg(word);
    });
    cmd
}
