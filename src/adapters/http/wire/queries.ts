/** What servers tell of what is theirs: aliases, profiles, lists of rooms, spaces, tokens, software. */
import { get, isObject } from "../../../json/value.js";
import type { OperationAnswer, OperationRequest } from "../../../ports/operations.js";
import { booleanOf, fieldsOf, numberOf, optional, readFields, unlooked, writeFields } from "./fields.js";
import type { Names } from "./fields.js";
import type { WireForm, WireForms } from "./model.js";

type Listing = OperationRequest<"public_rooms">;

const alias: Names<OperationAnswer<"query_directory">> = { roomId: "room_id", servers: "servers" };
const filter: Names<NonNullable<Listing["filter"]>> = {
  genericSearchTerm: "generic_search_term",
  roomTypes: "room_types",
};
const listing: Names<Listing> = {
  limit: "limit",
  since: "since",
  filter: "filter",
  includeAllNetworks: "include_all_networks",
  thirdPartyInstanceId: "third_party_instance_id",
};
const listed: Names<OperationAnswer<"public_rooms">> = {
  chunk: "chunk",
  nextBatch: "next_batch",
  prevBatch: "prev_batch",
  totalRoomCountEstimate: "total_room_count_estimate",
};
const space: Names<OperationAnswer<"hierarchy">> = {
  room: "room",
  children: "children",
  inaccessibleChildren: "inaccessible_children",
};
const software: Names<OperationAnswer<"version">> = { name: "name", version: "version" };

const lists: Pick<WireForm<"public_rooms">, "writeAnswer" | "readAnswer"> = {
  writeAnswer: (answer) => writeFields(answer, listed),
  readAnswer: (content) => readFields(content, listed),
};

const listByPost: WireForm<"public_rooms"> = {
  write: (request) => {
    const content = writeFields(request, listing);
    return {
      path: {},
      content: request.filter === undefined ? content : { ...content, filter: writeFields(request.filter, filter) },
    };
  },
  read: ({ content }) => {
    const request = fieldsOf(content, listing);
    const wanted = fieldsOf(request && get(request, "filter"), filter);
    return request && unlooked(wanted === undefined ? request : { ...request, filter: wanted });
  },
  ...lists,
};

/** Has no place for a filter. */
const listByGet: WireForm<"public_rooms"> = {
  write: (request) => {
    if (request.filter !== undefined) return undefined;
    const { limit, since, includeAllNetworks, thirdPartyInstanceId } = request;
    return {
      path: {},
      query: [
        ...optional(listing.limit, limit),
        ...optional(listing.since, since),
        ...optional(listing.includeAllNetworks, includeAllNetworks),
        ...optional(listing.thirdPartyInstanceId, thirdPartyInstanceId),
      ],
    };
  },
  read: ({ query }) =>
    unlooked<Listing>({
      limit: numberOf(query(listing.limit)),
      since: query(listing.since),
      includeAllNetworks: booleanOf(query(listing.includeAllNetworks)),
      thirdPartyInstanceId: query(listing.thirdPartyInstanceId),
    }),
  ...lists,
};

export const queryForms: Pick<
  WireForms,
  "query_directory" | "query_profile" | "public_rooms" | "hierarchy" | "openid_userinfo" | "version"
> = {
  query_directory: [
    {
      write: ({ roomAlias }) => ({ path: {}, query: [["room_alias", roomAlias]] }),
      read: ({ query }) => unlooked({ roomAlias: query("room_alias") }),
      writeAnswer: (answer) => writeFields(answer, alias),
      readAnswer: (content) => readFields(content, alias),
    },
  ],
  query_profile: [
    {
      write: ({ userId, field }) => ({ path: {}, query: [["user_id", userId], ...optional("field", field)] }),
      read: ({ query }) => unlooked({ userId: query("user_id"), field: query("field") }),
      writeAnswer: ({ profile }) => profile,
      readAnswer: (profile) => (isObject(profile) ? { profile } : undefined),
    },
  ],
  public_rooms: [listByPost, listByGet],
  hierarchy: [
    {
      write: ({ roomId, suggestedOnly }) => ({ path: { roomId }, query: optional("suggested_only", suggestedOnly) }),
      read: ({ path, query }) =>
        unlooked({ roomId: path("roomId"), suggestedOnly: booleanOf(query("suggested_only")) }),
      writeAnswer: (answer) => writeFields(answer, space),
      readAnswer: (content) => readFields(content, space),
    },
  ],
  openid_userinfo: [
    {
      write: ({ accessToken }) => ({ path: {}, query: [["access_token", accessToken]] }),
      read: ({ query }) => unlooked({ accessToken: query("access_token") }),
      writeAnswer: ({ sub }) => ({ sub }),
      readAnswer: (content) => readFields<OperationAnswer<"openid_userinfo">>(content, { sub: "sub" }),
    },
  ],
  version: [
    {
      write: () => ({ path: {} }),
      read: () => ({}),
      writeAnswer: (answer) => ({ server: writeFields(answer, software) }),
      readAnswer: (content) => readFields(isObject(content) ? get(content, "server") : undefined, software),
    },
  ],
};
