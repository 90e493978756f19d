//! The history. Nothing is ever removed from it.

use certferry_core::event::Event;
use certferry_core::port::HistoryFilter;
use certferry_core::{CertificateName, ListenerName, LoadBalancerName, Outcome};
use sqlx::{FromRow, SqliteConnection};

use super::Sqlite;
use super::columns::{instant, micros, optional, word};
use super::failure::Failure;

/// [`Outcome::Waiting`] is for the progress line and is not kept.
pub(super) async fn append(store: &Sqlite, event: &Event) -> Result<(), Failure> {
    let writing = store.writing()?;
    if event.outcome == Outcome::Waiting {
        return Ok(());
    }
    insert(&mut *writing.pool.acquire().await?, event).await
}

/// As a part of something bigger.
pub(super) async fn insert(connection: &mut SqliteConnection, event: &Event) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO history (at, action, certificate, load_balancer, listener, object, outcome, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(micros(event.at))
    .bind(&event.action)
    .bind(event.certificate.as_ref().map(CertificateName::as_str))
    .bind(event.load_balancer.as_ref().map(LoadBalancerName::as_str))
    .bind(event.listener.as_ref().map(ListenerName::as_str))
    .bind(&event.object)
    .bind(event.outcome.as_str())
    .bind(&event.detail)
    .execute(connection)
    .await?;
    Ok(())
}

/// By the order in which they were appended, which a clock that is set back does not change.
pub(super) async fn read(store: &Sqlite, filter: &HistoryFilter) -> Result<Vec<Event>, Failure> {
    let limit = filter.limit.unwrap_or(USUAL_LIMIT);
    let rows: Vec<EventRow> = match &filter.certificate {
        Some(certificate) => {
            sqlx::query_as(
                "SELECT at, action, certificate, load_balancer, listener, object, outcome, detail FROM history
                 WHERE certificate = $1 ORDER BY id DESC LIMIT $2",
            )
            .bind(certificate.as_str())
            .bind(limit)
            .fetch_all(&store.readers)
            .await?
        }
        None => {
            sqlx::query_as(
                "SELECT at, action, certificate, load_balancer, listener, object, outcome, detail FROM history
                 ORDER BY id DESC LIMIT $1",
            )
            .bind(limit)
            .fetch_all(&store.readers)
            .await?
        }
    };
    rows.into_iter().map(Event::try_from).collect()
}

#[derive(FromRow)]
struct EventRow {
    at: i64,
    action: String,
    certificate: Option<String>,
    load_balancer: Option<String>,
    listener: Option<String>,
    object: Option<String>,
    outcome: String,
    detail: String,
}

impl TryFrom<EventRow> for Event {
    type Error = Failure;

    fn try_from(row: EventRow) -> Result<Self, Failure> {
        Ok(Self {
            at: instant("history.at", row.at)?,
            action: row.action,
            certificate: optional("history.certificate", row.certificate.as_deref())?,
            load_balancer: optional("history.load_balancer", row.load_balancer.as_deref())?,
            listener: optional("history.listener", row.listener.as_deref())?,
            object: row.object,
            outcome: word("history.outcome", &row.outcome, Outcome::from_word)?,
            detail: row.detail,
        })
    }
}

const USUAL_LIMIT: u32 = 200;
