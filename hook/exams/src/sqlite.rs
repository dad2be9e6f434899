//! rusqlite: a database in a file, that one connection at a time may write. The others sleep and try again.

use crate::programs::Folder;
use crate::{MANY, many};
use rusqlite::{Connection, TransactionBehavior};
use std::time::{Duration, Instant};

/// So long one waits for its turn to write.
const PATIENCE: Duration = Duration::from_secs(600);
const ROWS: i64 = 5;

pub(crate) fn exam() -> String {
    let folder = Folder::new("sqlite");
    let path = folder.path().join("database");
    let open = move || {
        let connection = Connection::open(&path).expect("a database");
        connection.busy_timeout(PATIENCE).expect("a timeout");
        connection
    };
    let connection = open();
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).expect("a mode");
    assert_eq!(mode, "wal");
    connection.execute("CREATE TABLE counted (nth INTEGER, n INTEGER)", []).expect("a table");
    let began = Instant::now();
    many(MANY, move |nth| {
        let nth = nth as i64;
        let mut connection = open();
        connection.execute_batch("PRAGMA synchronous = OFF").expect("it is set");
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).expect("it begins");
        for n in 0..ROWS {
            transaction.execute("INSERT INTO counted VALUES (?1, ?2)", (nth, n)).expect("a row");
            // Others find it locked meanwhile.
            std::thread::sleep(Duration::from_micros(100));
        }
        transaction.commit().expect("it ends");
        let sum: i64 =
            connection.query_row("SELECT sum(n) FROM counted WHERE nth = ?1", [nth], |row| row.get(0)).expect("rows");
        assert_eq!(sum, ROWS * (ROWS - 1) / 2);
    });
    let took = began.elapsed();
    let rows: i64 = connection.query_row("SELECT count(*) FROM counted", [], |row| row.get(0)).expect("rows");
    assert_eq!(rows, MANY as i64 * ROWS);
    format!("{MANY} writers at once in {took:.1?}")
}
