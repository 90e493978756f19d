//! Reading versions without touching their chains and keys.

use certferry_core::desired::{KeyHolder, VersionSpec};
use certferry_core::recorded::{Version, VersionId};
use certferry_core::{LeafFacts, Serial};
use sqlx::{FromRow, SqliteConnection};

use super::super::columns::{damaged, instant, key_family, optional_instant, parsed, parsed_list, sha256, texts, word};
use super::super::failure::Failure;

macro_rules! select_versions {
    ($tail:literal) => {
        concat!(
            "SELECT id, certificate, names, key_type, key_holder, issuer, directory, profile, replaces, order_url, created_at, issued_at, revoked_at,
                 leaf_serial, leaf_not_before, leaf_not_after, leaf_sha256, leaf_names, leaf_common_name,
                 leaf_extended_key_usages, leaf_key_family, leaf_issuer
             FROM versions ",
            $tail
        )
    };
}

pub(in super::super) async fn one(connection: &mut SqliteConnection, id: VersionId) -> Result<Version, Failure> {
    let row: VersionRow = sqlx::query_as(select_versions!("WHERE id = $1")).bind(id.0).fetch_one(connection).await?;
    row.try_into()
}

/// The newest issued version of every certificate that has one.
pub(in super::super) async fn all_current(connection: &mut SqliteConnection) -> Result<Vec<Version>, Failure> {
    let rows: Vec<VersionRow> = sqlx::query_as(CURRENT).fetch_all(connection).await?;
    rows.into_iter().map(Version::try_from).collect()
}

/// At most one for each certificate.
pub(in super::super) async fn all_pending(connection: &mut SqliteConnection) -> Result<Vec<Version>, Failure> {
    let rows: Vec<VersionRow> = sqlx::query_as(PENDING).fetch_all(connection).await?;
    rows.into_iter().map(Version::try_from).collect()
}

#[derive(FromRow)]
struct VersionRow {
    id: i64,
    certificate: String,
    names: String,
    key_type: String,
    key_holder: Option<String>,
    issuer: String,
    directory: String,
    profile: Option<String>,
    replaces: Option<i64>,
    order_url: Option<String>,
    created_at: i64,
    issued_at: Option<i64>,
    revoked_at: Option<i64>,
    #[sqlx(flatten)]
    leaf: LeafColumns,
}

impl TryFrom<VersionRow> for Version {
    type Error = Failure;

    fn try_from(row: VersionRow) -> Result<Self, Failure> {
        Ok(Self {
            id: VersionId(row.id),
            certificate: parsed("versions.certificate", &row.certificate)?,
            spec: VersionSpec {
                names: parsed_list("versions.names", &row.names)?,
                key: parsed("versions.key_type", &row.key_type)?,
                key_holder: match row.key_holder {
                    Some(holder) => KeyHolder::LoadBalancer(parsed("versions.key_holder", &holder)?),
                    None => KeyHolder::Store,
                },
                issuer: parsed("versions.issuer", &row.issuer)?,
                directory: row.directory,
                profile: row.profile,
            },
            order_url: row.order_url,
            replaces: row.replaces.map(VersionId),
            leaf: row.leaf.into_facts()?,
            created_at: instant("versions.created_at", row.created_at)?,
            issued_at: optional_instant("versions.issued_at", row.issued_at)?,
            revoked_at: optional_instant("versions.revoked_at", row.revoked_at)?,
        })
    }
}

#[derive(FromRow)]
struct LeafColumns {
    leaf_serial: Option<String>,
    leaf_not_before: Option<i64>,
    leaf_not_after: Option<i64>,
    leaf_sha256: Option<String>,
    leaf_names: Option<String>,
    leaf_common_name: Option<String>,
    leaf_extended_key_usages: Option<String>,
    leaf_key_family: Option<String>,
    leaf_issuer: Option<String>,
}

impl LeafColumns {
    /// `None` before the version is issued, when all of them are empty.
    fn into_facts(self) -> Result<Option<LeafFacts>, Failure> {
        let Some(serial) = self.leaf_serial else { return Ok(None) };
        let usages = needed("versions.leaf_extended_key_usages", self.leaf_extended_key_usages)?;
        let family = self.leaf_key_family.map(|text| word("versions.leaf_key_family", &text, key_family));
        Ok(Some(LeafFacts {
            serial: Serial::from_hex(serial),
            not_before: instant("versions.leaf_not_before", needed("versions.leaf_not_before", self.leaf_not_before)?)?,
            not_after: instant("versions.leaf_not_after", needed("versions.leaf_not_after", self.leaf_not_after)?)?,
            sha256: sha256("versions.leaf_sha256", &needed("versions.leaf_sha256", self.leaf_sha256)?)?,
            names: texts("versions.leaf_names", &needed("versions.leaf_names", self.leaf_names)?)?,
            common_name: self.leaf_common_name,
            extended_key_usages: texts("versions.leaf_extended_key_usages", &usages)?,
            key_family: family.transpose()?,
            issuer: needed("versions.leaf_issuer", self.leaf_issuer)?,
        }))
    }
}

fn needed<T>(column: &'static str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| damaged(column, "empty in an issued version"))
}

/// The numbers come out of the index on issued versions alone.
const CURRENT: &str =
    select_versions!("WHERE id IN (SELECT max(id) FROM versions WHERE state = 'issued' GROUP BY certificate)");
const PENDING: &str = select_versions!("WHERE state = 'pending'");

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row, SqliteConnection};

    use super::super::super::schema;
    use super::*;

    #[tokio::test]
    async fn no_read_of_versions_walks_the_whole_table() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        schema::bring_up_to_date(&mut connection).await.unwrap();
        for (sql, index) in
            [(concat_explain(CURRENT), "versions_issued"), (concat_explain(PENDING), "versions_one_pending")]
        {
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(plan.iter().any(|line| line.contains(index)), "{plan:?}");
            let walks = plan.iter().any(|line| line.starts_with("SCAN versions") && !line.contains("INDEX"));
            assert!(!walks, "{plan:?}");
        }
    }

    fn concat_explain(sql: &str) -> String {
        format!("EXPLAIN QUERY PLAN {sql}")
    }
}
