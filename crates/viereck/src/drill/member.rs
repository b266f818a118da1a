//! One process of the network: started, looked after, struck, and started again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::nodes::NodeError;
use super::nodes::clock::Clock;
use super::nodes::injection::{Injected, Injection};
use super::nodes::process::{Process, Program};
use super::nodes::proxy::{Proxy, Weather};
use super::plan::Role;
use crate::failure::{Exit, Failure};

/// How long a process may take until it answers, and to end when it is told to.
const READY: Duration = Duration::from_secs(60);
/// How long a command of an operator may take.
const ASKED: Duration = Duration::from_secs(120);
/// How often it is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(50);
/// How long a process that ended by itself stays down; a service manager waits too.
const REST: Duration = Duration::from_secs(1);

/// What a process is in the network.
pub(super) struct Seat {
    /// What it plays.
    pub(super) roles: Vec<Role>,
    /// Which of the processes that share its journal it is, from 0.
    pub(super) instance: usize,
    /// The journals it writes.
    pub(super) journals: Vec<PathBuf>,
    /// Where it answers over HTTP.
    pub(super) listens: Vec<SocketAddr>,
    /// Its lines to RabbitMQ, one for each node.
    pub(super) lines: Vec<Proxy>,
}

/// A process and how it is started.
pub(super) struct Member {
    /// What it is in the network.
    pub(super) seat: Seat,
    program: Program,
    state: Mutex<State>,
    restarts: AtomicUsize,
}

/// Whether it runs, and under which clock.
#[derive(Default)]
struct State {
    process: Option<Process>,
    clock: Option<Clock>,
}

impl Member {
    /// A process that is started by `program`, later.
    pub(super) fn new(program: Program, seat: Seat) -> Self {
        Self {
            seat,
            program,
            state: Mutex::default(),
            restarts: AtomicUsize::new(0),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.program.name
    }

    /// How often it ended by itself and was started again.
    pub(super) fn restarts(&self) -> usize {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Starts it. Whether it is ready is for [`Member::ready`].
    pub(super) async fn start(&self) -> Result<(), NodeError> {
        self.start_in(&mut *self.state.lock().await)
    }

    fn start_in(&self, state: &mut State) -> Result<(), NodeError> {
        let mut program = self.program.clone();
        if let Some(clock) = &state.clock {
            program.environment.extend(clock.environment());
        }
        state.process = Some(Process::start(&program)?);
        Ok(())
    }

    /// Waits until it answers that it is ready, as far as it can be asked.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        for address in &self.seat.listens {
            let url = format!("http://{address}/healthz/ready");
            while !reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                if begun.elapsed() > READY {
                    let sentence = format!(
                        "{} is not ready after {} s; its log is {}.",
                        self.name(),
                        READY.as_secs(),
                        self.program.log.display()
                    );
                    return Err(Failure::new(Exit::Unexpected, "process-not-ready", sentence));
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Starts it again if it ended by itself.
    pub(super) async fn look_after(&self) {
        let mut state = self.state.lock().await;
        let ended = match &mut state.process {
            Some(process) => matches!(process.status(), Ok(Some(_))),
            None => false,
        };
        if ended {
            self.restarts.fetch_add(1, Ordering::Relaxed);
            sleep(REST).await;
            if let Err(error) = self.start_in(&mut state) {
                tracing::error!(process = self.name(), %error, "cannot be started again");
            }
        }
    }

    /// SIGKILL; it stays down until it is started.
    pub(super) async fn kill(&self) -> Result<(), NodeError> {
        match self.state.lock().await.process.take() {
            Some(mut process) => process.kill().await.map(drop),
            None => Ok(()),
        }
    }

    /// SIGSTOP.
    pub(super) async fn freeze(&self) -> Result<(), NodeError> {
        match &mut self.state.lock().await.process {
            Some(process) => process.freeze(),
            None => Ok(()),
        }
    }

    /// SIGCONT.
    pub(super) async fn thaw(&self) -> Result<(), NodeError> {
        match &mut self.state.lock().await.process {
            Some(process) => process.thaw(),
            None => Ok(()),
        }
    }

    /// SIGHUP.
    pub(super) async fn hang_up(&self) -> Result<(), NodeError> {
        match &mut self.state.lock().await.process {
            Some(process) => process.hang_up(),
            None => Ok(()),
        }
    }

    /// Stops it in order and starts it again, under a clock of its own if one is given.
    pub(super) async fn restart(&self, clock: Option<Clock>) -> Result<(), Failure> {
        {
            let mut state = self.state.lock().await;
            if let Some(mut process) = state.process.take() {
                process.terminate(READY).await?;
            }
            state.clock = clock;
            self.start_in(&mut state)?;
        }
        self.ready().await
    }

    /// Makes its clock wrong by this much.
    pub(super) async fn shift_clock(&self, offset: SignedDuration) -> Result<(), NodeError> {
        match &self.state.lock().await.clock {
            Some(clock) => clock.set(offset),
            None => Ok(()),
        }
    }

    /// The disk under each of its journals fails from now on.
    pub(super) async fn inject(&self, injection: Injection) -> Result<Vec<Injected>, NodeError> {
        let mut injected = vec![];
        if let Some(process) = &self.state.lock().await.process {
            // one process can be attached to once: the first journal stands for all
            for journal in self.seat.journals.iter().take(1) {
                injected.push(process.inject(injection, journal).await?);
            }
        }
        Ok(injected)
    }

    /// Changes the weather on all its lines.
    pub(super) fn weather(&self, weather: Weather) {
        for line in &self.seat.lines {
            line.set(weather);
        }
    }

    /// What the program answers to `arguments` under its configuration, as an operator asks it; its process goes on.
    pub(super) async fn ask(&self, arguments: &[&str]) -> Result<Output, NodeError> {
        let what = || format!("viereck {} for {}", arguments.join(" "), self.name());
        let [_role, configuration @ ..] = &*self.program.arguments else {
            return Err(NodeError::NotRunning(self.name().to_owned()));
        };
        let asked = Command::new(&self.program.binary)
            .args(arguments)
            .args(configuration)
            .current_dir(&self.program.folder)
            .kill_on_drop(true)
            .output();
        match timeout(ASKED, asked).await {
            Ok(answer) => answer.map_err(NodeError::system(what())),
            Err(_) => Err(NodeError::Late {
                what: what(),
                deadline: ASKED,
                said: String::new(),
            }),
        }
    }

    /// Ends it for good, in order if that is possible.
    pub(super) async fn stop(&self) {
        if let Some(mut process) = self.state.lock().await.process.take() {
            // whatever does not end now ends with its handle
            let _late = process.terminate(READY).await;
        }
    }
}
