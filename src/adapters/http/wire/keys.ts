/** Publication of keys, and what notaries are asked (server-server-api, "Retrieving server keys"). */
import { get, isObject } from "../../../json/value.js";
import type { JsonValue } from "../../../json/value.js";
import type { OperationAnswer, OperationRequest } from "../../../ports/operations.js";
import { fieldsOf, readFields, unlooked, writeFields } from "./fields.js";
import type { Names } from "./fields.js";
import type { WireForm, WireForms } from "./model.js";

const criteria: Names<{ readonly minimumValidUntilTs?: number }> = { minimumValidUntilTs: "minimum_valid_until_ts" };
const notarised: Names<OperationAnswer<"query_keys">> = { serverKeys: "server_keys" };

type Change = (value: JsonValue) => JsonValue;

/** Changes each value of an object, whatever its keys are; what is no object stays as it is. */
function each(value: JsonValue, change: Change): JsonValue {
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, change(one)])) : value;
}

/** A criterion under its other name. Anything that is no criterion is left for the notary to look at. */
const written: Change = (value) => (isObject(value) ? writeFields(value, criteria) : value);
const read: Change = (value) => fieldsOf(value, criteria) ?? value;

const answers: Pick<WireForm<"query_keys">, "writeAnswer" | "readAnswer"> = {
  writeAnswer: (answer) => writeFields(answer, notarised),
  readAnswer: (content) => readFields(content, notarised),
};

/** Many servers, many keys. */
const queryMany: WireForm<"query_keys"> = {
  write: ({ serverKeys }) => ({
    path: {},
    content: { server_keys: each(serverKeys, (ofServer) => each(ofServer, written)) },
  }),
  read: ({ content }) => {
    if (!isObject(content)) return undefined;
    const asked = get(content, "server_keys");
    return unlooked({ serverKeys: asked === undefined ? asked : each(asked, (ofServer) => each(ofServer, read)) });
  },
  ...answers,
};

/** All keys of one server. Until when they should be valid can be said of a named key alone, so that is not kept. */
const queryOne: WireForm<"query_keys"> = {
  write: ({ serverKeys }) => {
    const [server, other] = Object.entries(serverKeys);
    if (server === undefined || other !== undefined) return undefined;
    const [serverName, keys] = server;
    return Object.keys(keys).length === 0 ? { path: { serverName } } : undefined;
  },
  read: ({ path }) => {
    const serverKeys: OperationRequest<"query_keys">["serverKeys"] = Object.fromEntries([[path("serverName"), {}]]);
    return { serverKeys };
  },
  ...answers,
};

export const keyForms: Pick<WireForms, "server_keys" | "query_keys"> = {
  server_keys: [
    {
      write: () => ({ path: {} }),
      read: () => ({}),
      writeAnswer: ({ keys }) => keys,
      readAnswer: (keys) => ({ keys }),
    },
  ],
  query_keys: [queryMany, queryOne],
};
