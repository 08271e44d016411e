//! The connection to a server. It lives on a thread of its own: the driver runs a small executor that must not be started
//! from within another one, and a server that hangs must not hang the cell.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::Duration;

use ::postgres::fallible_iterator::FallibleIterator;
use ::postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use ::postgres::{Client, Config, NoTls};
use bytes::BytesMut;

use super::{error, said};
use crate::StoreError;
use crate::tables::{Row, Value};

/// How long connecting may take, unless the URL says so.
const CONNECTING: Duration = Duration::from_secs(3);
/// How long the server may be silent while it owes an answer.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a writer waits for another one, milliseconds.
const PATIENCE_MS: u32 = 5000;
/// Rows on their way from the server; pictures are large.
const ROWS: usize = 8;

/// One thing to do.
struct Task {
    statement: String,
    params: Vec<Value>,
    answers: SyncSender<Answer>,
}

enum Answer {
    Row(Vec<Value>),
    Done(u64),
    Failed(StoreError),
}

/// The other end of the thread.
#[derive(Debug)]
pub(super) struct Link {
    tasks: std::sync::mpsc::Sender<Task>,
    place: String,
}

impl Link {
    /// Connects, prepares what the driver must do by itself, and waits for work.
    pub fn connect(
        address: &str,
        place: String,
        prepare: impl FnOnce(&mut Client) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let mut config: Config = address.parse().map_err(|e| StoreError::Address(said(&e)))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECTING);
        }
        config.tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
        if config.get_application_name().is_none() {
            config.application_name("intact");
        }
        let patience = SILENCE + *config.get_connect_timeout().unwrap_or(&CONNECTING);
        let (tasks, work) = channel::<Task>();
        let (ready, is_ready) = sync_channel(1);
        let named = place.clone();
        let started = std::thread::Builder::new().name("gallery_server".into()).spawn(move || {
            let opened = config.connect(NoTls).map_err(|e| error(&named, &e)).and_then(|mut client| {
                let settings = format!("SET lock_timeout = {PATIENCE_MS}; SET client_min_messages = warning; SET synchronous_commit = on");
                client.batch_execute(&settings).map_err(|e| error(&named, &e))?;
                prepare(&mut client).map(|()| client)
            });
            match opened {
                Ok(client) => {
                    drop(ready.send(Ok(())));
                    serve(client, &work, &named);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
        started.map_err(|e| StoreError::Server { place: place.clone(), detail: format!("no thread for the connection: {e}") })?;
        is_ready.recv_timeout(patience).map_err(|_| silent(&place))??;
        Ok(Self { tasks, place })
    }

    /// Runs one statement; `row` is called for each row of its answer. Returns how many rows it changed.
    pub fn run(&self, statement: &str, params: &[Value], row: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<u64, StoreError> {
        let (answers, reading) = sync_channel(ROWS);
        // Parameters are `?1` in the store's words.
        let task = Task { statement: statement.replace('?', "$"), params: params.to_vec(), answers };
        self.tasks.send(task).map_err(|_| gone(&self.place))?;
        self.answer(&reading, row)
    }

    fn answer(&self, reading: &Receiver<Answer>, row: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<u64, StoreError> {
        loop {
            match reading.recv_timeout(SILENCE) {
                Ok(Answer::Row(values)) => row(Row { values, place: self.place.clone() })?,
                Ok(Answer::Done(changed)) => return Ok(changed),
                Ok(Answer::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => return Err(silent(&self.place)),
                Err(RecvTimeoutError::Disconnected) => return Err(gone(&self.place)),
            }
        }
    }
}

fn silent(place: &str) -> StoreError {
    StoreError::Unreachable { place: place.to_owned(), detail: format!("no answer for {} s", SILENCE.as_secs()) }
}

fn gone(place: &str) -> StoreError {
    StoreError::Unreachable { place: place.to_owned(), detail: "the connection is closed".into() }
}

/// Until nobody asks any more, or the server is gone.
fn serve(mut client: Client, work: &Receiver<Task>, place: &str) {
    while let Ok(task) = work.recv() {
        let done = one(&mut client, &task).map_err(|e| error(place, &e));
        // Who asked may have stopped listening; the next one asks anew.
        let _ = task.answers.send(done.map_or_else(Answer::Failed, Answer::Done));
        if client.is_closed() {
            return;
        }
    }
}

fn one(client: &mut Client, task: &Task) -> Result<u64, ::postgres::Error> {
    let mut rows = client.query_raw(task.statement.as_str(), &task.params)?;
    let mut heard = true;
    while let Some(row) = rows.next()? {
        // An answer that nobody reads is read to its end: the connection stays in order.
        if heard {
            let values = (0..row.len()).map(|n| row.try_get::<_, Value>(n)).collect::<Result<_, _>>()?;
            heard = task.answers.send(Answer::Row(values)).is_ok();
        }
    }
    Ok(rows.rows_affected().unwrap_or(0))
}

type Wrong = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Blob(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT4, Type::INT8, Type::TEXT, Type::VARCHAR, Type::NAME, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        Ok(match *ty {
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::BYTEA => Self::Blob(Vec::from_sql(ty, raw)?),
            _ => Self::Text(String::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Wrong> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT4, Type::INT8, Type::TEXT, Type::VARCHAR, Type::NAME, Type::BYTEA].contains(ty)
    }
}
