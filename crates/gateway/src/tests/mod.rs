//! The gateway from outside: its HTTP interfaces over real connections, its adapters against scripted servers and
//! real folders, and the whole of it in one run.

mod asking;
mod configuration;
mod content;
mod directory;
mod hand_over;
mod http_adapter;
mod mailbox;
mod oauth;
mod pki;
mod profiles;
mod replies;
mod routes;
mod running;
mod sealing_anew;
mod status;
mod submissions;
mod tls;
mod webhooks;
