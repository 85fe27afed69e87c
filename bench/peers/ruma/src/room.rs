//! State resolution, and what a caller of it has to bring along.

use std::{
    cell::Cell,
    collections::HashMap,
    fs::File,
    hint::black_box,
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use ruma_common::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId,
    RoomVersionId, UserId,
    room_version_rules::{RoomVersionRules, StateResolutionV2Rules},
};
use ruma_events::{StateEventType, TimelineEventType};
use ruma_state_res::{Event, StateMap, resolve, utils::event_id_set::EventIdSet};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::Failure;

type Id = OwnedEventId;

#[derive(Deserialize)]
struct Head {
    room_version: RoomVersionId,
    state_sets: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct Line {
    event_id: String,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    prev_events: Vec<String>,
    auth_events: Vec<String>,
}

struct Pdu {
    id: Id,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    kind: TimelineEventType,
    state_kind: StateEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    prev_events: Vec<Id>,
    auth_events: Vec<Id>,
    /// The places of `auth_events` in the room's list.
    parents: Vec<usize>,
}

impl Event for Pdu {
    type Id = Id;

    fn event_id(&self) -> &Id {
        &self.id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Id> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Id> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&Id> {
        None
    }

    fn rejected(&self) -> bool {
        false
    }
}

/// Milliseconds of one run, by part.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    states: f64,
    walk: f64,
    fast_walk: f64,
    resolve: f64,
}

impl Times {
    fn taken(&self) -> f64 {
        self.resolve + self.walk
    }
}

pub struct Room {
    rules: RoomVersionRules,
    resolution: StateResolutionV2Rules,
    pdus: Vec<Pdu>,
    places: HashMap<Id, usize>,
    state_sets: Vec<Vec<Id>>,
    resolved: Option<StateMap<Id>>,
}

impl Room {
    pub fn load(file: &str) -> Result<Self, Failure> {
        Self::read(BufReader::new(File::open(file)?).lines())
    }

