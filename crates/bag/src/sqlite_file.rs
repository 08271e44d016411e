//! One `.db3` file of rosbag2's SQLite storage.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use crate::storage::{FileTopic, Part, Place};
use crate::{BagError, BagMessage, qos};

/// Name and type of the topic with an id.
type TopicsById = HashMap<i64, (Arc<str>, Arc<str>)>;

/// Index of one file: the rows with their times; the data stays in the file.
#[derive(Debug)]
pub(crate) struct SqliteFile {
    path: PathBuf,
    topics: Vec<FileTopic>,
    by_id: Arc<TopicsById>,
    parts: Vec<Part>,
    damage: Option<String>,
}

impl SqliteFile {
    pub(crate) fn open(path: &Path) -> Result<Self, BagError> {
        let connection = connect(path)?;
        let mut damage = None;
        let mut topics = read_topics(&connection, &mut damage)
            .map_err(|e| BagError::not_a_bag(path, format!("its table of topics cannot be read ({e})")))?;
        let (rows, cut) = read_rows(&connection);
        if let Some(reason) = cut {
            let what = format!("the file was cut off or is damaged ({reason}); the {} messages before that were read", rows.len());
            damage = Some(what);
        }
        for row in &rows {
            if let Some((_, topic)) = topics.iter_mut().find(|(id, _)| *id == row.topic) {
                topic.messages += 1;
            }
        }
        let by_id = topics.iter().map(|(id, t)| (*id, (Arc::clone(&t.name), Arc::clone(&t.type_name)))).collect();
        let part = |r: &Row| Part { start_ns: r.time_ns, end_ns: r.time_ns, place: Place::Row(r.id) };
        Ok(Self {
            path: path.to_path_buf(),
            parts: rows.iter().map(part).collect(),
            topics: topics.into_iter().map(|(_, t)| t).collect(),
            by_id: Arc::new(by_id),
            damage,
        })
    }

    pub(crate) fn topics(&self) -> &[FileTopic] {
        &self.topics
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    pub(crate) fn reader(&self) -> Result<SqliteReader, BagError> {
        Ok(SqliteReader { path: self.path.clone(), connection: connect(&self.path)?, by_id: Arc::clone(&self.by_id) })
    }
}

/// Loads rows of one file.
pub(crate) struct SqliteReader {
    path: PathBuf,
    connection: Connection,
    by_id: Arc<TopicsById>,
}

impl SqliteReader {
    pub(crate) fn load(&mut self, id: i64, out: &mut Vec<BagMessage>) -> Result<(), BagError> {
        let damaged = |e: rusqlite::Error| BagError::incomplete(&self.path, format!("message {id} is damaged and was left out ({e})"));
        let mut query = self.connection.prepare_cached("SELECT topic_id, timestamp, data FROM messages WHERE id = ?1").map_err(damaged)?;
        let read = |row: &rusqlite::Row<'_>| {
            let data = row.get_ref(2)?.as_blob().map(<[u8]>::to_vec).map_err(rusqlite::Error::from)?;
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, data))
        };
        let (topic, time_ns, data) = query.query_row([id], read).map_err(damaged)?;
        if let Some((topic, type_name)) = self.by_id.get(&topic) {
            out.push(BagMessage {
                topic: Arc::clone(topic),
                type_name: Arc::clone(type_name),
                log_time_ns: time_ns,
                publish_time_ns: time_ns,
                data,
            });
        }
        Ok(())
    }
}

struct Row {
    id: i64,
    topic: i64,
    time_ns: i64,
}

fn connect(path: &Path) -> Result<Connection, BagError> {
    let fail = |e: rusqlite::Error| BagError::not_a_bag(path, format!("SQLite cannot open it ({e})"));
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(fail)?;
    // Lets SQLite read what is there of a file that is shorter than its header says.
    connection.pragma_update(None, "writable_schema", "ON").map_err(fail)?;
    Ok(connection)
}

fn read_topics(connection: &Connection, damage: &mut Option<String>) -> rusqlite::Result<Vec<(i64, FileTopic)>> {
    let columns = column_names(connection, "topics")?;
    let optional = |name: &str| if columns.iter().any(|c| c == name) { name.to_string() } else { "''".to_string() };
    let sql = format!(
        "SELECT id, name, type, serialization_format, {}, {} FROM topics ORDER BY id",
        optional("offered_qos_profiles"),
        optional("type_description_hash")
    );
    let definitions = read_definitions(connection).unwrap_or_default();
    let mut query = connection.prepare(&sql)?;
    let mut rows = query.query([])?;
    let mut topics = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, type_name, format): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        if format != "cdr" {
            damage.get_or_insert(format!("topic {name} is encoded as `{format}`, not `cdr`, and was left out"));
            continue;
        }
        let definition = definitions.get(&type_name).cloned().unwrap_or_default();
        let topic = FileTopic {
            name: name.into(),
            type_name: type_name.into(),
            messages: 0,
            offered_qos: qos::from_channel_text(&row.get::<_, String>(4)?),
            type_hash: row.get(5)?,
            definition,
        };
        topics.push((row.get(0)?, topic));
    }
    Ok(topics)
}

fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare(&format!("PRAGMA table_info({table})"))?;
    query.query_map([], |row| row.get(1))?.collect()
}

/// `ros2msg` texts by type; older files have no such table.
fn read_definitions(connection: &Connection) -> rusqlite::Result<HashMap<String, String>> {
    let mut query =
        connection.prepare("SELECT topic_type, encoded_message_definition FROM message_definitions WHERE encoding = 'ros2msg'")?;
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Rows in the order they were written, up to the first that cannot be read, and why it cannot.
fn read_rows(connection: &Connection) -> (Vec<Row>, Option<String>) {
    let mut out = Vec::new();
    let mut read = || -> rusqlite::Result<()> {
        // Not by the index over time: in a file that was cut off it may be gone.
        let mut query = connection.prepare("SELECT id, topic_id, timestamp FROM messages NOT INDEXED ORDER BY id")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            out.push(Row { id: row.get(0)?, topic: row.get(1)?, time_ns: row.get(2)? });
        }
        Ok(())
    };
    let cut = read().err().map(|e| e.to_string());
    (out, cut)
}
