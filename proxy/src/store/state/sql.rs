//! The statements, each in a few sizes, so that a database prepares each of them once.
//!
//! SQLite looks the name of each parameter up among all of a statement, which for hundreds of them takes longer than the
//! statement; so it gets parameters without names where there are many.

use std::sync::{Arc, LazyLock};

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::Owner;

/// A value and when it is forgotten; none: there is nothing under that key.
pub(super) type Found = Option<(Arc<[u8]>, i64)>;

/// The row of a scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ScopeRow {
    pub(super) id: i64,
    pub(super) generation: i64,
    /// Octets of all its keys and values.
    pub(super) octets: i64,
}

/// An entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) expires: i64,
}

/// A statement for 256, 16 or 1 item; more or fewer are several statements.
struct Sized {
    of: [(usize, Statement); 3],
}

/// A statement that has each of its parameters once, in their order: for SQLite without their numbers, for others with them.
struct Statement {
    plain: Arc<str>,
    numbered: Arc<str>,
}

impl Statement {
    fn new(numbered: String) -> Self {
        Self { plain: without_numbers(&numbered).into(), numbered: numbered.into() }
    }

    fn text(&self, connection: &AnyConnection) -> Arc<str> {
        Arc::clone(if is_sqlite(connection) { &self.plain } else { &self.numbered })
    }
}

fn is_sqlite(connection: &AnyConnection) -> bool {
    connection.backend_name() == "SQLite"
}

/// `?` for each `$1`, `$2`, ...
fn without_numbers(text: &str) -> String {
    let mut pieces = text.split('$');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + "?" + piece.trim_start_matches(|next: char| next.is_ascii_digit()))
}

impl Sized {
    /// `text` has `{}` where the items stand; `item` gives the item that is the n-th, counted from 0.
    fn new(text: &str, item: impl Fn(usize) -> String) -> Self {
        let of = |count| {
            let items: Vec<String> = (0..count).map(&item).collect();
            (count, Statement::new(text.replace("{}", &items.join(", "))))
        };
        Self { of: [of(256), of(16), of(1)] }
    }

    /// The items in pieces, each with its statement.
    fn pieces<'a, T>(&self, connection: &AnyConnection, mut items: &'a [T]) -> Vec<(Arc<str>, &'a [T])> {
        let mut pieces = Vec::new();
        for (count, statement) in &self.of {
            while items.len() >= *count {
                let (piece, rest) = items.split_at(*count);
                pieces.push((statement.text(connection), piece));
                items = rest;
            }
        }
        pieces
    }
}

static ENTRIES: LazyLock<Sized> = LazyLock::new(|| {
    Sized::new("SELECT key, value, expires FROM state_entry WHERE scope = $1 AND key IN ({})", |n| {
        format!("${}", n + 2)
    })
});

static PUT: LazyLock<Sized> = LazyLock::new(|| {
    Sized::new(
        "INSERT INTO state_entry (scope, key, value, expires) VALUES {} \
         ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
        |n| format!("(${}, ${}, ${}, ${})", 4 * n + 1, 4 * n + 2, 4 * n + 3, 4 * n + 4),
    )
});

static REMOVE: LazyLock<Sized> =
    LazyLock::new(|| Sized::new("DELETE FROM state_entry WHERE scope = $1 AND key IN ({})", |n| format!("${}", n + 2)));

/// The row of a scope, if there is one.
pub(super) async fn scope(connection: &mut AnyConnection, owner: &Owner) -> Result<Option<ScopeRow>, sqlx::Error> {
    let row = sqlx::query("SELECT id, generation, octets FROM state_scope WHERE filter = $1 AND owner = $2")
        .bind(&*owner.filter)
        .bind(&*owner.user)
        .fetch_optional(connection)
        .await?;
    row.map(|row| scope_row(&row)).transpose()
}

/// Locks a scope for writing until the end of the transaction, makes it if need be, and counts its generation up.
pub(super) async fn lock(connection: &mut AnyConnection, owner: &Owner) -> Result<ScopeRow, sqlx::Error> {
    const LOCK: &str = "UPDATE state_scope SET generation = generation + 1 WHERE filter = $1 AND owner = $2 \
         RETURNING id, generation, octets";
    let lock = sqlx::query(LOCK).bind(&*owner.filter).bind(&*owner.user);
    if let Some(row) = lock.fetch_optional(&mut *connection).await? {
        return scope_row(&row);
    }
    // Somebody else may just make it, too: then there is nothing to insert, and the lock waits for them.
    sqlx::query(
        "INSERT INTO state_scope (id, filter, owner, generation, octets) \
         SELECT COALESCE(MAX(id), 0) + 1, $1, $2, 0, 0 FROM state_scope WHERE 1 = 1 ON CONFLICT (filter, owner) DO NOTHING",
    )
    .bind(&*owner.filter)
    .bind(&*owner.user)
    .execute(&mut *connection)
    .await?;
    let lock = sqlx::query(LOCK).bind(&*owner.filter).bind(&*owner.user);
    scope_row(&lock.fetch_one(connection).await?)
}

fn scope_row(row: &sqlx::any::AnyRow) -> Result<ScopeRow, sqlx::Error> {
    Ok(ScopeRow { id: row.try_get(0)?, generation: row.try_get(1)?, octets: row.try_get(2)? })
}

/// Notes how many octets a scope has.
pub(super) async fn resize(connection: &mut AnyConnection, scope: i64, octets: i64) -> Result<(), sqlx::Error> {
    let resize = sqlx::query("UPDATE state_scope SET octets = $1 WHERE id = $2").bind(octets).bind(scope);
    resize.execute(connection).await.map(drop)
}

