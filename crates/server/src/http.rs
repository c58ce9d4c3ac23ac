//! The admin listener: health, metrics, log level, flush.
//!
//! | request | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 while clients are served, else 503 |
//! | `GET /metrics` | OpenMetrics text, which Prometheus reads |
//! | `GET /loglevel`, `PUT /loglevel` with the level as body | the level |
//! | `POST /flush` | 200 when every log is in its segment files |
//!
//! **Not here:** who may call it. It listens on the loopback unless told otherwise.

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chronik_broker::Node;
use prometheus_client::encoding::text;
use tokio::net::TcpListener;
use tokio::sync::RwLock;

use crate::logging::LogLevel;

/// A log level is shorter than this.
const BODY_BYTES_MAX: usize = 4096;

/// What the handlers see. The node is there from its start to its stop.
#[derive(Clone)]
pub(crate) struct Admin {
    pub node: Arc<RwLock<Option<Node>>>,
    pub level: LogLevel,
}

/// The admin listener cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "admin.listener {host}:{port}: {error}; set admin.listener to a free port of this machine, or \
     to nothing to do without"
)]
pub struct AdminBindError {
    host: String,
    port: u16,
    error: io::Error,
}

/// Binds the admin listener.
pub(crate) async fn bind(host: &str, port: u16) -> Result<TcpListener, AdminBindError> {
    let address = if host.is_empty() { "0.0.0.0" } else { host };
    let bound = TcpListener::bind((address, port)).await;
    bound.map_err(|error| AdminBindError { host: host.to_owned(), port, error })
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, admin: Admin) {
    if let Err(error) = axum::serve(listener, router(admin)).await {
        tracing::error!(%error, "the admin listener ended");
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/loglevel", get(log_level).put(set_log_level))
        .route("/flush", post(flush))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> Response {
    match &*admin.node.read().await {
        Some(node) if node.is_ready() => "ok\n".into_response(),
        _ => not_now(),
    }
}

fn not_now() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the node is starting or stopping\n").into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let registry = match &*admin.node.read().await {
        Some(node) => node.registry(),
        None => return not_now(),
    };
    let mut body = String::new();
    let encoded = text::encode(&mut body, &registry.lock());
    match encoded {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn log_level(State(admin): State<Admin>) -> String {
    format!("{}\n", admin.level.get())
}

async fn set_log_level(State(admin): State<Admin>, level: String) -> Response {
    match admin.level.set(&level) {
        Ok(()) => {
            tracing::info!(level = admin.level.get(), "log level changed");
            log_level(State(admin)).await.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn flush(State(admin): State<Admin>) -> Response {
    match &*admin.node.read().await {
        Some(node) => match node.flush_all().await {
            Ok(()) => "flushed\n".into_response(),
            Err(error) => failed(&error),
        },
        None => not_now(),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}
