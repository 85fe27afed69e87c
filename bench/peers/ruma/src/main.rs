//! ruma as a contender of `npm run bench:peers`: one JSON request a line on stdin, one JSON answer a line on stdout.
//! Only what lies between two readings of the clock counts; files are read and parsed before.

mod room;
mod samples;

use std::{
    collections::HashMap,
    error::Error,
    io::{BufRead, Write, stdin, stdout},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{room::Room, samples::Samples};

/// Servers in Rust bring an allocator of their own; this one makes resolution up to a fifth faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub type Failure = Box<dyn Error>;

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    About,
    Load { room: String, file: String },
    Resolve { room: String, runs: usize, ms: f64 },
    Answer { room: String },
    Drop { room: String },
    Samples { file: String },
    Sample { task: String, times: u32 },
    Ids,
}

#[derive(Default)]
struct Contender {
    rooms: HashMap<String, Room>,
    samples: Option<Samples>,
}

impl Contender {
    fn answer(&mut self, request: Request) -> Result<Value, Failure> {
        Ok(match request {
            Request::About => json!({ "about": about() }),
            Request::Load { room, file } => {
                let loaded = Room::load(&file)?;
                let events = loaded.len();
                self.rooms.insert(room, loaded);
                json!({ "events": events })
            }
            Request::Resolve { room, runs, ms } => self.room(&room)?.turn(runs, ms)?,
            Request::Answer { room } => json!({ "ids": self.room(&room)?.resolved_ids() }),
            Request::Drop { room } => {
                self.rooms.remove(&room);
                json!({})
            }
            Request::Samples { file } => {
                self.samples = Some(Samples::load(&file)?);
                json!({})
            }
            Request::Sample { task, times } => self.samples()?.run(&task, times)?,
            Request::Ids => json!({ "ids": self.samples()?.ids()? }),
        })
    }

    fn room(&mut self, name: &str) -> Result<&mut Room, Failure> {
        self.rooms
            .get_mut(name)
            .ok_or_else(|| format!("no room {name} is loaded").into())
    }

    fn samples(&self) -> Result<&Samples, Failure> {
        self.samples
            .as_ref()
            .ok_or_else(|| "no samples are loaded".into())
    }
}

/// What was measured, as the lock file has it.
fn about() -> String {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let head = format!("name = \"{name}\"\nversion = \"");
        let rest = lock.split(head.as_str()).nth(1).unwrap_or("?\"");
        format!("{name} {}", rest.split('"').next().unwrap_or("?"))
    };
    [
        "ruma-state-res",
        "ruma-signatures",
        "ruma-common",
        "ed25519-dalek",
    ]
    .map(version)
    .join(", ")
}

fn main() -> Result<(), Failure> {
    let mut contender = Contender::default();
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let answer = serde_json::from_str(&line?)
            .map_err(Failure::from)
            .and_then(|request| contender.answer(request))
            .unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