    /// Reads a head line and then the events, each after all that it cites.
    pub fn read(mut lines: impl Iterator<Item = std::io::Result<String>>) -> Result<Self, Failure> {
        let head: Head = serde_json::from_str(&lines.next().ok_or("the file is empty")??)?;
        let rules = head
            .room_version
            .rules()
            .ok_or("the room version is not known")?;
        let resolution = *rules
            .state_res
            .v2_rules()
            .ok_or("the room version resolves otherwise")?;
        let mut room = Self {
            rules,
            resolution,
            pdus: Vec::new(),
            places: HashMap::new(),
            state_sets: Vec::new(),
            resolved: None,
        };
        for line in lines {
            room.add(serde_json::from_str(&line?)?)?;
        }
        for ids in head.state_sets {
            room.state_sets.push(
                ids.iter()
                    .map(|id| room.known(id))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(room)
    }

    fn add(&mut self, line: Line) -> Result<(), Failure> {
        let id: Id = parse(&line.event_id)?;
        let auth_events: Vec<Id> = line
            .auth_events
            .iter()
            .map(|id| self.known(id))
            .collect::<Result<_, _>>()?;
        let parents = auth_events.iter().map(|id| self.places[id]).collect();
        let prev_events = line
            .prev_events
            .iter()
            .map(|id| self.known(id).or_else(|_| parse(id)))
            .collect::<Result<_, _>>()?;
        self.places.insert(id.clone(), self.pdus.len());
        self.pdus.push(Pdu {
            id,
            room_id: line.room_id,
            sender: line.sender,
            origin_server_ts: line.origin_server_ts,
            state_kind: line.kind.to_string().into(),
            kind: line.kind,
            state_key: line.state_key,
            content: line.content,
            prev_events,
            auth_events,
            parents,
        });
        Ok(())
    }

    /// The one copy of an id.
    fn known(&self, id: &str) -> Result<Id, Failure> {
        let parsed: Id = parse(id)?;
        let (known, _) = self
            .places
            .get_key_value(&parsed)
            .ok_or_else(|| format!("{id} was not there before"))?;
        Ok(known.clone())
    }

    pub fn len(&self) -> usize {
        self.pdus.len()
    }

    fn get(&self, id: &EventId) -> Option<&Pdu> {
        self.places.get(id).map(|&place| &self.pdus[place])
    }

    /// One run, and others while there are fewer than `most` and they have taken less than `ms`.
    pub fn turn(&mut self, most: usize, ms: f64) -> Result<Value, Failure> {
        let mut runs = vec![self.resolve()?];
        let mut taken = runs[0].taken();
        while runs.len() < most && taken < ms {
            let run = self.resolve()?;
            taken += run.taken();
            runs.push(run);
        }
        Ok(json!({ "runs": runs }))
    }

    /// One run. The work of the caller is timed apart from that of the crate.
    fn resolve(&mut self) -> Result<Times, Failure> {
        self.resolved = None;
        let started = Instant::now();
        let states = self.states()?;
        let states_time = started.elapsed();

        let started = Instant::now();
        let chains = black_box(self.chains_by_ids(&states));
        let walk_time = started.elapsed();
        drop(chains);

        let started = Instant::now();
        let chains = self.chains_by_places(&states);
        let fast_walk_time = started.elapsed();

        let subgraph_time = Cell::new(Duration::ZERO);
        let started = Instant::now();
        let resolved = resolve(
            &self.rules.authorization,
            &self.resolution,
            &states,
            chains,
            |id| self.get(id),
            |conflicted| {
                let started = Instant::now();
                let subgraph = self.conflicted_subgraph(conflicted);
                subgraph_time.set(subgraph_time.get() + started.elapsed());
                Some(subgraph)
            },
        )?;
        let whole = started.elapsed();
        self.resolved = Some(resolved);
        Ok(Times {
            states: milliseconds(states_time),
            walk: milliseconds(walk_time + subgraph_time.get()),
            fast_walk: milliseconds(fast_walk_time + subgraph_time.get()),
            resolve: milliseconds(whole - subgraph_time.get()),
        })
    }

    fn states(&self) -> Result<Vec<StateMap<Id>>, Failure> {
        self.state_sets
            .iter()
            .map(|ids| {
                let mut state = StateMap::with_capacity(ids.len());
                for id in ids {
                    let pdu = self.get(id).ok_or("an event is missing")?;
                    let key = pdu
                        .state_key
                        .as_deref()
                        .ok_or("a message event is in a state")?;
                    state.insert((pdu.state_kind.clone(), key.to_owned()), id.clone());
                }
                Ok(state)
            })
            .collect()
    }

    /// For each state what its events cite, and what that cites, over and over: by ids, as a server does whose events
    /// lie in a map.
    fn chains_by_ids(&self, states: &[StateMap<Id>]) -> Vec<EventIdSet<Id>> {
        let chain = |state: &StateMap<Id>| {
            let mut chain = EventIdSet::new();
            let mut waiting: Vec<&Pdu> = state.values().filter_map(|id| self.get(id)).collect();
            while let Some(pdu) = waiting.pop() {
                for id in &pdu.auth_events {
                    if !chain.contains(id) {
                        chain.insert(id.clone());
                        waiting.extend(self.get(id));
                    }
                }
            }
            chain
        };
        states.iter().map(chain).collect()
    }

    /// The same by places in a list, as a server does that has numbered its events: the least that a caller can do.
    fn chains_by_places(&self, states: &[StateMap<Id>]) -> Vec<EventIdSet<Id>> {
        let chain = |state: &StateMap<Id>| {
            let mut seen = vec![false; self.pdus.len()];
            let mut chain = EventIdSet::new();
            let mut waiting: Vec<usize> = state.values().map(|id| self.places[id]).collect();
            while let Some(place) = waiting.pop() {
                for &parent in &self.pdus[place].parents {
                    if !seen[parent] {
                        seen[parent] = true;
                        chain.insert(self.pdus[parent].id.clone());
                        waiting.push(parent);
                    }
                }
            }
            chain
        };
        states.iter().map(chain).collect()
    }

    /// Everything on a path of citations from one conflicted event to another (room version 12).
    fn conflicted_subgraph(&self, conflicted: &StateMap<Vec<Id>>) -> EventIdSet<Id> {
        let mut is_conflicted = vec![false; self.pdus.len()];
        let mut seen = vec![false; self.pdus.len()];
        let mut below: Vec<usize> = Vec::new();
        for id in conflicted.values().flatten() {
            let place = self.places[id];
            is_conflicted[place] = true;
            if !seen[place] {
                seen[place] = true;
                below.push(place);
            }
        }
        let mut next = 0;
        while next < below.len() {
            for &parent in &self.pdus[below[next]].parents {
                if !seen[parent] {
                    seen[parent] = true;
                    below.push(parent);
                }
            }
            next += 1;
        }
        // What an event cites lies before it in the list.
        below.sort_unstable();
        let mut leads_there = is_conflicted;
        let mut subgraph = EventIdSet::new();
        for place in below {
            let pdu = &self.pdus[place];
            if leads_there[place] || pdu.parents.iter().any(|&parent| leads_there[parent]) {
                leads_there[place] = true;
                subgraph.insert(pdu.id.clone());
            }
        }
        subgraph
    }

    /// What the last run came to.
    pub fn resolved_ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self
            .resolved
            .iter()
            .flatten()
            .map(|(_, id)| id.as_str())
            .collect();
        ids.sort_unstable();
        ids
    }
}

fn parse(id: &str) -> Result<Id, Failure> {
    Ok(EventId::parse(id)?)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
