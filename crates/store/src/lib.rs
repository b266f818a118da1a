//! One SQLite file with one writer thread and grouped commits.
