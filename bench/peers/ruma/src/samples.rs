//! Single events: parsing, canonical JSON, ids, signatures.

use std::{
    fs::File,
    hint::black_box,
    io::{BufRead, BufReader},
    time::Instant,
};

use ruma_common::{
    RoomVersionId, SigningKeyAlgorithm,
    canonical_json::CanonicalJsonObject,
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
};
use ruma_signatures::{
    PublicKeyMap, Verified, reference_hash, to_canonical_json_string_for_signing,
    verify_canonical_json_bytes, verify_event,
};
use ruma_state_res::check_pdu_format;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;

#[derive(Deserialize)]
struct Head {
    room_version: RoomVersionId,
    server: String,
    key_id: String,
    public_key: String,
    /// Of how many events the signatures are checked.
    signed: usize,
}

struct Signed {
    message: String,
    signature: Vec<u8>,
}

pub struct Samples {
    rules: RoomVersionRules,
    texts: Vec<String>,
    events: Vec<CanonicalJsonObject>,
    keys: PublicKeyMap,
    public_key: Vec<u8>,
    signed: Vec<Signed>,
}

impl Samples {
    pub fn load(file: &str) -> Result<Self, Failure> {
        let mut lines = BufReader::new(File::open(file)?).lines();
        let head: Head = serde_json::from_str(&lines.next().ok_or("the file is empty")??)?;
        let rules = head
            .room_version
            .rules()
            .ok_or("the room version is not known")?;
        let texts = lines.collect::<Result<Vec<_>, _>>()?;
        let events = texts
            .iter()
            .map(|text| serde_json::from_str(text))
            .collect::<Result<Vec<CanonicalJsonObject>, _>>()?;
        let public_key: Base64<Standard> = Base64::parse(&head.public_key)?;
        let signed = events[..head.signed]
            .iter()
            .map(|event| {
                let redacted =
                    ruma_common::canonical_json::redact(event.clone(), &rules.redaction, None)?;
                let text = serde_json::to_value(event)?;
                let signature = text["signatures"][&head.server][&head.key_id]
                    .as_str()
                    .ok_or("no signature")?;
                let signature: Base64<Standard> = Base64::parse(signature)?;
                let message = to_canonical_json_string_for_signing(&redacted)?;
                Ok(Signed {
                    message,
                    signature: signature.into_inner(),
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(Self {
            rules,
            texts,
            events,
            public_key: public_key.as_bytes().to_owned(),
            keys: [(head.server, [(head.key_id, public_key)].into())].into(),
            signed,
        })
    }

    pub fn ids(&self) -> Result<Vec<String>, Failure> {
        self.events
            .iter()
            .map(|event| Ok(format!("${}", reference_hash(event, &self.rules)?)))
            .collect()
    }

    /// Times a task over all samples, so many times over.
    pub fn run(&self, task: &str, times: u32) -> Result<Value, Failure> {
        let events = &self.events[..];
        let signed = self.signed.len();
        match task {
            "parse" => timed(&self.texts, times, |text| {
                Ok(serde_json::from_str::<CanonicalJsonObject>(text)?)
            }),
            "pdu" => timed(&self.texts, times, |text| {
                let event: CanonicalJsonObject = serde_json::from_str(text)?;
                check_pdu_format(&event, &self.rules.event_format)?;
                Ok((reference_hash(&event, &self.rules)?, event))
            }),
            "canonical" => timed(events, times, |event| Ok(serde_json::to_string(event)?)),
            "id" => timed(events, times, |event| {
                Ok(reference_hash(event, &self.rules)?)
            }),
            "id from text" => timed(&self.texts, times, |text| {
                let event: CanonicalJsonObject = serde_json::from_str(text)?;
                Ok(reference_hash(&event, &self.rules)?)
            }),
            "verify" => timed(&events[..signed], times, |event| {
                match verify_event(&self.keys, event, &self.rules)? {
                    Verified::All => Ok(()),
                    Verified::Signatures => Err("the content hash does not match".into()),
                }
            }),
            "Ed25519" => timed(&self.signed, times, |Signed { message, signature }| {
                let algorithm = SigningKeyAlgorithm::Ed25519;
                Ok(verify_canonical_json_bytes(
                    &algorithm,
                    &self.public_key,
                    signature,
                    message.as_bytes(),
                )?)
            }),
            _ => Err(format!("{task} is no task").into()),
        }
    }
}

fn timed<T, R>(
    items: &[T],
    times: u32,
    run: impl Fn(&T) -> Result<R, Failure>,
) -> Result<Value, Failure> {
    let started = Instant::now();
    for _ in 0..times {
        for item in items {
            black_box(run(black_box(item))?);
        }
    }
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    Ok(json!({ "ms": milliseconds / f64::from(times) / items.len() as f64 }))
}
