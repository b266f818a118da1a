//! The whole network in one process, with stand-ins for corners 1 and 4.

/// `viereck demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Send the applications, print the life of each, and end
    #[arg(long)]
    pub once: bool,
    /// One JSON document on stdout instead of the story
    #[arg(long)]
    pub json: bool,
    /// Use this RabbitMQ instead of the embedded link
    #[arg(long, value_name = "URL")]
    pub amqp: Option<String>,
}

/// Runs the demonstration.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let Args { once, json, amqp } = args;
    anyhow::bail!("not there yet (once: {once}, json: {json}, amqp: {})", amqp.is_some())
}
