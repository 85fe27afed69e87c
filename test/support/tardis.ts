/** A scenario of the form of tardis' own. */
export const tardis: string = `
// A quick start.
{
  tardis_version: 1,
  room_id: '!quickstart:tardis',
  room_version: "10",
  calculate_event_ids: true,
  on_load_at_start: true, /* ignored */
  events: [
    { event_id: "$CREATE", type: "m.room.create", state_key: "", sender: "@creator:tardis",
      auth_events: [], prev_events: [], content: { creator: "@creator:tardis" } },
    { event_id: "$JOIN", type: "m.room.member", state_key: "@creator:tardis", sender: "@creator:tardis",
      auth_events: ["$CREATE"], prev_events: ["$CREATE"], content: { membership: "join" } },
    { event_id: "$FORK1", type: "m.room.name", state_key: "", sender: "@creator:tardis",
      origin_server_ts: 1704067281337,
      auth_events: ["$CREATE", "$JOIN"], prev_events: ["$JOIN"], content: { name: "one" } },
    { event_id: "$FORK2", type: "m.room.name", state_key: "", sender: "@creator:tardis",
      auth_events: ["$CREATE", "$JOIN"], prev_events: ["$JOIN"], content: { name: "two" } },
    { event_id: "$MERGE", type: "m.room.message", sender: "@creator:tardis",
      auth_events: ["$CREATE", "$JOIN"], prev_events: ["$FORK1", "$FORK2"], content: { body: "Merged!" } },
    { event_id: "$AFTER", type: "m.room.message", sender: "@creator:tardis",
      auth_events: ["$CREATE", "$JOIN"], prev_events: ["$MERGE"], content: { body: "Precalculated" } },
  ],
  precalculated_state_after: { $MERGE: ["$CREATE", "$JOIN", "$FORK2"] },
  annotations: { title: "Merges\\
and more", titles: {} },
}`;
