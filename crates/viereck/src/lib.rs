//! RUN it: command line, configuration, telemetry, `run`, `demo`.
