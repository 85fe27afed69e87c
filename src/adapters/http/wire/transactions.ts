/** What servers deliver to each other, and what goes with it: transactions, policy servers, devices. */
import type { OperationAnswer, OperationRequest } from "../../../ports/operations.js";
import { fieldsOf, readFields, unlooked, writeFields } from "./fields.js";
import type { Names } from "./fields.js";
import type { WireForms } from "./model.js";

const delivered: Names<Omit<OperationRequest<"send">, "transactionId">> = { pdus: "pdus", edus: "edus" };
const results: Names<OperationAnswer<"send">> = { pdus: "pdus" };
const devices: Names<OperationAnswer<"user_devices">> = {
  userId: "user_id",
  streamId: "stream_id",
  devices: "devices",
  masterKey: "master_key",
  selfSigningKey: "self_signing_key",
};

export const transactionForms: Pick<WireForms, "send" | "policy_sign" | "user_devices"> = {
  send: [
    {
      write: ({ transactionId, ...rest }, { origin, now }) => ({
        path: { txnId: transactionId },
        content: { origin, origin_server_ts: now, ...writeFields(rest, delivered) },
      }),
      read: ({ path, content }) => {
        const rest = fieldsOf(content, delivered);
        return rest && unlooked({ ...rest, transactionId: path("txnId") });
      },
      writeAnswer: (answer) => writeFields(answer, results),
      // Synapse answers `{}` where all is well.
      readAnswer: (content) => {
        const answer = fieldsOf(content, results);
        return answer && unlooked({ pdus: {}, ...answer });
      },
    },
  ],
  policy_sign: [
    {
      write: ({ event }) => ({ path: {}, content: event }),
      read: ({ content }) => unlooked({ event: content }),
      writeAnswer: ({ signatures }) => signatures,
      readAnswer: (signatures) => ({ signatures }),
    },
  ],
  user_devices: [
    {
      write: ({ userId }) => ({ path: { userId } }),
      read: ({ path }) => ({ userId: path("userId") }),
      writeAnswer: (answer) => writeFields(answer, devices),
      readAnswer: (content) => readFields(content, devices),
    },
  ],
};
