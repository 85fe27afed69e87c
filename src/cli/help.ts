/** What `roomdag --help` prints. */
export const help = `roomdag: what a Matrix room is, checked

  roomdag check FILE…            check what you have of a room (- is standard input)
  roomdag audit FILE…            where resolution took state back, rolled back or reset, and what else is wrong
  roomdag replay FILE… --as VERSION
                                 what another room version would have made of the room
  roomdag draw FILE… -o OUT      draw the room as a page to look at; --svg, --dot, --mermaid, --png for a picture
  roomdag demo                   five servers share a room, part, meet again and agree, told step by step
  roomdag serve --name NAME --data DIR
                                 a server that shares rooms with others over HTTPS (roomdag serve --help)
  roomdag client --data DIR      what its users do, line by line or as one command (roomdag client help)
  roomdag check --store DIR      judge anew all that a server has stored
  roomdag audit --store DIR      the same of a server's rooms as of files; replay and draw take it too
  roomdag oracle                 answer requests, one JSON object a line, from standard input
  roomdag bench resolve FILE     time the resolution that FILE asks for
  roomdag --help, --version

check reads arrays and lines of federation PDUs, bodies of federation answers (send_join, state, backfill,
get_missing_events, transactions), rows of Synapse's event_json, recordings of these, tardis' scenarios and scenario
texts. A directory stands for its .json, .json5, .ndjson and .jsonl files and for those of its .txt files that are
scenarios, and gets one line a file. Events whose ancestors are absent are undecided, unless they came as part of a
state; those are judged by their auth events. Signatures by unknown keys are left unchecked and counted; an event is
undecided for want of a key only where a rule asks for a signature (restricted joins).

From Synapse's database: psql -At -c "SELECT row_to_json(e) FROM event_json e WHERE room_id = '!…'" > room.ndjson

  --room-version VERSION   the room version, where the file does not tell it
  --room ID                the room, where the file holds several
  --keys FILE              server keys besides those in the file: {server: {key id: base64}}, or what a key server
                           answered
  --explain EVENT          all that decided about one event, by its id (in quotes: shells read the $)
  --trace                  every step of every state resolution
  --json                   one JSON object a file
  --summary                one line a file
  --no-color               no colours; NO_COLOR in the environment does the same

audit and replay read the same files, and take --room-version, --room, --keys, --json and --no-color; audit also takes
--notes, to tell of changes that overwrote each other. audit ends with 0 if there is nothing above a note, 1 with
warnings, 3 with errors (a reset is one) and 2 if files are of no use; replay with 0 if nothing differs and 1 if
something does.

--store takes the place of files: it reads the rooms of a server, all or --room ID, and --database URL says the
database as serve was told. The server must not be running. check --store looks whether what is stored is sound, and
\`client check\` says the same of a server that runs; audit --store tells what happened in the rooms. check --store also
takes --json, and ends with 1 if something is not as it should be.

demo runs in memory and prints the same every time. It takes --version VERSION (of the room; default 11), --json
(only the figures at its end) and --no-color.

bench resolve takes --iters N (default 20) and prints one JSON line with median_ms, min_ms and max_ms.

Exit status: 0 if all that could be checked agrees; 1 if not, that is, if an event is refused that the file does not
record as rejected, or an id, hash, signature, verdict or state is not what the file says, or if the servers of the demo
differ; 2 if a file or the command
line cannot be used.
`;
