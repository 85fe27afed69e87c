//! Answers the questions of fixtures/vectors/v1 with ruma: says who it is, then one answer a line, as
//! test/interop/synapse/vectors_peer.py does with Synapse. `{"unasked": true}` is for what is no question to ruma.

#[path = "../room.rs"]
#[allow(dead_code)]
mod room;

use std::{
    collections::{BTreeMap, HashSet},
    error::Error,
    io::{BufRead, Write, stdin, stdout},
};

use ruma_common::{
    CanonicalJsonObject, RoomVersionId,
    canonical_json::redact,
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
};
use ruma_signatures::{
    Ed25519KeyPair, PublicKeyMap, Verified, content_hash, hash_and_sign_event, reference_hash,
    verify_event,
};
use serde_json::{Value, json};

use crate::room::Room;

pub type Failure = Box<dyn Error>;

/// `None` where ruma is not the one to ask.
type Answer = Result<Option<Value>, Failure>;

/// ruma hashes and signs where canonical JSON is enforced, which is from version 6 on.
fn is_strict(version: &RoomVersionId) -> bool {
    !matches!(version.as_str(), "1" | "2" | "3" | "4" | "5")
}

fn answer(request: &Value) -> Answer {
    let op = request["op"].as_str().ok_or("no op")?;
    let version = match request["room_version"].as_str() {
        Some(name) => Some(RoomVersionId::try_from(name)?),
        None => None,
    };
    if op == "canonical" {
        if version.is_some_and(|version| !is_strict(&version) || version.rules().is_none()) {
            return Ok(None);
        }
        let raw = request["raw"].as_str().ok_or("no text")?;
        let value: CanonicalJsonObject = serde_json::from_str(raw)?;
        return Ok(Some(json!(serde_json::to_string(&value)?)));
    }
    let version = version.ok_or("no room version")?;
    let Some(rules) = version.rules() else {
        return Ok(None);
    };
    match op {
        "redact" => Ok(Some(serde_json::to_value(redact(
            event(request)?,
            &rules.redaction,
            None,
        )?)?)),
        "resolve" => resolve(request, &version),
        "content_hash" | "event_id" | "sign" | "verify" if !is_strict(&version) => Ok(None),
        "content_hash" => Ok(Some(json!(content_hash(&event(request)?)?.encode()))),
        "event_id" => {
            let hash = reference_hash(&event(request)?, &rules)?;
            Ok(Some(json!(format!("${hash}"))))
        }
        "sign" => sign(request, &rules),
        "verify" => verify(request, &rules),
        _ => Ok(None),
    }
}

fn event(request: &Value) -> Result<CanonicalJsonObject, Failure> {
    Ok(serde_json::from_value(request["event"].clone())?)
}

fn text<'a>(request: &'a Value, key: &str) -> Result<&'a str, Failure> {
    Ok(request[key].as_str().ok_or_else(|| format!("no {key}"))?)
}

fn sign(request: &Value, rules: &RoomVersionRules) -> Answer {
    let mut event = event(request)?;
    let seed: Base64<Standard> = Base64::parse(text(request, "seed")?)?;
    // PKCS #8 of an Ed25519 key is this and the seed (RFC 8410).
    let mut document = vec![48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    document.extend_from_slice(seed.as_bytes());
    let (_, key_version) = text(request, "key_id")?
        .split_once(':')
        .ok_or("a key id has a colon")?;
    let pair = Ed25519KeyPair::from_der(&document, key_version.to_owned())?;
    hash_and_sign_event(
        text(request, "server")?,
        &pair,
        &mut event,
        &rules.redaction,
    )?;
    Ok(Some(serde_json::to_value(event)?))
}

/// How long a key is valid is not asked of ruma: its caller chooses keys.
fn verify(request: &Value, rules: &RoomVersionRules) -> Answer {
    let mut keys = PublicKeyMap::new();
    for (server, own) in request["keys"].as_object().ok_or("no keys")? {
        let mut set = BTreeMap::new();
        for (id, key) in own.as_object().ok_or("no keys of a server")? {
            let Some(key) = key.as_str() else {
                return Ok(None);
            };
            set.insert(id.clone(), Base64::parse(key)?);
        }
        keys.insert(server.clone(), set);
    }
    let event = event(request)?;
    let hash = content_hash(&event)?.encode();
    let signatures = matches!(
        verify_event(&keys, &event, rules),
        Ok(Verified::All | Verified::Signatures)
    );
    let matching = request["event"]["hashes"]["sha256"] == hash.as_str();
    Ok(Some(
        json!({ "signatures": signatures, "content_hash": matching }),
    ))
}

/// Version 1 resolves otherwise than ruma does.
fn resolve(request: &Value, version: &RoomVersionId) -> Answer {
    if version.as_str() == "1" || request.get("rejected").is_some() {
        return Ok(None);
    }
    let mut lines = vec![
        json!({ "room_version": request["room_version"], "state_sets": request["state_sets"] })
            .to_string(),
    ];
    let mut waiting: Vec<&Value> = request["events"]
        .as_array()
        .ok_or("no events")?
        .iter()
        .collect();
    let mut known: HashSet<&str> = HashSet::new();
    // Each after those that it cites.
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for event in waiting {
            let cited = ids(&event["auth_events"]);
            if !cited.iter().all(|id| known.contains(id)) {
                later.push(event);
                continue;
            }
            known.insert(text(event, "event_id")?);
            let mut line = event.clone();
            line["auth_events"] = json!(cited);
            line["prev_events"] = json!(ids(&event["prev_events"]));
            lines.push(line.to_string());
        }
        if later.len() == before {
            return Err("auth events are absent".into());
        }
        waiting = later;
    }
    let mut room = Room::read(lines.into_iter().map(Ok))?;
    room.resolve()?;
    Ok(Some(json!(room.resolved_ids())))
}

/// Versions 1 and 2 have pairs of an id and hashes.
fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str().or_else(|| entry[0].as_str()))
        .collect()
}

/// The versions that answered, as the lock file has them.
fn name() -> String {
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let head = format!("name = \"{name}\"\nversion = \"");
        let rest = lock.split(head.as_str()).nth(1).unwrap_or("?\"");
        rest.split('"').next().unwrap_or("?").to_owned()
    };
    format!(
        "ruma (state-res {}, signatures {})",
        version("ruma-state-res"),
        version("ruma-signatures")
    )
}

fn main() -> Result<(), Failure> {
    let mut out = stdout().lock();
    writeln!(out, "{}", json!({ "name": name() }))?;
    for line in stdin().lock().lines() {
        let line = line?;
        let answered = serde_json::from_str(&line)
            .map_err(Failure::from)
            .and_then(|request| answer(&request));
        let told = match answered {
            Ok(Some(value)) => json!({ "ok": value }),
            Ok(None) => json!({ "unasked": true }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{told}")?;
    }
    Ok(())
}
