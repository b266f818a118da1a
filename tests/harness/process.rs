//! The binary as an operator runs it: processes that are started, watched, told to stop, and killed.
//!
//! A process ends with its handle, also when a test panics. Its log goes to a file below `target/test-output`, named in
//! every failure. Needs the binary built by the same profile as the tests (`tests/run` does so).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use viereck::drill::nodes::process;

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

/// The file with the log of the process `name`.
pub fn log_of(name: &str) -> PathBuf {
    let target = binary().parent().and_then(Path::parent).expect("target").to_owned();
    target.join("test-output").join(format!("{name}.log"))
}

/// A running process: the fault suite's, with the binary and the log of a test.
#[derive(Debug)]
pub struct Process {
    process: process::Process,
    name: String,
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
        Self::start_through(&binary(), folder, name, args, environment)
    }

    /// The same through a script that becomes the binary.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_through(
        script: &Path,
        folder: &Path,
        name: &str,
        args: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let log = log_of(name);
        fs::create_dir_all(log.parent().expect("a folder of ours")).expect("a folder for logs");
        let program = process::Program {
            name: name.to_owned(),
            binary: script.to_owned(),
            arguments: args.iter().map(|arg| (*arg).to_owned()).collect(),
            environment: environment
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
            folder: folder.to_owned(),
            log,
        };
        Self {
            process: process::Process::start(&program).expect("the binary starts"),
            name: name.to_owned(),
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.process.log()).unwrap_or_default()
    }

    /// SIGKILL: no farewell. Returns when it is gone.
    pub fn kill(mut self) {
        assert!(self.process.status().expect("it is ours").is_none(), "it was running");
    }

    /// Sends SIGHUP.
    ///
    /// # Panics
    /// When it is gone.
    pub fn hang_up(&mut self) {
        self.process.hang_up().expect("it was running");
    }

    /// Freezes it (SIGSTOP).
    ///
    /// # Panics
    /// When it is gone.
    pub fn freeze(&mut self) {
        self.process.freeze().expect("it was running");
    }

    /// Ends [`Process::freeze`].
    ///
    /// # Panics
    /// When it is gone.
    pub fn thaw(&mut self) {
        self.process.thaw().expect("it was running");
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it takes longer than `deadline`.
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.process.ask_to_stop().expect("it was running");
        self.wait(deadline)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes longer than `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.status().expect("it is ours") {
                return status;
            }
            assert!(
                begun.elapsed() < deadline,
                "does not end within {} s: {}",
                deadline.as_secs(),
                self.describe()
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// The name and the end of the log, for a failure.
    pub fn describe(&self) -> String {
        format!(
            "{} ({}):\n{}",
            self.name,
            self.process.log().display(),
            self.process.said(15)
        )
    }
}
