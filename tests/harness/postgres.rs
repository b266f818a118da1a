//! The PostgreSQL of the tests: the fault suite's, started once for all of them.
//!
//! One server for whoever needs just a database; whoever kills a server starts one of its own.

use tokio::sync::OnceCell;
pub use viereck::drill::nodes::postgres::Server;
use viereck_store::PostgresUrl;

/// A new database on the server that all tests of this binary share.
///
/// # Panics
/// When PostgreSQL is not installed or does not start.
pub async fn database(name: &str) -> PostgresUrl {
    PostgresUrl::parse(&url(name).await).expect("an URL of ours")
}

/// The same as text, with its password.
///
/// # Panics
/// As [`database`].
pub async fn url(name: &str) -> String {
    shared().await.url(name).await.expect("a database")
}

/// The one server that all tests of this binary share. It must not be stopped, killed or frozen.
///
/// # Panics
/// When PostgreSQL is not installed or does not start.
pub async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(async || own().await).await
}

/// A server of the caller's own, to break.
///
/// # Panics
/// When PostgreSQL is not installed or does not start.
pub async fn own() -> Server {
    Server::start()
        .await
        .expect("PostgreSQL: tests/run --only prepare installs it")
}
