//! The program itself, as an operator starts it: a process with its own environment.

use super::{ADMIN_KEY, Answer, call};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

/// A hub in a process of its own, with the real clock. Ends with the test, whatever becomes of it.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    client: reqwest::Client,
    log: Option<JoinHandle<String>>,
}

/// The program with these arguments and settings, and none of the tester's own.
fn command(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidup"));
    command.args(arguments).env_clear().envs(settings.iter().copied()).stdin(Stdio::null());
    command
}

impl Program {
    /// Runs a command to its end.
    pub(crate) fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        command(arguments, settings).output().expect("the program ran")
    }

    /// Tries to serve that database, which must fail: answers what it said.
    #[track_caller]
    pub(crate) fn refuses(database: &Path) -> String {
        let url = format!("sqlite:{}", database.display());
        let settings =
            [("PAIDUP_LISTEN", "127.0.0.1:0"), ("PAIDUP_DATABASE_URL", url.as_str()), ("PAIDUP_ADMIN_KEY", ADMIN_KEY)];
        let output = Program::run(&["serve"], &settings);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty(), "it must not say that it listens");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Serves that database on a free port.
    pub(crate) fn serve(database: &Path) -> Program {
        let url = format!("sqlite:{}", database.display());
        let settings = [
            ("PAIDUP_LISTEN", "127.0.0.1:0"),
            ("PAIDUP_DATABASE_URL", url.as_str()),
            ("PAIDUP_ADMIN_KEY", ADMIN_KEY),
            ("PAIDUP_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8"),
        ];
        let mut child = command(&["serve"], &settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("its log");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log);
            log
        });
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a line");
        let address = first.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        // The simulator's, because it does not rely on another test to have chosen a TLS library.
        let client = paidup_simulator::edge::client().expect("a client");
        match address {
            Some(address) => Program { child, address, client, log: Some(log) },
            None => panic!("it did not start: {first}{}", log.join().unwrap_or_default()),
        }
    }

    /// Runs a command that talks to this hub; answers its exit code and what it printed: the answer, or the complaint.
    pub(crate) fn command(&self, arguments: &[&str]) -> (i32, String) {
        let listen = self.address.to_string();
        let output = Program::run(arguments, &[("PAIDUP_LISTEN", listen.as_str()), ("PAIDUP_ADMIN_KEY", ADMIN_KEY)]);
        let code = output.status.code().expect("it ended by itself");
        let said = if code == 0 { output.stdout } else { output.stderr };
        (code, String::from_utf8(said).expect("text"))
    }

    /// One call with the admin key.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        call(&self.client, self.address, method, path, Some(ADMIN_KEY), bytes, &[]).await
    }

    /// Its process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Stops it as SIGTERM does; answers its log.
    pub(crate) fn stop(mut self) -> String {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        let log = self.log.take().map(|log| log.join().expect("its log")).unwrap_or_default();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains(ADMIN_KEY), "the admin key was logged");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
