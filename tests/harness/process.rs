//! The binary as an operator runs it: processes that are started, watched, told to stop, and killed.
//!
//! A process ends with its handle, also when a test panics. Its log goes to a file below `target/test-output`, named in
//! every failure. Needs the binary built by the same profile as the tests (`tests/run` does so).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The binary beside the test binary.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a path");
    let built = tests
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps")
        .join("viereck");
    assert!(
        built.is_file(),
        "{} is missing: cargo build --release first, as tests/run does",
        built.display()
    );
    built
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

/// Runs the binary to its end.
///
/// # Panics
/// When it does not start.
pub fn run(args: &[&str]) -> Output {
    Command::new(binary())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts the binary. `name` names its log; a second process of the same name appends to it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(name: &str, args: &[&str], environment: &[(&str, String)]) -> Self {
        Self::start_in(Path::new("."), name, args, environment)
    }

    /// The same, with a working directory.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_in(folder: &Path, name: &str, args: &[&str], environment: &[(&str, String)]) -> Self {
        let logs = binary()
            .parent()
            .and_then(Path::parent)
            .expect("target")
            .join("test-output");
        fs::create_dir_all(&logs).expect("a folder for logs");
        let log = logs.join(format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log).expect("a log");
        let child = Command::new(binary())
            .args(args)
            .current_dir(folder)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .expect("the binary starts");
        Self {
            child,
            name: name.to_owned(),
            log,
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: no farewell. Returns when it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it takes longer than `deadline`.
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal("-TERM");
        self.wait(deadline)
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(
            sent.expect("kill is there").success(),
            "{} is gone, see {}",
            self.name,
            self.log.display()
        );
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer than `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(
                begun.elapsed() < deadline,
                "{} does not end, see {}",
                self.name,
                self.log.display()
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// The name and the end of the log, for a failure.
    pub fn describe(&self) -> String {
        let log = self.log();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        format!(
            "{} ({}):\n{}",
            self.name,
            self.log.display(),
            tail.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // it may be gone already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