/// Octets of all scopes of a filter.
pub(super) async fn octets_of(connection: &mut AnyConnection, filter: &str) -> Result<i64, sqlx::Error> {
    let sum = "SELECT CAST(COALESCE(SUM(octets), 0) AS BIGINT) FROM state_scope WHERE filter = $1";
    sqlx::query(sum).bind(filter).fetch_one(connection).await?.try_get(0)
}

/// The entries under these keys that there are, in any order.
pub(super) async fn entries(
    connection: &mut AnyConnection,
    scope: i64,
    keys: &[&[u8]],
) -> Result<Vec<Entry>, sqlx::Error> {
    let mut found = Vec::new();
    for (text, keys) in ENTRIES.pieces(connection, keys) {
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(scope);
        for key in keys {
            query = query.bind(key.to_vec());
        }
        for row in query.fetch_all(&mut *connection).await? {
            found.push(Entry { key: row.try_get(0)?, value: row.try_get(1)?, expires: row.try_get(2)? });
        }
    }
    Ok(found)
}

/// Puts entries in place of those that are there; no key twice.
pub(super) async fn put(connection: &mut AnyConnection, scope: i64, entries: &[Entry]) -> Result<(), sqlx::Error> {
    for (text, entries) in PUT.pieces(connection, entries) {
        let mut query = sqlx::query(AssertSqlSafe(text));
        for Entry { key, value, expires } in entries {
            query = query.bind(scope).bind(key.clone()).bind(value.clone()).bind(*expires);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes entries.
pub(super) async fn remove(connection: &mut AnyConnection, scope: i64, keys: &[&[u8]]) -> Result<(), sqlx::Error> {
    for (text, keys) in REMOVE.pieces(connection, keys) {
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(scope);
        for key in keys {
            query = query.bind(key.to_vec());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// The owners of some entries that are over.
pub(super) async fn overdue(connection: &mut AnyConnection, now: i64) -> Result<Vec<(Owner, Vec<u8>)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT filter, owner, key FROM state_entry JOIN state_scope ON state_scope.id = state_entry.scope \
         WHERE expires <= $1 AND expires < 9223372036854775807 ORDER BY expires LIMIT 1000",
    )
    .bind(now)
    .fetch_all(connection)
    .await?;
    let owner = |row: sqlx::any::AnyRow| {
        let owner = Owner { filter: row.try_get(0)?, user: row.try_get(1)? };
        Ok((owner, row.try_get(2)?))
    };
    rows.into_iter().map(owner).collect()
}

/// How often has been written to a scope.
pub(super) async fn generation(connection: &mut AnyConnection, scope: i64) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query("SELECT generation FROM state_scope WHERE id = $1").bind(scope).fetch_optional(connection);
    row.await?.map(|row| row.try_get(0)).transpose()
}

/// What is a counter: a key of eight octets, a value of eight that does not expire.
const COUNTER: &str = "length(key) = 8 AND length(value) = 8 AND expires = 9223372036854775807";

/// The counters of a scope whose keys begin with an octet from `first` to below `end` (none: to the last one), as one text of hexadecimal
/// digits: 16 of each key, 16 of each value. Row by row they would take ten times as long.
pub(super) async fn counters(
    connection: &mut AnyConnection,
    scope: i64,
    first: u8,
    end: Option<u8>,
) -> Result<String, sqlx::Error> {
    // Both have both functions, under different names.
    let (join, hex) = match is_sqlite(connection) {
        true => ("group_concat", ["hex(key)", "hex(value)"]),
        false => ("string_agg", ["encode(key, 'hex')", "encode(value, 'hex')"]),
    };
    let text = format!(
        "SELECT COALESCE({join}({} || {}, ''), '') FROM state_entry \
         WHERE scope = $1 AND key >= $2 AND key < $3 AND {COUNTER}",
        hex[0], hex[1]
    );
    // Behind every key of eight octets.
    let end = end.map_or(vec![u8::MAX; 9], |end| vec![end]);
    let query = sqlx::query(AssertSqlSafe(text)).bind(scope).bind(vec![first]).bind(end);
    query.fetch_one(connection).await?.try_get(0)
}

/// What is no counter: key, value and when it is forgotten.
pub(super) async fn others(connection: &mut AnyConnection, scope: i64) -> Result<Vec<sqlx::any::AnyRow>, sqlx::Error> {
    let text = format!("SELECT key, value, expires FROM state_entry WHERE scope = $1 AND NOT ({COUNTER})");
    sqlx::query(AssertSqlSafe(text)).bind(scope).fetch_all(connection).await
}

/// The parameters of so many rows, for a statement that writes all of them: each statement costs a way to the database.
pub(super) fn rows(connection: &AnyConnection, rows: usize, columns: usize) -> String {
    let plain = is_sqlite(connection);
    let parameter = |number| if plain { "?".to_owned() } else { format!("${number}") };
    let row = |row: usize| {
        let columns: Vec<_> = (1..=columns).map(|column| parameter(row * columns + column)).collect();
        format!("({})", columns.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_its_parameters_in_their_order() {
        for sized in [&ENTRIES, &PUT, &REMOVE] {
            for (count, Statement { plain, numbered }) in &sized.of {
                let numbers = numbered.split('$').skip(1);
                let number = |piece: &str| piece.split(|next: char| !next.is_ascii_digit()).next().unwrap().to_owned();
                let numbers: Vec<String> = numbers.map(number).collect();
                let expected: Vec<String> = (1..=numbers.len()).map(|number| number.to_string()).collect();
                assert_eq!(numbers, expected, "{count}");
                assert_eq!(plain.matches('?').count(), numbers.len());
                assert!(!plain.contains('$') && !numbered.contains('?'));
            }
        }
        assert_eq!(without_numbers("a = $1 AND b IN ($2, $31) c"), "a = ? AND b IN (?, ?) c");
    }
}
