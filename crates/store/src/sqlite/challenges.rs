//! Challenges that are presented.

use certferry_core::port::{DnsPlace, OpenChallenge};
use certferry_core::recorded::VersionId;
use sqlx::FromRow;

use super::Sqlite;
use super::columns::{list, parsed, parsed_list};
use super::failure::Failure;

pub(super) async fn open(store: &Sqlite, challenge: &OpenChallenge) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO challenges (token, version, name, key_authorization, load_balancers, dns_provider, dns_record)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (token) DO UPDATE SET version = excluded.version, name = excluded.name,
             key_authorization = excluded.key_authorization, load_balancers = excluded.load_balancers,
             dns_provider = excluded.dns_provider, dns_record = excluded.dns_record",
    )
    .bind(&challenge.token)
    .bind(challenge.version.0)
    .bind(challenge.name.to_string())
    .bind(&challenge.key_authorization)
    .bind(list(challenge.load_balancers.iter().map(|name| name.as_str())))
    .bind(challenge.dns.as_ref().map(|place| place.provider.as_str()))
    .bind(challenge.dns.as_ref().map(|place| place.record.as_str()))
    .execute(&store.writing()?.pool)
    .await?;
    Ok(())
}

pub(super) async fn close(store: &Sqlite, token: &str) -> Result<(), Failure> {
    sqlx::query("DELETE FROM challenges WHERE token = $1").bind(token).execute(&store.writing()?.pool).await?;
    Ok(())
}

/// In the order in which their orders were begun.
pub(super) async fn all(store: &Sqlite) -> Result<Vec<OpenChallenge>, Failure> {
    let rows: Vec<ChallengeRow> = sqlx::query_as(
        "SELECT token, version, name, key_authorization, load_balancers, dns_provider, dns_record FROM challenges
         ORDER BY version, name, token",
    )
    .fetch_all(&store.readers)
    .await?;
    rows.into_iter().map(OpenChallenge::try_from).collect()
}

#[derive(FromRow)]
struct ChallengeRow {
    token: String,
    version: i64,
    name: String,
    key_authorization: String,
    load_balancers: String,
    dns_provider: Option<String>,
    dns_record: Option<String>,
}

impl TryFrom<ChallengeRow> for OpenChallenge {
    type Error = Failure;

    fn try_from(row: ChallengeRow) -> Result<Self, Failure> {
        let dns = match row.dns_provider.as_deref().zip(row.dns_record.as_deref()) {
            Some((provider, record)) => Some(DnsPlace {
                provider: parsed("challenges.dns_provider", provider)?,
                record: parsed("challenges.dns_record", record)?,
            }),
            None => None,
        };
        Ok(Self {
            dns,
            version: VersionId(row.version),
            name: parsed("challenges.name", &row.name)?,
            token: row.token,
            key_authorization: row.key_authorization,
            load_balancers: parsed_list("challenges.load_balancers", &row.load_balancers)?,
        })
    }
}
